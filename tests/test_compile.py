"""From rules and files to a plan: policies, bases, selections, drops; and back, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from porting import FIRST, Bench, count, lines_of, mapping, save

from weightsurgeon.api import port
from weightsurgeon.errors import PlanError


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


A, B, C = count(2), count(2, start=5), count(3)


# -- ten mistakes ----------------------------------------------------------------------------


def test_ten_mistakes_of_names_shapes_axes_and_dtypes_are_told_at_once(bench: Bench) -> None:
    tensors = {
        "amb_i_guous": A,
        "sq": count(4, 4),
        "small": count(2, 3),
        "wide": np.ones(2, "float64"),
        "heads": count(6, 4),
        "one": A,
        "two": B,
        "away": A,
        "kept": A,
        "copy": B,
        "stray": A,
        "low.1": A,
        "odd": A,
    }
    rules = """\
- {from: "{a}_{b}", to: "{a}.{b}"}
- {from: sq, to: sq}
- {from: small, to: small, layout: a b -> b a}
- {from: wide, to: wide}
- {from: heads, to: heads, layout: "(h k) d -> h k d"}
- {from: one, to: both}
- {from: two, to: both}
- {from: away, to: awry}
- {from: gone, to: gone}
- {drop: copy, equal_to: nothing}
- {from: "low.{i:int}", to: "low.{i-2}"}
- {from: "{x}", to: "{x@t}", when: {dtype: float32}, optional: true}
- {from: kept, to: kept}"""
    base = {
        "sq": count(4, 4),
        "small": count(3, 3),
        "wide": A,
        "heads": count(4, 3, 8),
        "both": A,
        "away": A,
        "kept": A,
        "missed": C,
    }
    found = mapping(rules, "torch", "keras", "tables: {t: {kept: kept}}")
    problems = [line.split(":", 3) for line in bench.refuse(tensors, found, base)]
    ids = {(p[1], p[2].strip()) if p[1].strip().isdigit() else ("", p[1].strip()) for p in problems}
    assert ids == {
        (str(FIRST), "ambiguous"),
        (str(FIRST + 1), "axes"),
        (str(FIRST + 2), "shape"),
        (str(FIRST + 3), "lossy-cast"),
        (str(FIRST + 4), "shape"),
        (str(FIRST + 6), "collision"),
        (str(FIRST + 7), "no-such-target"),
        (str(FIRST + 8), "dead-rule"),
        (str(FIRST + 9), "unequal"),
        (str(FIRST + 10), "index"),
        (str(FIRST + 11), "table"),
        ("", "unmatched-target"),
    } | {(str(FIRST + 12), "dead-rule")}
    assert problems == sorted(problems, key=lambda p: int(p[1]) if p[1].isdigit() else 0)


def test_what_is_refused_is_not_missed_as_well(bench: Bench) -> None:
    """One problem, one line: the target of a refused binding is not unmatched too."""
    lines = bench.refuse({"a": A}, "- {from: a, to: b}", {"b": C})
    assert [line.split(": ")[1] for line in lines] == ["shape"]


def test_two_sources_for_one_target(bench: Bench) -> None:
    rules = "- {from: a, to: w}\n- {from: b, to: w}"
    assert bench.refuse({"a": A, "b": A}, rules) == [  # equal bytes or not
        f"m.yaml:{FIRST + 1}: collision: w is made from b and from a (m.yaml:{FIRST})"
    ]


def test_a_name_that_the_base_lacks(bench: Bench) -> None:
    tensors = {f"l.{i}.w": A for i in range(9)}
    lines = bench.refuse(tensors, '- {from: "{n:path}", to: "x.{n}"}', {"x.k.0.w": A})
    assert lines[1] == (
        f"m.yaml:{FIRST}: no-such-target: x.l.{{0..8}}.w is made, but the target has no such "
        "tensor; did you mean x.k.0.w?"
    )


# -- drops -----------------------------------------------------------------------------------


def test_drops_are_listed(bench: Bench) -> None:
    out = bench.port({"a": A, "m.x": B, "m.y": C}, "- {drop: m.*}\n- {from: a, to: a}")
    assert sorted(out) == ["a"]
    assert bench.lines("dropped") == [f"by m.yaml:{FIRST}: m.x, m.y"]


def test_a_drop_may_ask_for_equal_bits(bench: Bench) -> None:
    rules = "- {drop: head, equal_to: wte}\n- {from: wte, to: tok}"
    assert sorted(bench.port({"head": A, "wte": A}, rules)) == ["tok"]
    assert bench.refuse({"head": A + A, "wte": A}, rules) == [
        f"m.yaml:{FIRST}: unequal: head differs from wte: map it by its own rule; first at [1]"
    ]
    assert bench.refuse({"head": -0.0 * A, "wte": 0.0 * A}, rules)  # bits, not values
    (line,) = bench.refuse({"head": C, "wte": A}, rules)
    assert line.endswith("float32 (3,) and float32 (2,)")
    (line,) = bench.refuse({"head": A, "tok": A}, rules.replace("from: wte", "from: tok"))
    assert line.endswith("unequal: equal_to: the source has no tensor wte")


# -- bases -----------------------------------------------------------------------------------


def test_a_template_demands_all_of_its_tensors_in_its_order(bench: Bench) -> None:
    base = {"z": C, "b": A, "a": A}
    rules = "- {from: x, to: a}\n- {from: y, to: b}"
    assert bench.refuse({"x": A, "y": B}, rules, base) == [
        "m.yaml: unmatched-target: z float32 (3,): no rule makes it"
    ]
    out = bench.port({"x": A, "y": B, "w": 2 * C}, f"{rules}\n- {{from: w, to: z}}", base)
    assert np.array_equal(out["z"], 2 * C)
    from weightsurgeon.api import open as open_

    with open_(bench.output) as found, open_(bench.folder / "base.safetensors") as wanted:
        assert list(found) == list(wanted)


def test_into_keeps_what_no_rule_makes_and_lists_it(bench: Bench) -> None:
    base = {"a": A, "kept1": B, "kept2": C}
    out = bench.port({"x": 7 * A}, "- {from: x, to: a}", base, into=True)
    assert {k: v.tolist() for k, v in out.items()} == {
        "a": (7 * A).tolist(),
        "kept1": B.tolist(),
        "kept2": C.tolist(),
    }
    assert bench.lines("kept") == ["2 tensors keep the base's values: kept1, kept2"]
    assert bench.actions() == {"a": "copied", "kept1": "kept", "kept2": "kept"}


def test_into_with_a_policy_obeys_it(bench: Bench) -> None:
    rules = mapping("- {from: x, to: a}", more="policy: strict")
    lines = bench.refuse({"x": A}, rules, {"a": A, "b": B}, into=True)
    assert lines == ["m.yaml: unmatched-target: b float32 (2,): no rule makes it"]
    out = bench.port({"x": A}, rules, {"a": A, "b": B}, into=True, policy="transfer")
    assert sorted(out) == ["a", "b"]


def test_a_template_has_no_values_to_keep(bench: Bench) -> None:
    lines = bench.refuse({"x": A}, "- {from: x, to: a}", {"a": A, "b": B}, policy="transfer")
    assert lines == ["m.yaml: unmatched-target: b float32 (2,): no rule makes it"]


def test_template_and_into_exclude_each_other(bench: Bench) -> None:
    with pytest.raises(Exception, match="--template or --into, not both"):
        port("x", "y.safetensors", template="a", into="b")
    assert bench


# -- policies --------------------------------------------------------------------------------


def test_transfer_lists_what_strict_refuses(bench: Bench) -> None:
    tensors = {"a": A, "more": B, "new": C}
    rules = "- {from: a, to: a}\n- {from: nope, to: b}\n- {from: new, to: newer}"
    base = {"a": A, "b": B}
    assert len(bench.refuse(tensors, rules, base, into=True)) == 3
    out = bench.port(tensors, rules, base, into=True, policy="transfer")
    assert sorted(out) == ["a", "b"]
    assert bench.lines("unmatched-source") == [
        "more float32 (2,): no rule takes it; drop it or map it: more"
    ]
    (dead,) = bench.lines("dead-rule")
    assert dead.startswith(f"m.yaml:{FIRST + 1}: 'nope' matches no tensor of the source")
    assert bench.lines("no-such-target")[0].startswith("newer is made, but the target has no such")
    assert bench.lines("kept") == ["1 tensors keep the base's values: b"]


def test_one_id_can_be_ignored(bench: Bench) -> None:
    out = bench.port({"a": A, "b": B}, "- {from: a, to: a}", policy=["unmatched_source=ignore"])
    assert sorted(out) == ["a"]
    assert bench.report is not None
    assert bench.report.lines == ()


def test_a_binding_that_does_not_fit_can_be_skipped(bench: Bench) -> None:
    rules = "- {from: a, to: a}\n- {from: head, to: head}"
    base = {"a": A, "head": count(5)}
    out = bench.port({"a": 3 * A, "head": C}, rules, base, into=True, policy=["shape=skip"])
    assert out["head"].tolist() == count(5).tolist()
    (line,) = bench.lines("shape")
    assert line.startswith("left out: head → head: float32 (3,) does not fit float32 (5,)")


def test_an_audit_lists_everything_and_writes_nothing(bench: Bench) -> None:
    rules = mapping("- {from: a, to: b}\n- {from: gone, to: c}", more="policy: audit")
    assert bench.port({"a": A, "more": B}, rules, {"b": C}) == {}
    assert bench.report is not None
    assert not bench.report.written
    assert {line.id for line in bench.report.lines} == {
        "shape",
        "unmatched-source",
        "unmatched-target",
        "dead-rule",
    }
    assert not bench.output.exists()


def test_what_no_policy_allows_is_an_error_in_an_audit_too(bench: Bench) -> None:
    rules = mapping("- {from: a, to: w}\n- {from: b, to: w}", more="policy: audit")
    assert ": collision: " in bench.refuse({"a": A, "b": A}, rules)[0]


# -- include, exclude ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("include: new.*", ["new.a", "new.m"]),
        ("exclude: new.*", ["old"]),
        ("include: '*'\nexclude: {rank: 2}", ["new.a", "old"]),
        ("include: [old, {rank: 2}]", ["new.m", "old"]),
    ],
)
def test_include_and_exclude_are_about_target_names(
    bench: Bench, more: str, wanted: list[str]
) -> None:
    rules = "- {from: a, to: new.a}\n- {from: m, to: new.m}\n- {from: o, to: old}"
    tensors = {"a": A, "m": count(2, 2), "o": C}
    out = bench.port(tensors, mapping(rules, more=more))
    assert sorted(out) == wanted
    left = sorted({"new.a", "new.m", "old"} - set(wanted))
    assert bench.lines("exclude") == [f"left out of the target: {', '.join(left)}"]


def test_what_is_excluded_is_kept_from_the_base(bench: Bench) -> None:
    rules = mapping('- {from: "{n:path}", to: "{n}"}', more="exclude: head.*")
    base = {"a": A, "head.w": C}
    out = bench.port({"a": 2 * A, "head.w": count(9)}, rules, base, into=True)
    assert np.array_equal(out["head.w"], C)
    assert np.array_equal(out["a"], 2 * A)


# -- twice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [("torch", "torch"), ("keras", "torch")])
def test_a_mapping_is_not_applied_to_what_it_made(bench: Bench, sides: tuple[str, str]) -> None:
    rules = mapping('- {from: "{n:path}", to: "encoder/{n}"}', *sides)
    bench.port({"a": A}, rules)
    made = bench.output.rename(bench.folder / "made.safetensors")
    with pytest.raises(PlanError) as caught:
        port(made, bench.output, rules)
    (line,) = lines_of(caught.value)
    assert line.startswith("m.yaml: twice: ")
    assert line.endswith("made.safetensors was made by this mapping; use the original, or --again")
    copied = bench.folder / "copied.safetensors"
    port(made, copied)  # a copy is still what the mapping made
    with pytest.raises(PlanError, match="twice"):
        port(copied, bench.output, rules)
    if sides[0] == sides[1]:
        port(made, bench.output, rules, again=True)
        port(made, bench.output, mapping("- {from: encoder/a, to: b}"))  # another mapping may


# -- there and back --------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)


@st.composite
def mappings(draw: st.DrawFn) -> tuple[dict[str, Any], str, str]:
    """Tensors, rules that move them, and the rules that move them back, inverted by hand."""
    tensors, there, back = {}, [], []
    for name in draw(NAMES):
        shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
        order = draw(st.permutations(range(len(shape))))
        signs = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        dtype = draw(st.sampled_from(["float32", "float16", "int64", "uint8", "bool"]))
        axes = [f"x{i}" for i in range(len(shape))]
        here = " ".join(axes)
        moved = " ".join(("-" if signs[i] else "") + axes[i] for i in order)
        if draw(st.booleans()):
            moved = f"({moved})"  # all of it joined into one axis
        sizes = ", ".join(f"{a}: {n}" for a, n in zip(axes, shape, strict=True))
        number = draw(st.integers(0, 20))
        tensors[f"{name}.{number}.w"] = count(*shape).astype(dtype)
        old, new = f'"{name}.{{i:int}}.w"', f'"{name}/deep/{{i+3}}"'
        new_back, old_back = f'"{name}/deep/{{i+3:int}}"', f'"{name}.{{i}}.w"'
        size = f"sizes: {{{sizes}}}"
        there.append(f'- {{from: {old}, to: {new}, layout: "{here} -> {moved}", {size}}}')
        back.append(f'- {{from: {new_back}, to: {old_back}, layout: "{moved} -> {here}", {size}}}')
    return tensors, "\n".join(there), "\n".join(back)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(mappings())
def test_there_and_back_is_bit_exact(bench: Bench, case: tuple[dict[str, Any], str, str]) -> None:
    tensors, there, back = case
    moved = bench.port(tensors, mapping(there, "torch", "keras"))
    assert len(moved) == len(tensors)
    found = bench.port(moved, mapping(back, "keras", "torch"))
    assert found.keys() == tensors.keys()
    for name, x in tensors.items():
        assert found[name].dtype == x.dtype
        assert found[name].shape == x.shape
        assert found[name].tobytes() == x.tobytes()


def test_many_names_and_rules_take_no_time(bench: Bench) -> None:
    import time

    tensors = {f"l.{i}.b{j}.w": np.zeros(1, "int8") for i in range(400) for j in range(10)}
    rules = [f'- {{from: "l.{{i:int}}.b{j}.w", to: "m.{{i}}.c{j}.w"}}' for j in range(10)]
    dead = [f"- {{from: l.x{j}, to: y{j}}}" for j in range(20)]
    source = save(bench.folder / "in.safetensors", tensors)
    start = time.monotonic()
    port(source, bench.output, mapping("\n".join(rules)), dry_run=True)
    with pytest.raises(PlanError) as caught:
        port(source, bench.output, mapping("\n".join(rules + dead)))
    assert time.monotonic() - start < 10
    assert len(caught.value.problems) == 20


def test_what_a_template_has_and_is_excluded_is_not_missed(bench: Bench) -> None:
    rules = mapping("- {from: a, to: a}", more="exclude: head.*")
    assert sorted(bench.port({"a": A}, rules, {"a": A, "head.w": C})) == ["a"]
    lines = bench.refuse({"a": A}, rules, {"a": A, "head.w": C, "tail.w": C})
    assert lines == ["m.yaml: unmatched-target: tail.w float32 (3,): no rule makes it"]


def test_values_that_become_infinite_are_counted_and_named(bench: Bench) -> None:
    x = {"big": np.array([1e30, -1e30, 1, np.inf], "float32"), "small": count(4)}
    rules = '- {from: "{n}", to: "{n}", cast: float16}'
    assert any("no place in float16" in line for line in bench.refuse(x, rules))
    found = bench.port(x, rules, policy="nonfinite=list")
    assert np.array_equal(found["big"], np.array([np.inf, -np.inf, 1, np.inf], "float16"))
    assert bench.lines("nonfinite") == ["2 finite values are infinite as float16: big"]
    bench.port(x, rules, policy="nonfinite=ignore")
    assert bench.lines("nonfinite") == []
