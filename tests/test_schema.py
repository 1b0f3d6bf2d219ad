"""What may stand in a mapping's YAML: nothing is ignored, and what is not built says so."""

from __future__ import annotations

import pytest
from porting import FIRST, document, refusals

from weightsurgeon.mapping.load import loads

MOVE = "from: a, to: b"
LAYER = "layer: a, to: b, kind: linear"


def rule(text: str) -> list[tuple[str, int, str]]:
    """What is wrong with one rule; every refusal stands at its line."""
    found = refusals(document(f"- {{{text}}}"))
    assert {line for _, line, _ in found} == {FIRST}
    return found


def test_a_segment_holds_no_separator() -> None:
    text = document("- {from: a, to: b}").replace("{dialect: torch}", "{optional_segment: m.n}", 1)
    assert refusals(text) == [("schema", 2, "'m.n' is no segment: it holds a separator")]


@pytest.mark.parametrize(
    ("text", "id", "words"),
    [
        ("from: a", "schema", "the key 'to' is missing"),
        ("from: a, to: b, frm: c", "schema", "the key 'frm' is unknown; did you mean 'from'?"),
        ("from: a, to: b, xyz: c", "schema", "the key 'xyz' is unknown; known: optional, doc"),
        ("from: 5, to: b", "schema", "from wants a text, not '5'"),
        ("from: '', to: b", "schema", "from wants a text"),
        (f"{MOVE}, optional: yes", "schema", "optional wants true or false, not 'yes'"),
        (f"{MOVE}, layout: a b", "layout", "wants one arrow"),
        (f"{MOVE}, layout: a b -> a", "layout", "b is on one side only"),
        (f"{MOVE}, layout: a a -> a a", "layout", "a stands twice on a side"),
        (f"{MOVE}, layout: K a -> a b", "layout", "K, b is on one side only"),
        (f"{MOVE}, layout: (a (b) -> a b", "layout", "not nested"),
        (f"{MOVE}, layout: a b -> b a)", "layout", "not nested"),
        (f"{MOVE}, layout: 'g:ifgo u -> u g:ifgx'", "layout", "g has the entries ifgo here"),
        (f"{MOVE}, layout: 'g:ii u -> u g:ii'", "layout", "a letter of g:ii stands twice"),
        (f"{MOVE}, cast: bf16", "schema", "unknown dtype bf16; known: float64"),
        (f"{MOVE}, sizes: {{h: -1}}", "schema", "sizes.h wants a whole number from 0, not '-1'"),
        (f"{MOVE}, sizes: {{h: true}}", "schema", "sizes.h wants a whole number from 0"),
        (f"{MOVE}, sizes: {{h: 12}}", "size", "h is an axis of no layout; axes here: none"),
        (f"{MOVE}, layout: a b -> b a, sizes: {{c: 1}}", "size", "c is an axis of no layout"),
        (f"{MOVE}, when: 5", "schema", "when wants a map"),
        (f"{MOVE}, when: {{rank: x}}", "schema", "rank wants a whole number"),
        (
            "layer: a, to: b, kind: dense",
            "kind",
            "there is no kind 'dense'; known: additive_attention",
        ),
        ("layer: a, to: b, kind: a -> b -> c", "kind", "one arrow at most"),
        ("layer: [a, c], to: b, kind: linear", "schema", "`layer` and `to` are one name each"),
        ("layer: a, to: b, kind: separable", "schema", "one layer in Keras and a list of two"),
        (f"{LAYER}, roles: {{bias: zero}}", "schema", "roles.bias wants fill | drop | keep"),
        (f"{LAYER}, roles: {{biass: fill}}", "role", "a linear has no biass; it has bias, kernel"),
        (f"{LAYER}, sizes: {{q: 3}}", "size", "q is an axis of no layout"),
        (f"{LAYER}, options: {{flaten: 3}}", "schema", "options.flaten is no option of a layer"),
        (f"{LAYER}, options: {{flatten_from: 12}}", "schema", "wants the sizes of a map"),
        (f"{LAYER}, options: {{flatten_from: [1]}}", "schema", "wants the sizes of a map"),
        (f"{LAYER}, options: {{flatten_from: [1, x]}}", "schema", "options.flatten_from.1 wants"),
        (f"{LAYER}, options: {{equation: 5}}", "schema", "options.equation wants a text"),
        (f"{LAYER}, options: 5", "schema", "options wants a map"),
        ("drop: 5", "schema", "a selector is a glob"),
        ("drop: ", "schema", "a selector is a glob"),
        ("drop: {role: kernal}", "schema", "no role is kernal"),
        ("drop: a, equal_to: 5", "schema", "equal_to wants a text"),
        ("init: a, shape: 5", "schema", "shape wants a list"),
        ("init: a, shape: [-1]", "schema", "shape.0 wants a whole number from 0"),
        ("init: [a], shape: [1]", "schema", "the name of one new tensor"),
        ("init: a, shape: [9223372036854775807, 2]", "schema", "more elements than can be"),
        ("init: a, shape: [1], value: base", "schema", "a new tensor has no value in the base"),
        ("init: a, shape: [1], value: one", "schema", "value wants a number, or base"),
        ("init: a, shape: [1], dtype: f", "schema", "unknown dtype f"),
        ("init: a, value: true", "schema", "value wants a number, or base"),
        ("tie: a", "schema", "the key 'with' is missing"),
        ("tie: '{x}', with: b", "capture", "both sides name the same captures; only one has x"),
        ("from: '{x}.w', to: b", "capture", "both sides name the same captures; only one has x"),
        ("from: a, to: '{x}.w'", "capture", "only one has x"),
        ("from: '{x', to: b", "capture", "a brace is not closed"),
        ("from: '{x@t}', to: b", "table", "the file has no table 't'"),
        ("from: a, drop: b", "schema", "exactly one of from, layer, drop, init, tie; here: from, "),
        ("to: b", "schema", "exactly one of from, layer, drop, init, tie"),
    ],
)
def test_a_rule_is_refused(text: str, id: str, words: str) -> None:
    found = rule(text)
    assert [i for i, _, what in found if words in what] == [id], found


@pytest.mark.parametrize("entry", ["5", "a", "[from, a]", "null", "{}"])
def test_a_rule_is_a_map_of_one_form(entry: str) -> None:
    (found,) = refusals(document(f"- {entry}"))
    assert found[:2] == ("schema", FIRST)
    assert "a rule has exactly one of" in found[2]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("rules", "5", "rules wants a list"),
        ("tables", "5", "tables wants a map"),
        ("tables", "{t: 5}", "tables.t wants a map"),
        ("tables", "{t: {a: [b]}}", "tables.t.a wants a text"),
        ("tables", "{t: {a: true}}", "tables.t.a wants a text"),
        ("tables", "{t: {a: b, c: b}}", "table 't' has one value for two keys"),
        ("sizes", "5", "sizes wants a map"),
        ("sizes", "{hh: 12}", "hh is an axis of no layout"),
        ("policy", "5", "policy wants a text"),
        ("policy", "[gap]", "policy wants a text"),
        ("policy", "lax", "no policy 'lax'"),
        ("policy", "{gap: maybe}", "gap cannot be 'maybe'"),
        ("include", "5", "a selector is a glob"),
        ("exclude", "{}", "a selector needs a word"),
        ("notes", "5", "notes wants a list"),
        ("review", "x", "review wants a list"),
        ("source", "5", "wants a map of dialect, optional_prefix"),
        ("source", "{dialect: tensorflow}", "dialect wants keras | torch | onnx | flax | tf"),
        ("target", "{optional_prefix: 5}", "optional_prefix wants a text"),
        ("target", "{optional_prefix: [5]}", "optional_prefix wants a text"),
        ("name", "[x]", "name wants a text"),
        ("weightsurgeon", "2", "weightsurgeon wants 1, not '2'"),
        ("weightsurgeon", "true", "weightsurgeon wants 1"),
        ("wieght", "1", "the key 'wieght' is unknown"),
    ],
)
def test_a_file_is_refused_in_one_line(key: str, value: str, words: str) -> None:
    keys = {"weightsurgeon": "1", "rules": "[{from: a, to: b}]"} | {key: value}
    text = "".join(f"{k}: {v}\n" for k, v in keys.items())
    found = refusals(text)
    assert [what for _, _, what in found if words in what], found
    assert len(found) == 1
    assert found[0][1] == list(keys).index(key) + 1


@pytest.mark.parametrize("text", ["", "5", "[a]", "a: 1", "{rules: [], steps: []}"])
def test_what_is_neither_mapping_nor_plan(text: str) -> None:
    ((id, line, what),) = refusals(text)
    assert (id, line) == ("schema", 1)
    assert "holds either `rules` (a mapping) or `steps` (a plan)" in what


def test_a_plan_is_no_mapping() -> None:
    assert refusals("steps: []") == [("schema", 1, "is a plan: `weightsurgeon run` it")]


def test_a_version_is_asked_for() -> None:
    assert refusals("rules: []") == [("schema", 1, "the key 'weightsurgeon' is missing")]


def test_ten_kinds_of_mistakes_are_told_at_once() -> None:
    rules = """\
- {from: a, to: b, frm: c}
- {from: "{x}", to: b}
- {from: "{x@nope}", to: b}
- {from: a, to: b, layout: a b}
- {from: a, to: b, layout: a b -> b a, sizes: {z: 3}}
- {layer: a, to: b, kind: dense}
- {layer: a, to: b, kind: linear, roles: {biass: fill}}
- {from: a, to: b, repeat: {e: 2}}
- {drop: {role: kernal}}
- {init: a, shape: [x]}
- {from: a, drop: b}
- {from: good, to: better}"""
    found = refusals(document(rules, more="policy: lax\ntables: {t: {a: b, c: b}}"))
    assert [(id, line) for id, line, _ in found] == [
        ("schema", FIRST),
        ("capture", FIRST + 1),
        ("table", FIRST + 2),
        ("layout", FIRST + 3),
        ("size", FIRST + 4),
        ("kind", FIRST + 5),
        ("role", FIRST + 6),
        ("layout", FIRST + 7),
        ("schema", FIRST + 8),
        ("schema", FIRST + 9),
        ("schema", FIRST + 10),
        ("schema", FIRST + 12),
        ("table", FIRST + 13),
    ]


def test_the_line_is_that_of_the_key() -> None:
    text = document("-\n  from: a\n\n  to: b\n  layout: a b -> b a\n  sizes:\n    a: x\n")
    assert refusals(text) == [("schema", FIRST + 6, "sizes.a wants a whole number from 0, not 'x'")]


def test_what_is_right_is_read() -> None:
    rules = """\
- {from: "{m@t}.{i:int}", to: "{i}.{m@t}", layout: K a -> a K, sizes: {kh: 3}, cast: bfloat16,
   when: {rank: 4}, optional: true, doc: because}
- {layer: a, to: [b, c], kind: separable, options: {groups: 3}, roles: {bias: fill}}
- {drop: [a, {role: bias}], equal_to: b}
- {init: a, shape: [], value: 0.5, dtype: float16}
- {tie: "a.{i}", with: "b.{i:int}"}"""
    more = "sizes: {kw: 3}\ntables: {t: {1: a, b: 2}}\npolicy: {preset: transfer, gap: skip}\n"
    more += "include: '*'\nexclude: {rank: 1}\nname: x\nnotes: [y]\nreview: [{z: 1}]"
    found = loads(document(rules, "torch", "keras", more))
    assert len(found.rules) == 5
    assert [r.line for r in found.rules] == [FIRST, FIRST + 2, FIRST + 3, FIRST + 4, FIRST + 5]
    assert found.notes == ("y",)
    assert found.policy["gap"] == "skip"
