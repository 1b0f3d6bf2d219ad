"""Mappings with several sources: each in its own dialect, one target, judged as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Array, Shell, count, lines_of, refusals, save
from safetensors.numpy import load_file

from weightsurgeon.api import port, run, verify
from weightsurgeon.errors import PlanError
from weightsurgeon.mapping.invert import invert
from weightsurgeon.mapping.load import loads
from weightsurgeon.mapping.yaml_text import dump

HEAD = """\
weightsurgeon: 1
sources: {vision: {dialect: keras}, text: {dialect: torch, optional_prefix: "module."}}
target: {dialect: torch}
rules:
"""
TWO = f"""{HEAD}\
- {{layer: "vision:conv2d{{n:nth}}", to: "vision.conv{{n+1}}", kind: conv}}
- {{layer: "vision:batch_normalization{{n:nth}}", to: "vision.bn{{n+1}}", kind: batchnorm}}
- {{from: "text:{{n:path}}", to: "text.{{n}}"}}
"""
COUNTER = "vision.bn1.num_batches_tracked"


def vision() -> dict[str, Array]:
    found = {f"conv2d{s}/kernel": count(3, 3, 2, 4, start=i) for i, s in enumerate(("", "_1"))}
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    return found | {f"batch_normalization/{n}": count(4, start=i) for i, n in enumerate(leaves)}


def text() -> dict[str, Array]:
    return {"module.emb.weight": count(5, 3), "module.fc.weight": count(3, 3)}


class Two:
    """Two files, and what a mapping makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "out.safetensors"
        self.sources = {
            "vision": save(folder / "v.safetensors", vision()),
            "text": save(folder / "t.safetensors", text()),
        }

    def port(self, yaml: str, **how: Any) -> dict[str, Array]:
        port(self.sources, self.output, loads(yaml, "m.yaml"), **how)
        return load_file(self.output)

    def refuse(self, yaml: str, **how: Any) -> list[str]:
        with pytest.raises(PlanError) as caught:
            self.port(yaml, **how)
        assert not self.output.exists()
        return lines_of(caught.value)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_each_source_goes_by_its_own_rules(two: Two) -> None:
    out = two.port(TWO)
    assert np.array_equal(
        out["vision.conv2.weight"], count(3, 3, 2, 4, start=1).transpose(3, 2, 0, 1)
    )
    assert np.array_equal(out["text.fc.weight"], count(3, 3))
    assert len(out) == len(vision()) + len(text()) + 1
    assert list(out).count(COUNTER) == 1
    assert verify(two.sources, two.output, loads(TWO)).equal


def test_the_report_tells_the_source(two: Two) -> None:
    report = port(two.sources, two.output, loads(TWO, "m.yaml"))
    rows = {row.name: row for row in report.rows}
    assert rows["text.fc.weight"].sources == ("text:module.fc.weight",)
    assert rows["vision.conv1.weight"].sources == ("vision:conv2d/kernel",)
    assert rows["vision.conv1.weight"].rule == "m.yaml:5"
    paths = [str(path) for path in two.sources.values()]
    assert sorted(report.inputs) == sorted(paths)


@pytest.mark.parametrize("alias", ["vision", "text"])
def test_the_way_back_to_one_of_them(two: Two, alias: str) -> None:
    two.port(TWO)
    made = two.output.rename(two.folder / "made.safetensors")
    back = dump(invert(TWO, alias=alias).value)
    port(made, two.output, loads(back))
    wanted = vision() if alias == "vision" else text()
    found = load_file(two.output)
    names = {name.removeprefix("module."): x for name, x in wanted.items()}
    assert found.keys() == names.keys()
    assert all(np.array_equal(found[name], x) for name, x in names.items())


def test_what_others_made_is_dropped_before_vaguer_rules_take_it() -> None:
    yaml = f'{HEAD}- {{from: "vision:{{n:path}}", to: "{{n}}"}}\n- {{from: "text:a", to: head.a}}'
    assert invert(yaml, alias="vision").value["rules"] == [
        {"drop": "head.a", "optional": True, "inverse": "none"},
        {"from": "{n:path}", "to": "{n}"},
    ]
    rules = invert(yaml, alias="text").value["rules"]
    assert [next(iter(rule)) for rule in rules] == ["from", "drop"]


def test_invert_asks_for_the_source() -> None:
    with pytest.raises(PlanError, match="sources: vision, text; --for says"):
        invert(TWO)
    with pytest.raises(PlanError, match="has one source; --for"):
        invert("{weightsurgeon: 1, rules: [{from: a, to: b}]}", alias="x")


def test_two_sources_for_one_target(two: Two) -> None:
    save(two.sources["vision"], {"fc/kernel": count(3, 3)})
    yaml = f'{HEAD}- {{layer: "vision:fc", to: fc, kind: linear}}\n'
    yaml += '- {from: "text:{n:path}", to: "{n}"}'
    assert two.refuse(yaml) == [
        "m.yaml:6: collision: fc.weight is made from text:module.fc.weight"
        " and from vision:fc/kernel (m.yaml:5)"
    ]


def test_all_problems_of_all_sources_at_once(two: Two) -> None:
    yaml = f'{HEAD}- {{layer: "vision:conv2d", to: conv, kind: conv}}\n'
    yaml += '- {from: "text:embb", to: e}'
    told = two.refuse(yaml)
    assert [line for line in told if "dead-rule" in line] == [
        "m.yaml:6: dead-rule: 'embb' matches no tensor of the source; nearest: emb.weight"
    ]
    missed = " ".join(line for line in told if "unmatched-source" in line)
    for name in ("vision:conv2d_1/kernel", "vision:batch_normalization/beta", "text:module.emb"):
        assert name in missed


def test_the_base_is_completed_once(two: Two) -> None:
    base = {**two.port(TWO), "head.weight": count(2)}
    two.output.unlink()
    template = save(two.folder / "base.safetensors", base)
    told = two.refuse(TWO, template=template)
    assert told == ["m.yaml: unmatched-target: head.weight float32 (2,): no rule makes it"]
    found = two.port(f"{TWO}- {{init: head.weight, value: 1}}\n", template=template)
    assert list(found) == list(load_file(template))
    assert np.array_equal(found["head.weight"], np.ones(2))
    kept = two.port(TWO, into=template)
    assert np.array_equal(kept["head.weight"], base["head.weight"])


def test_drops_and_ties_beside_several_sources(two: Two) -> None:
    yaml = f"""{HEAD}\
- {{drop: ["vision:*"]}}
- {{drop: "text:fc.weight", equal_to: "text:emb.weight"}}
- {{from: "text:emb.weight", to: emb.weight}}
- {{tie: head.weight, with: emb.weight}}
"""
    told = two.refuse(yaml)
    assert [line.partition(":")[0] for line in told] == ["m.yaml"]
    assert "unequal: module.fc.weight differs from module.emb.weight" in told[0]
    save(two.sources["text"], dict.fromkeys(text(), count(5, 3)))
    assert sorted(two.port(yaml)) in (["emb.weight"], ["emb.weight", "head.weight"])


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("{from: a, to: b}", "'a' does not say its source; write vision:… or text:…"),
        ('{from: "sound:a", to: b}', "'sound:a' does not say its source"),
        ('{from: ["text:a", "vision:a"], to: b, layout: "p | x -> p x"}', "reads one source, not"),
        ("{drop: {rank: 1}}", "a selector is a name or a list of them"),
        ('{drop: "text:a", equal_to: b}', "'b' does not say its source"),
    ],
)
def test_each_name_says_its_source(rule: str, what: str) -> None:
    ((id, line, found),) = refusals(f"{HEAD}- {rule}\n")
    assert (id, line) == ("schema", 5)
    assert what in found


def test_the_aliases_themselves() -> None:
    yaml = "weightsurgeon: 1\nsource: {}\nsources: {base: {}, a-b: {}}\nrules: []\n"
    assert [what for _, _, what in refusals(yaml)] == [
        "give `source`, or `sources` with an alias for each; not both",
        "the alias 'a-b' wants letters, digits, _",
        "the alias 'base' names the target here",
    ]


def test_sources_that_are_not_those_of_the_mapping(two: Two) -> None:
    rules, one = loads(TWO, "m.yaml"), two.sources["text"]
    with pytest.raises(PlanError, match="it has the sources vision, text; given: one source"):
        port(one, two.output, rules)
    with pytest.raises(PlanError, match="given: the sources text"):
        port({"text": one}, two.output, rules)
    with pytest.raises(PlanError, match="the sources vision, text need a mapping"):
        port(two.sources, two.output)
    with pytest.raises(PlanError, match="dequantise is for one source"):
        port(two.sources, two.output, rules, dequantise=True)


def test_a_plan_brings_two_states_together(two: Two) -> None:
    (two.folder / "m.yaml").write_text(TWO)
    plan = two.folder / "plan.yaml"
    plan.write_text("""\
weightsurgeon: 1
sources: {v: v.safetensors, t: t.safetensors}
steps:
- transfer: {from: {vision: v, text: t}, mapping: m.yaml, as: both}
output: {from: both, path: out.safetensors}
""")
    run(plan)
    assert verify(two.sources, two.output, loads(TWO)).equal
    plan.write_text(plan.read_text().replace("text: t}", "text: nobody}"))
    with pytest.raises(PlanError, match=r"plan.yaml:4: schema: there is no 'nobody' here"):
        run(plan)


def test_on_the_command_line(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    shell, mapping = Shell(capsys), two.folder / "m.yaml"
    mapping.write_text(TWO)
    given = [f"{alias}={path}" for alias, path in two.sources.items()]
    assert shell("port", *given, two.output, "--mapping", mapping).code == 0
    assert shell("verify", *given, two.output, "--mapping", mapping).code == 0
    made = load_file(two.output)
    made["text.emb.weight"][1, 1] += 1
    save(two.output, made)
    found = shell("verify", *given, two.output, "--mapping", mapping)
    assert found.code == 1
    assert "text:module.emb.weight → text.emb.weight: 1 of 15 differ" in found.out
    back = two.folder / "back.yaml"
    assert shell("invert", mapping, "--for", "text", "-o", back).code == 0
    assert "optional_prefix: module." in back.read_text()
    wrong = shell("port", given[0], two.sources["text"], two.output, "--mapping", mapping)
    assert wrong.code == 2
    assert "write ALIAS=PATH for each of several sources" in wrong.err


def test_doubts_under_review_stop_a_port(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    shell, mapping = Shell(capsys), two.folder / "m.yaml"
    rule = '{from: "{n:path}", to: "{n}"}'
    mapping.write_text(f"weightsurgeon: 1\nrules:\n- {rule}\nreview:\n- {{from: a, to: b}}\n")
    words = ("port", two.sources["text"], two.output, "--mapping", mapping)
    found = shell(*words)
    assert found.code == 3
    assert "review: 1 doubts are left" in found.err
    assert not two.output.exists()
    plan = two.folder / "plan.yaml"
    plan.write_text("""\
weightsurgeon: 1
sources: {t: t.safetensors}
steps: [{transfer: {from: t, mapping: m.yaml, as: x}}]
output: {from: x, path: out.safetensors}
""")
    assert shell("run", plan).code == 3
    assert not two.output.exists()
    assert shell(*words, "--accept").code == 0
    assert shell("verify", two.sources["text"], two.output, "--mapping", mapping).code == 0
