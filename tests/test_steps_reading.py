"""Plans in YAML: every mistake with its line, also those of the mappings and files they name."""

from __future__ import annotations

from pathlib import Path

import pytest
from porting import count, document, lines_of, save

from weightsurgeon.api import run
from weightsurgeon.errors import SurgeryError

A = count(2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "a.safetensors", {"x.w": A})
    (tmp_path / "m.yaml").write_text(document('- {from: "x.{l}", to: "y.{l}"}'))
    return tmp_path


GOOD = """\
weightsurgeon: 1
sources:
  a: {path: a.safetensors}
steps:
- transfer: {from: a, mapping: m.yaml, as: b}
output: {from: b, path: out.safetensors}
"""


def refused(folder: Path, text: str) -> list[str]:
    plan = folder / "p.yaml"
    plan.write_text(text)
    with pytest.raises(SurgeryError) as caught:
        run(plan)
    assert not (folder / "out.safetensors").exists()
    return [line.replace(f"{folder}/", "") for line in lines_of(caught.value)]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "sources:",
            "sourses:",
            ["p.yaml:2: schema: the key 'sourses' is unknown; did you mean 'sources'?"],
        ),
        (
            "{path: a.safetensors}",
            "{pth: a.safetensors}",
            ["p.yaml:3: schema: the key 'path' is missing"],
        ),
        ("{path: a.safetensors}", "5", ["p.yaml:3: schema: wants a map of path, dialect"]),
        (
            "{path: a.safetensors}",
            "{path: a.safetensors, dialect: tf2}",
            ["p.yaml:3: schema: dialect wants keras"],
        ),
        ("transfer: {", "transfor: {", ["the key 'transfor' is unknown; did you mean 'transfer'?"]),
        ("transfer: {", "optional: 1\n  transfer: {", ["p.yaml:5: schema: a step is a map of one"]),
        ("{from: a, mapping: m.yaml, as: b}", "5", ["p.yaml:5: schema: wants a map of from"]),
        ("as: b}", "as: b, paste: {w: {axis: 0}}}", ["schema: has a meaning beside `into` only"]),
        ("as: b}", "as: b, dtype: source}", ["p.yaml:5: schema: has a meaning beside `into` only"]),
        ("as: b}", "as: b, dtype: float16}", ["dtype wants base | source, not 'float16'"]),
        (
            "as: b}",
            "as: b, into: a, paste: {w: {fill: mean}}}",
            ["fill wants base | zeros", "'axis'"],
        ),
        ("from: a,", "", ["p.yaml:5: schema: the key 'from' is missing", "nothing reads 'a'"]),
        ("from: a,", "from: z,", ["p.yaml:5: schema: there is no 'z' here; known: a"]),
        ("as: b}", "as: a}", ["p.yaml:5: schema: 'a' is named already", "there is no 'b' here"]),
        ("as: b}", "as: b, into: a, template: a}", ["give `into` or `template`, not both"]),
        ("as: b}", "as: b, unused: drop}", ["unused wants error | list | ignore, not 'drop'"]),
        ("as: b}", "as: b, kept: no}", ["kept wants error | list, not 'no'"]),
        ("as: b}", "as: b, sizes: {q: 2}}", ["q is an axis of no layout"]),
        ("as: b}", "as: b, to: keras}", ["keras is asked for, but the mapping says torch"]),
        ("m.yaml", "n.yaml", ["p.yaml:5: schema: there is no mapping n.yaml; shipped are"]),
        ("from: b,", "from: c,", ["p.yaml:6: schema: there is no 'c' here", "nothing reads 'b'"]),
        ("out.safetensors", "out.xyz", ["p.yaml:6: schema: ", "no container has this suffix"]),
        (
            "out.safetensors}",
            "out.x, format: zip}",
            ["p.yaml:6: schema: no container 'zip'; known: safetensors"],
        ),
        (
            "out.safetensors}",
            "o.safetensors, shard_size: 5GBs}",
            ["p.yaml:6: schema: shard_size wants a size as in 5GB or 500MiB, or none"],
        ),
        ("out.safetensors}", "o.pt, shard_size: 1B}", ["p.yaml:6: schema: torch has no shards"]),
        ("out.safetensors}", "o.pt, metadata: {}}", ["the key 'metadata' is not built yet"]),
        ("output:", "otput:", ["the key 'output' is missing", "unknown; did you mean 'output'?"]),
        ("a.safetensors", "z.safetensors", ["z.safetensors: there is no such file"]),
        (
            "weightsurgeon: 1",
            "weightsurgeon: 2",
            ["p.yaml:1: schema: weightsurgeon wants 1, not '2'"],
        ),
        (
            "- transfer",
            "- 5\n- transfer",
            ["p.yaml:5: schema: a step is a map of one verb: transfer, assemble"],
        ),
    ],
)
def test_a_plan_is_refused(folder: Path, old: str, new: str, wanted: list[str]) -> None:
    assert old in GOOD
    lines = refused(folder, GOOD.replace(old, new, 1))
    for words in wanted:
        assert any(words in line for line in lines), lines


@pytest.mark.parametrize("text", ["", "5", "[]", "{a: 1}", "a: [", document("- {from: a, to: b}")])
def test_what_is_no_plan_is_refused(folder: Path, text: str) -> None:
    assert all(line.startswith("p.yaml") for line in refused(folder, text))


def test_a_mapping_given_as_a_plan_is_told_in_one_line(folder: Path) -> None:
    (line,) = refused(folder, document("- {from: a, to: b}"))
    assert line == "p.yaml:1: schema: is a mapping: `weightsurgeon port --mapping` uses it"


def test_the_mistakes_of_mappings_and_files_are_told_with_those_of_the_plan(folder: Path) -> None:
    (folder / "bad.yaml").write_text(document("- {from: a, too: b}\n- {from: a, to: b, scales: 2}"))
    (folder / "broken.safetensors").write_bytes(b"\xff" * 40)
    text = """\
weightsurgeon: 1
sources:
  a: {path: a.safetensors}
  gone: {path: gone.safetensors}
  broken: {path: broken.safetensors}
  unread: {path: a.safetensors, dialekt: keras}
steps:
- transfer: {from: a, mapping: bad.yaml, as: b}
- transfer: {from: nowhere, as: c}
- transfer: {from: gone, into: broken, as: d, kept: maybe}
- merge: {from: a}
output: {from: e, path: out.nope, ties: {}}
"""
    lines = refused(folder, text)
    wanted = [
        "bad.yaml:5: schema: the key 'to' is missing",
        "bad.yaml:5: schema: the key 'too' is unknown",
        "bad.yaml:6: schema: the key 'scales' is unknown; did you mean 'scale'?",
        "broken.safetensors: ",
        "gone.safetensors: there is no such file",
        "p.yaml:6: schema: the key 'dialekt' is unknown; did you mean 'dialect'?",
        "p.yaml:6: schema: nothing reads 'unread'",
        "p.yaml:9: schema: there is no 'nowhere' here",
        "p.yaml:10: schema: kept wants error | list",
        "p.yaml:11: schema: the key 'from' is unknown",
        "p.yaml:12: schema: ties wants store | repeat",
        "p.yaml:12: schema: there is no 'e' here",
        "no container has this suffix",
    ]
    for words in wanted:
        assert any(words in line for line in lines), (words, lines)


def test_a_mistake_is_told_once(folder: Path) -> None:
    lines = refused(folder, GOOD.replace("m.yaml", "n.yaml"))
    assert len(lines) == 1
