"""The inverse of a mapping, of every form and key: inverting twice gives what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from porting import Shell, document, lines_of

from weightsurgeon import cli
from weightsurgeon.errors import PlanError
from weightsurgeon.mapping import yaml_data
from weightsurgeon.mapping.invert import invert, ordered
from weightsurgeon.mapping.load import loads
from weightsurgeon.mapping.yaml_text import dump

TABLES = "tables: {norm: {a.b: x, c: y/z}, n: {'0': 1}}"


def data(text: str) -> Any:
    return yaml_data.load(text, "m.yaml").value


def undone(rule: str, lossy: bool = False) -> list[str]:
    """The rules of the inverse of one rule; both ways are the same as data."""
    text = document(f"- {rule}", more=TABLES)
    found = invert(text, "m.yaml", lossy).value
    written = dump(found)
    assert data(written) == found
    loads(written)
    assert invert(written, "m.yaml", True).value == data(text)
    return [line[2:] for line in written.split("\n") if line.startswith("- ")]


@pytest.mark.parametrize(
    ("rule", "inverse"),
    [
        ("{from: a, to: b}", "{from: b, to: a}"),
        ('{from: "a.{i:int}", to: "b.{i}"}', '{from: "b.{i:int}", to: "a.{i}"}'),
        ('{from: "c{i:nth}", to: "d.{i+1}"}', '{from: "d.{i+1}", to: "c{i:nth}"}'),
        ('{from: "{n:path}/k", to: "{n}.w"}', '{from: "{n:path}.w", to: "{n}/k"}'),
        (
            '{from: "{m:wte|wpe}.w", to: "{m@tok|pos}.w"}',
            '{from: "{m:tok|pos}.w", to: "{m@wte|wpe}.w"}',
        ),
        ('{from: "e.{m@norm}", to: "f/{m@norm}"}', '{from: "f/{m@norm}", to: "e.{m@norm}"}'),
        (
            '{from: a, to: b, layout: "(h k) d -> d h k", sizes: {h: 12}}',
            '{from: b, to: a, layout: "d h k -> (h k) d", sizes: {h: 12}}',
        ),
        ("{from: a, to: b, scale: 2}", '{from: b, to: a, scale: "1/2"}'),
        ('{from: a, to: b, scale: "sqrt(4)"}', '{from: b, to: a, scale: "1/sqrt(4)"}'),
        ("{from: a, to: b, shift: 1}", "{from: b, to: a, shift: -1}"),
        (
            "{from: a, to: b, scale: 2, shift: 1}",
            '{from: b, to: a, scale: "1/2", shift: "-1/2"}',
        ),
        (
            '{from: a, to: b, layout: "v d -> d v", pad: {v: {from: 3, to: 5, at: 1}}}',
            '{from: b, to: a, layout: "d v -> v d", crop: {v: [1, 4]}, inverse: {from: a, to: b,'
            ' layout: "v d -> d v", pad: {v: {from: 3, to: 5, at: 1}}}}',
        ),
        (
            '{from: a, to: b, layout: "a b -> b a 1", when: {rank: 2}}',
            '{from: b, to: a, layout: "b a 1 -> a b", when: {rank: 3}}',
        ),
        (
            '{layer: "c{i:int}", to: "d.{i}", kind: linear_t -> linear, optional: true, doc: b}',
            '{layer: "d.{i:int}", to: "c{i}", kind: "linear -> linear_t", optional: true, doc: b}',
        ),
        (
            "{layer: a, to: [b, c], kind: separable, options: {groups: 3}, sizes: {kh: 2}}",
            "{layer: [b, c], to: a, kind: separable, options: {groups: 3}, sizes: {kh: 2}}",
        ),
        (
            "{layer: a, to: b, kind: linear, roles: {bias: fill}}",
            "{layer: b, to: a, kind: linear, roles: {bias: drop}}",
        ),
        ("{tie: a, with: b}", "{drop: a, equal_to: b, optional: true}"),
        ("{drop: a, equal_to: b, optional: true}", "{tie: a, with: b}"),
        (
            "{drop: a, equal_to: b}",
            "{tie: a, with: b, inverse: {drop: a, equal_to: b}}",
        ),
    ],
)
def test_a_rule_has_its_inverse(rule: str, inverse: str) -> None:
    assert undone(rule) == [inverse]


@pytest.mark.parametrize(
    ("rule", "inverse", "class_"),
    [
        (
            '{from: a, to: b, layout: "v d -> v d", crop: {v: [2, 7]}}',
            '{from: b, to: a, layout: "v d -> v d",'
            " pad: {v: {from: 5, to: base, at: 2, fill: base}}}",
            "needs base",
        ),
        (
            "{from: a, to: b, cast: bfloat16}",
            "{from: b, to: a, inverse: {from: a, to: b, cast: bfloat16}}",
            "lossy",
        ),
        (
            "{layer: a, to: b, kind: linear, roles: {bias: keep}}",
            "{layer: b, to: a, kind: linear, roles: {bias: drop},"
            " inverse: {layer: a, to: b, kind: linear, roles: {bias: keep}}}",
            "lossy",
        ),
    ],
)
def test_what_does_not_lead_back_is_refused_or_written_as_well_as_can_be(
    rule: str, inverse: str, class_: str
) -> None:
    assert undone(rule, lossy=True) == [inverse]
    with pytest.raises(PlanError, match=rf"^m.yaml:5: inverse: {class_}: .*--lossy$"):
        undone(rule)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('{drop: "*.bias"}', "what was dropped is not there"),
        ("{init: a, shape: [3]}", "what is made here was not there"),
        ('{drop: "a*", equal_to: b}', "only a drop of one name"),
        ("{drop: [a], equal_to: b}", "only a drop of one name"),
        ('{tie: "a.{i}", with: "b.{i:int}"}', "only a tie of one name"),
        (
            '{from: a, to: b, layout: "v d -> v d", pad: {v: {to: 9}}}',
            "say from how many entries of v",
        ),
        (
            '{from: a, to: b, layout: "v d -> v d", scale: "sqrt(v)", shift: 1}',
            "has no exact inverse",
        ),
        (
            '{from: "{m@norm}", to: "{m@norm}.{m}"}',
            "m is written in two spellings and cannot be read back",
        ),
    ],
)
def test_what_has_no_inverse_is_left_out_or_refused(rule: str, words: str) -> None:
    text = document(f"- {rule}", more=TABLES)
    assert invert(text, "m.yaml", lossy=True).value["rules"] == []
    with pytest.raises(PlanError) as caught:
        invert(text, "m.yaml")
    (line,) = lines_of(caught.value)
    assert line.startswith("m.yaml:5: inverse: none: ")
    assert words in line


@pytest.mark.parametrize(
    ("rule", "inverse"),
    [
        ("{drop: a, inverse: none}", []),
        (
            "{drop: a, inverse: {init: a, shape: [3]}}",
            ["{init: a, shape: [3], inverse: {drop: a, inverse: {init: a, shape: [3]}}}"],
        ),
        ("{from: a, to: b, inverse: {from: b, to: c}}", None),
        ("{from: a, to: b, inverse: [{from: b, to: c}, {drop: d}]}", None),
        ("{from: a, to: b, inverse: {from: b, to: c, inverse: {from: a, to: b}}}", None),
        ('{from: "{m@norm}", to: b, inverse: {from: "y.{q@norm}", to: "c.{q}"}}', None),
    ],
)
def test_what_a_rule_says_of_its_inverse_goes_before_all(
    rule: str, inverse: list[str] | None
) -> None:
    text = document(f"- {rule}", more=TABLES)
    if "{m@norm}" in rule:  # both sides must name the same captures
        text = text.replace("to: b,", 'to: "b.{m}",')
    found = invert(text, "m.yaml").value
    if inverse is not None:
        assert [line[2:] for line in dump(found).split("\n") if line.startswith("- ")] == inverse
    if inverse != []:
        assert invert(dump(found), "m.yaml").value == data(text)


def test_an_inverse_is_read_as_a_rule_of_the_inverse_mapping() -> None:
    text = document(
        "- {drop: a, inverse: {from: a, to: b, layot: x}}\n- {drop: b, inverse: [1]}\n"
        '- {drop: c, inverse: {from: "{m@nope}", to: "{m}"}}'
    )
    with pytest.raises(PlanError) as caught:
        loads(text, "m.yaml")
    found = lines_of(caught.value)
    assert [line.split(":")[1] for line in found] == ["5", "6", "7"]
    assert "did you mean 'layout'" in found[0]


WHOLE = """
weightsurgeon: 1
name: whole
source: {dialect: torch, optional_prefix: "bert."}
target: {dialect: keras}
sizes: {h: 12}
tables:
  norm: {attention.output.LayerNorm: attention_norm, output.LayerNorm: feedforward_norm}
policy: {shape: skip}
rules:
- {drop: lm_head.weight, equal_to: wte.weight, optional: true}
- {layer: "l.{i:int}.{m@norm}", to: "t_{i}/{m@norm}", kind: layernorm}
- {from: "l.{i:int}.q.weight", to: "t_{i}/q/kernel", layout: "(h k) d -> d h k"}
- {tie: out/kernel, with: in/kernel}
notes: ["one: two"]
review: []
"""


def test_a_whole_mapping_is_changed_over() -> None:
    found = invert(WHOLE)
    text = dump(found.value)
    assert text.split("\n")[2:4] == [
        "source: {dialect: keras}",
        "target: {dialect: torch, optional_prefix: bert.}",
    ]
    assert found.value["tables"]["norm"]["attention_norm"] == "attention.output.LayerNorm"
    assert "drop" in found.value["rules"][0]  # lest another rule takes it
    assert found.classes == {"exact": 4}
    again = invert(text).value
    assert again == {**data(WHOLE), "rules": ordered(data(WHOLE)["rules"])}


def test_what_is_said_of_target_names_has_no_inverse() -> None:
    text = document("- {from: a, to: b}", more="include: b\nexclude: c")
    with pytest.raises(PlanError, match=r"m.yaml:6: inverse: none: include is about target"):
        invert(text, "m.yaml")
    assert "include" not in invert(text, lossy=True).value


def test_a_broken_mapping_is_told_as_ever() -> None:
    with pytest.raises(PlanError, match=r"m.yaml:5: schema"):
        invert(document("- {from: a}"), "m.yaml")


# -- the text --------------------------------------------------------------------------------

scalars = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["no", "1e5", "1:30", "010", "-1", "null", "~", "true", "a: b", "# x", "é\x85"]
    ),
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False, places=4),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), values, min_size=1, max_size=4))
def test_what_is_written_is_read_as_the_same_data(value: dict[str, Any]) -> None:
    try:
        value["x"] = "".join(map(str, value))
        str(value).encode()
    except UnicodeEncodeError:
        return  # half a character is no text
    assert data(dump(value)) == value


def test_long_words_are_written_in_no_time() -> None:
    assert dump({"a": "x" * 2000 + "!"}).startswith('a: "xxx')


# -- the command -----------------------------------------------------------------------------


def test_the_command_writes_an_inverse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "_listen", lambda: None)
    monkeypatch.chdir(tmp_path)
    shell = Shell(capsys)
    Path("m.yaml").write_text(document("- {from: a, to: b}\n- {drop: c}", "keras"))
    call = shell("invert", "m.yaml", "-o", "inv.yaml")
    assert (call.code, call.out) == (2, "")
    assert call.err.startswith("m.yaml:6: inverse: none: drop: what was dropped")
    assert not Path("inv.yaml").exists()
    call = shell("invert", "m.yaml", "-o", "inv.yaml", "--lossy")
    assert (call.code, call.out) == (0, "1 exact, 1 none → inv.yaml\n")
    assert Path("inv.yaml").read_text() == (
        "weightsurgeon: 1\nsource: {dialect: torch}\ntarget: {dialect: keras}\n"
        "rules:\n- {from: b, to: a}\n"
    )
    assert shell("invert", "inv.yaml").out.endswith("- {from: a, to: b}\n")
    assert '"classes": {"exact": 1}' in shell("invert", "inv.yaml", "--json").out
    assert shell("invert", "m.yaml", "-o", "no/such/folder.yaml", "--lossy").code == 2
