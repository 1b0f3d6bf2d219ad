"""Who takes what: the first rule that fits; what nobody takes, and rules that take nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from porting import FIRST, Bench, count, mapping

from weightsurgeon.mapping.claim import split
from weightsurgeon.mapping.load import loads


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


A, B = count(2), count(2, start=5)


def test_the_first_rule_takes_a_tensor(bench: Bench) -> None:
    out = bench.port({"a.w": A, "b.w": B}, '- {from: a.w, to: first}\n- {from: "{x}.w", to: "{x}"}')
    assert sorted(out) == ["b", "first"]
    assert np.array_equal(out["b"], B)


def test_when_is_part_of_the_match(bench: Bench) -> None:
    rules = '- {from: "{x}.w", to: "{x}.v", when: {rank: 1}}\n- {from: "{x}.w", to: "{x}.m"}'
    out = bench.port({"a.w": A, "b.w": count(2, 2)}, rules)
    assert sorted(out) == ["a.v", "b.m"]


@pytest.mark.parametrize(
    ("names", "rule", "wanted"),
    [
        (["conv1.w"], '{from: "conv{i:int}.w", to: "c.{i-1}.w"}', ["c.0.w"]),
        (["c.w", "c_1.w"], '{from: "c{i:nth}.w", to: "c.{i}.w"}', None),
        (["c.w", "c_1.w"], '{from: "c{i:nth}.w", to: "c.{i:int}.w"}', ["c.0.w", "c.1.w"]),
        (["a.b.c"], '{from: "{n:path}", to: "x.{n}"}', ["x.a.b.c"]),
    ],
)
def test_names_are_rewritten(
    bench: Bench, names: list[str], rule: str, wanted: list[str] | None
) -> None:
    out = bench.port(dict.fromkeys(names, A), f"- {rule}")
    assert sorted(out) == (wanted or ["c..w", "c._1.w"])


def test_tables_name_each_side(bench: Bench) -> None:
    rules = '- {from: "l.{i:int}.{m@norm}.w", to: "b{i}.{m@norm}.w"}'
    tables = "tables: {norm: {attention.output.Norm: attn_norm, output.Norm: ffn_norm}}"
    names = ["l.0.attention.output.Norm.w", "l.1.output.Norm.w"]
    out = bench.port(dict.fromkeys(names, A), mapping(rules, more=tables))
    assert sorted(out) == ["b0.attn_norm.w", "b1.ffn_norm.w"]


@pytest.mark.parametrize(
    ("names", "rules", "wanted"),
    [
        (
            ["x_y_z"],
            '- {from: "{a}_{b}", to: "{a}.{b}"}',
            [f"m.yaml:{FIRST}: ambiguous: x_y_z fits '{{a}}_{{b}}' in two ways"],
        ),
        (
            ["a/b", "a.b"],
            "- {from: a/b, to: c}",
            [f"m.yaml:{FIRST}: ambiguous: a.b and a/b are the same to this rule"],
        ),
        (
            ["n.weight", "n.gamma"],
            "- {layer: n, to: n, kind: layernorm}",
            [f"m.yaml:{FIRST}: ambiguous: n.gamma and n.weight are the same to this rule"],
        ),
        (
            ["a.1"],
            '- {from: "a.{i:int}", to: "b.{i-2}"}',
            [f"m.yaml:{FIRST}: index: 'b.{{i-2}}' with i=1 is -1"],
        ),
        (
            ["q.w"],
            '- {from: "{x}.w", to: "{x@t}.w"}',
            [f"m.yaml:{FIRST}: table: 'q' is no key of table 't', which '{{x@t}}.w' asks for"],
        ),
    ],
)
def test_a_name_is_refused_with_the_line_of_its_rule(
    bench: Bench, names: list[str], rules: str, wanted: list[str]
) -> None:
    found = mapping(rules, more="tables: {t: {a: b}}")
    assert bench.refuse(dict.fromkeys(names, A), found) == wanted


def test_what_nobody_takes_is_refused_in_groups(bench: Bench) -> None:
    tensors = {f"l.{i}.w": A for i in range(12)} | {"a": A, "odd": count(3, 2)}
    assert bench.refuse(tensors, "- {from: a, to: b}") == [
        "m.yaml: unmatched-source: l.{0..11}.w float32 (2,): no rule takes it; drop it or map it",
        "m.yaml: unmatched-source: odd float32 (3, 2): no rule takes it; drop it or map it",
    ]


def test_a_dead_rule_names_the_nearest(bench: Bench) -> None:
    rules = '- {from: a.weight, to: b}\n- {from: "conv{i:int}.wieght", to: "c{i}"}'
    (line,) = bench.refuse({"a.weight": A}, rules)
    assert line.startswith(f"m.yaml:{FIRST + 1}: dead-rule: 'conv{{i:int}}.wieght' matches no ")
    lines = bench.refuse({"fc1.weight": A}, "- {from: fc1.weigth, to: b}")
    assert any(line.endswith("nearest: fc1.weight") for line in lines)
    lines = bench.refuse({"fc1.weight": A}, "- {layer: fc2, to: b, kind: linear}")
    assert any(
        line.endswith("'fc2' matches no tensor of the source; nearest: fc1") for line in lines
    )


def test_a_dead_rule_names_who_took_its_tensors(bench: Bench) -> None:
    rules = '- {from: "{n:path}", to: "{n}"}\n- {from: a.w, to: b}\n- {drop: "a.*"}'
    assert bench.refuse({"a.w": A}, rules) == [
        f"m.yaml:{FIRST + 1}: dead-rule: 'a.w' matches only what m.yaml:{FIRST} took, as a.w",
        f"m.yaml:{FIRST + 2}: dead-rule: drop a.* matches only what m.yaml:{FIRST} took, as a.w",
    ]
    assert bench.refuse({"a.w": A}, "- {from: a.w, to: b}\n- {drop: [x, y]}") == [
        f"m.yaml:{FIRST + 1}: dead-rule: drop ['x', 'y'] selects no tensor of the source"
    ]


def test_an_optional_rule_may_take_nothing(bench: Bench) -> None:
    rules = "- {from: x, to: y, optional: true}\n- {drop: x.*, optional: true}\n- {from: a, to: b}"
    assert sorted(bench.port({"a": A}, rules)) == ["b"]


# -- prefixes --------------------------------------------------------------------------------


def prefixed(prefix: str, side: str = "source") -> str:
    return f"{side}: {{dialect: torch, optional_prefix: {prefix}}}"


def with_prefix(rules: str, source: str = "", target: str = "") -> object:
    from weightsurgeon.mapping.load import loads

    sides = [prefixed(p, s) if p else f"{s}: {{dialect: torch}}" for s, p in
             (("source", source), ("target", target))]  # fmt: skip
    return loads(f"weightsurgeon: 1\n{sides[0]}\n{sides[1]}\nrules:\n{rules}\n", "m.yaml")


RENAME = '- {from: "body.{n:path}", to: "core.{n}"}\n- {from: head.w, to: head.w, optional: true}'


@pytest.mark.parametrize("names", [["bert.body.w"], ["body.w"], ["bert.body.w", "head.w"]])
def test_an_optional_prefix_comes_off_the_names_that_have_it(
    bench: Bench, names: list[str]
) -> None:
    out = bench.port(dict.fromkeys(names, A), with_prefix(RENAME, "bert."))  # type: ignore[arg-type]
    assert sorted(out) == sorted(["core.w", *names[1:]])
    taken = bench.lines("prefix")
    assert len(taken) == ("bert.body.w" in names)
    assert all(f"'bert.' taken off 1 of {len(names)} names" in line for line in taken)


def test_the_first_prefix_that_is_there_is_taken(bench: Bench) -> None:
    rules = with_prefix(RENAME, "[module., bert.]")
    assert sorted(bench.port({"bert.body.w": A}, rules)) == ["core.w"]  # type: ignore[arg-type]
    lines = bench.refuse({"module.body.w": A, "bert.body.x": A}, rules)  # type: ignore[arg-type]
    assert any("unmatched-source: bert.body.x" in line for line in lines)


def test_two_names_that_become_one_are_refused(bench: Bench) -> None:
    rules = with_prefix(RENAME, "bert.")
    lines = bench.refuse({"bert.body.w": A, "body.w": A}, rules)  # type: ignore[arg-type]
    assert lines[0] == "m.yaml: prefix: without 'bert.', bert.body.w and body.w are one"


def test_the_base_decides_about_the_prefix_of_the_target(bench: Bench) -> None:
    rules = with_prefix(RENAME, "", "net.")
    assert sorted(bench.port({"body.w": A}, rules)) == ["core.w"]  # type: ignore[arg-type]
    out = bench.port({"body.w": A}, rules, base={"net.core.w": B})  # type: ignore[arg-type]
    assert sorted(out) == ["net.core.w"]
    out = bench.port({"body.w": A}, rules, base={"core.w": B})  # type: ignore[arg-type]
    assert sorted(out) == ["core.w"]


def test_the_base_decides_how_a_name_is_spelt(bench: Bench) -> None:
    rules = mapping('- {from: "{n:path}.w", to: "{n}.k"}', "torch", "keras")
    out = bench.port({"a.b.w": A}, rules, base={"a.b/k": B})
    assert sorted(out) == ["a.b/k"]


# -- kinds told by files ---------------------------------------------------------------------


def test_without_a_dialect_a_kind_means_nothing(bench: Bench) -> None:
    from weightsurgeon.mapping.load import loads

    rules = loads("weightsurgeon: 1\nrules:\n- {layer: a, to: b, kind: linear}\n", "m.yaml")
    lines = bench.refuse({"a.odd": A}, rules)
    assert [line for line in lines if ": kind: " in line] == [
        "m.yaml:3: kind: the dialect of the source is not known; say source: {dialect: …}",
        "m.yaml:3: kind: the dialect of the target is not known; say target: {dialect: …}",
    ]


def test_kind_auto_asks_the_files(bench: Bench) -> None:
    found = mapping("- {layer: bn, to: norm, kind: auto}", "torch", "keras")
    tensors = {f"bn.{x}": A for x in ("weight", "bias", "running_mean", "running_var")}
    out = bench.port(tensors, found)
    assert sorted(out) == ["norm/beta", "norm/gamma", "norm/moving_mean", "norm/moving_variance"]
    lines = bench.refuse({"fc.weight": count(2, 2)}, mapping("- {layer: fc, to: a, kind: auto}"))
    assert lines == [
        f"m.yaml:{FIRST}: kind: kind auto: of fc the files do not tell it; write the kind"
    ]


def test_kind_auto_refuses_files_that_disagree(bench: Bench) -> None:
    keras = bench.folder / "k.safetensors"
    rules = mapping("- {layer: a, to: a, kind: linear}", "torch", "keras")
    bench.port({"a.weight": count(2, 2)}, rules)
    bench.output.rename(keras)  # its metadata says that a is a linear layer
    bn = {f"a.{x}": A for x in ("weight", "running_mean", "running_var")}
    auto = mapping("- {layer: a, to: a, kind: auto}", "torch", "keras")
    with pytest.raises(Exception, match=re.escape("the files disagree: batchnorm, linear")):
        bench.port(bn, auto, template=keras)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a/b/k", ("a/b", "k")), ("a.b.k", ("a.b", "k")), ("a.b/k", ("a.b", "k")), ("k", ("", "k"))],
)
def test_a_name_is_a_layer_and_a_leaf(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts


SEGMENTED = """
weightsurgeon: 1
source: {dialect: torch, optional_segment: _orig_mod}
target: {dialect: torch, optional_segment: [_orig_mod, m]}
rules: [{from: "{n:path}", to: "{n}"}]
"""


def test_a_segment_comes_off_wherever_it_stands(bench: Bench) -> None:
    names = ["0._orig_mod.weight", "_orig_mod.1.bias", "_orig_mod", "x_orig_mod.w"]
    out = bench.port(dict.fromkeys(names, A), loads(SEGMENTED))
    assert sorted(out) == ["0.weight", "1.bias", "_orig_mod", "x_orig_mod.w"]
    (line,) = bench.lines("prefix")
    assert line.startswith("'_orig_mod' taken off 2 of 4 names")


def test_a_base_decides_where_its_segments_stand(bench: Bench) -> None:
    out = bench.port({"a._orig_mod.w": A, "b.w": B}, loads(SEGMENTED), {"a.m.w": A, "m.b.w": A})
    assert {name: x.tolist() for name, x in out.items()} == {"a.m.w": [0, 1], "m.b.w": [5, 6]}


def test_two_names_that_a_segment_told_apart_are_refused(bench: Bench) -> None:
    lines = bench.refuse({"a.w": A, "a._orig_mod.w": B}, loads(SEGMENTED))
    assert any("prefix: without '_orig_mod', a._orig_mod.w and a.w are one" in x for x in lines)
