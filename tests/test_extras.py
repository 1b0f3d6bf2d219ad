"""Inits and ties: tensors that no source makes, and one tensor under two names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import FIRST, Bench, count, mapping

from weightsurgeon.mapping.extras import holds
from weightsurgeon.spec import dtype_of


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


A, B = count(2), count(2, start=5)
MOVE = "- {from: a, to: a}\n"


# -- init ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "dtype", "value"),
    [
        ("shape: [2, 3]", "float32", 0),
        ("shape: [2], value: 0.5", "float32", 0.5),
        ("shape: [], value: 7, dtype: int64", "int64", 7),
        ("shape: [1], value: 1, dtype: bool", "bool", True),
        ("shape: [0], dtype: float16", "float16", 0),
        ("shape: [1], value: -1e-3, dtype: float64", "float64", -1e-3),
    ],
)
def test_a_new_tensor_is_made(bench: Bench, keys: str, dtype: str, value: float) -> None:
    out = bench.port({"a": A}, f"{MOVE}- {{init: head.bias, {keys}}}")["head.bias"]
    assert out.dtype == dtype
    assert np.all(out == value)
    assert bench.actions()["head.bias"] == "made"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("value: 0.5, dtype: int64", "int64 has no value 0.5"),
        ("value: 256, dtype: uint8", "uint8 has no value 256"),
        ("value: -1, dtype: uint8", "uint8 has no value -1"),
        ("value: 2, dtype: bool", "bool has no value 2"),
        ("value: 1e6, dtype: float16", "float16 has no value 1000000.0"),
        ("value: 1e400", "float32 has no value inf"),
        ("value: 1e400, dtype: int8", "int8 has no value inf"),
        ("dtype: float4_e2m1fn", "float4_e2m1fn has no value 0"),
    ],
)
def test_a_value_that_a_dtype_lacks_is_refused(bench: Bench, keys: str, words: str) -> None:
    lines = bench.refuse({"a": A}, f"{MOVE}- {{init: n, shape: [1], {keys}}}")
    assert lines == [f"m.yaml:{FIRST + 1}: lossy-cast: n: {words}"]


@pytest.mark.parametrize(
    ("dtype", "value", "wanted"),
    [
        ("int8", 127, True),
        ("int8", 128, False),
        ("int8", -128, True),
        ("int8", -129, False),
        ("int64", 2**63 - 1, True),
        ("int64", 2**63, False),
        ("uint64", 2**64 - 1, True),
        ("float16", 65504, True),
        ("float16", 65520, False),
        ("bfloat16", 3e38, True),
        ("complex64", 1.5, True),
        ("bool", 1, True),
    ],
)
def test_which_values_a_dtype_holds(dtype: str, value: float, wanted: bool) -> None:
    assert holds(dtype_of(dtype), value) is wanted


def test_base_tensors_that_no_rule_makes_are_set(bench: Bench) -> None:
    base = {"a": A, "head.w": count(2, 2), "head.b": B, "rest": B}
    rules = f"{MOVE}- {{init: head.*, value: 0.25}}\n- {{init: rest, value: base}}"
    out = bench.port({"a": 2 * A}, rules, base, into=True)
    assert np.all(out["head.w"] == 0.25)
    assert np.all(out["head.b"] == 0.25)
    assert np.array_equal(out["rest"], B)
    assert np.array_equal(out["a"], 2 * A)
    assert bench.actions() == {"a": "copied", "head.b": "made", "head.w": "made", "rest": "kept"}


def test_an_init_of_the_base_needs_a_base(bench: Bench) -> None:
    assert bench.refuse({"a": A}, f"{MOVE}- {{init: head.*}}") == [
        f"m.yaml:{FIRST + 1}: schema: init head.* selects tensors of a base; give --into"
    ]
    lines = bench.refuse({"a": A}, f"{MOVE}- {{init: b, value: base}}", {"a": A, "b": B})
    assert f"m.yaml:{FIRST + 1}: schema: init b takes values of a base; give --into" in lines


def test_an_init_that_selects_nothing_is_dead(bench: Bench) -> None:
    rules = f"{MOVE}- {{init: a}}"
    assert bench.refuse({"a": A}, rules, {"a": A}) == [
        f"m.yaml:{FIRST + 1}: dead-rule: init a selects nothing that is not made already"
    ]
    assert "a" in bench.port({"a": A}, f"{MOVE}- {{init: a, optional: true}}", {"a": A})


def test_a_new_tensor_obeys_the_base(bench: Bench) -> None:
    base = {"a": A, "n": np.zeros(3, "float16")}
    assert bench.refuse({"a": A}, f"{MOVE}- {{init: n, shape: [5]}}", base) == [
        f"m.yaml:{FIRST + 1}: shape: n float16 (5,) does not fit float16 (3,)"
    ]
    out = bench.port({"a": A}, f"{MOVE}- {{init: n, shape: [3], value: 1}}", base)
    assert out["n"].dtype == np.float16
    lines = bench.refuse({"a": A}, f"{MOVE}- {{init: m, shape: [3]}}", base)
    assert f"m.yaml:{FIRST + 1}: no-such-target: m is made" in lines[1]


def test_an_init_collides_like_any_other(bench: Bench) -> None:
    assert bench.refuse({"a": A}, f"{MOVE}- {{init: a, shape: [2]}}") == [
        f"m.yaml:{FIRST + 1}: collision: a is made from an init and from a (m.yaml:{FIRST})"
    ]


# -- tie -------------------------------------------------------------------------------------


def read_ties(bench: Bench) -> dict[str, str]:
    from weightsurgeon.api import open as open_

    with open_(bench.output) as found:
        return dict(found.ties)


def test_a_tie_is_one_tensor_under_two_names(bench: Bench) -> None:
    rules = "- {tie: head.w, with: tok.w}\n- {from: wte, to: tok.w}"
    out = bench.port({"wte": A}, rules)
    assert sorted(out) == ["tok.w"]  # stored once
    assert read_ties(bench) == {"head.w": "tok.w"}
    assert bench.actions() == {"tok.w": "copied", "head.w": "tied"}


def test_a_tie_may_use_the_captures_of_what_it_is_tied_with(bench: Bench) -> None:
    rules = '- {tie: "dec.{i}.w", with: "enc.{i:int}.w"}\n- {from: "e.{i:int}.w", to: "enc.{i}.w"}'
    bench.port({"e.0.w": A, "e.1.w": B}, rules)
    assert read_ties(bench) == {"dec.0.w": "enc.0.w", "dec.1.w": "enc.1.w"}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("- {tie: b, with: c}\n- {from: a, to: d}", "tie: no rule makes 'c'"),
        (
            "- {tie: b, with: a}\n- {from: a, to: a}\n- {from: x, to: b}",
            f"collision: b is made by m.yaml:{FIRST + 2} too",
        ),
        (
            '- {tie: "n.{i-5}", with: "{i:int}.w"}\n- {from: a, to: 1.w}',
            "index: 'n.{i-5}' with i=1 is -4",
        ),
        (
            '- {tie: "{x}", with: "{x}_{y}"}\n- {from: a, to: a}',
            "capture: both sides name the same captures; only one has y",
        ),
        (
            '- {tie: "{x}.{y}", with: "{x}_{y}"}\n- {from: a, to: a_b_c}',
            "ambiguous: a_b_c fits '{x}_{y}' in two ways",
        ),
    ],
)
def test_a_tie_is_refused(bench: Bench, rules: str, words: str) -> None:
    from weightsurgeon.errors import PlanError

    tensors = {"a": A, "x": B} if "from: x" in rules else {"a": A}
    try:
        lines = bench.refuse(tensors, mapping(rules))
    except PlanError as error:  # already the file is refused
        lines = [str(error)]
    assert f"m.yaml:{FIRST}: {words}" in lines


def test_an_optional_tie_may_tie_nothing(bench: Bench) -> None:
    bench.port({"a": A}, f"{MOVE}- {{tie: b, with: c, optional: true}}")
    assert read_ties(bench) == {}


def test_a_tie_obeys_the_base(bench: Bench) -> None:
    rules = "- {tie: head, with: a}\n- {from: a, to: a}"
    base = {"a": A, "head": count(3)}
    assert bench.refuse({"a": A}, rules, base) == [
        f"m.yaml:{FIRST}: shape: head is float32 (3,) in the target, a is float32 (2,)"
    ]
    (line,) = bench.refuse({"a": A}, rules, {"a": A})
    assert (
        line == f"m.yaml:{FIRST}: no-such-target: head is tied, but the target has no such tensor"
    )
    bench.port({"a": 2 * A}, rules, {"a": A, "head": B})
    assert read_ties(bench) == {"head": "a"}


def test_a_tie_sees_names_without_the_prefix_of_the_base(bench: Bench) -> None:
    from weightsurgeon.mapping.load import loads

    rules = loads(
        "weightsurgeon: 1\nsource: {dialect: torch}\n"
        'target: {dialect: torch, optional_prefix: "m."}\n'
        "rules:\n- {tie: head, with: tok}\n- {from: a, to: tok}\n",
        "m.yaml",
    )
    bench.port({"a": A}, rules, {"m.tok": A, "m.head": A})
    assert read_ties(bench) == {"m.head": "m.tok"}


def test_ties_of_the_source_live_on(bench: Bench) -> None:
    bench.port({"wte": A}, "- {tie: head, with: wte}\n- {from: wte, to: wte}")
    tied = bench.output.rename(bench.folder / "tied.safetensors")
    from weightsurgeon.api import port

    port(tied, bench.output, mapping('- {from: "{n}", to: "x.{n}"}'))
    assert read_ties(bench) == {"x.head": "x.wte"}
    port(tied, bench.output, mapping("- {from: wte, to: x}"))  # the other name counts as taken
    assert read_ties(bench) == {}
    port(tied, bench.output)
    assert read_ties(bench) == {"head": "wte"}


def test_ties_of_the_base_live_on(bench: Bench) -> None:
    bench.port({"a": B}, "- {tie: head, with: tok}\n- {from: a, to: tok}")
    base = bench.output.rename(bench.folder / "tied.safetensors")
    bench.port({"a": A}, "- {from: a, to: tok}", template=base)
    assert read_ties(bench) == {"head": "tok"}
    bench.port({"a": A, "b": B}, "- {from: a, to: tok}\n- {from: b, to: head}", template=base)
    assert read_ties(bench) == {}  # each was made on its own
    lines = bench.refuse({"a": A}, "- {from: a, to: head}", template=base)
    assert lines == ["m.yaml: unmatched-target: tok float32 (2,): no rule makes it"]


def shared(bench: Bench, *names: str) -> Path:
    """A file in which one square tensor has several names; the first is stored."""
    rules = "".join(f"- {{tie: {n}, with: {names[0]}}}\n" for n in names[1:])
    bench.port({"w": count(3, 3)}, f"{rules}- {{from: w, to: {names[0]}}}")
    return bench.output.rename(bench.folder / "shared.safetensors")


def test_a_tie_with_a_name_that_is_itself_tied(bench: Bench) -> None:
    from weightsurgeon.api import port

    source = shared(bench, "a", "b")
    port(source, bench.output, mapping('- {tie: c, with: b}\n- {from: "{n}", to: "{n}"}'))
    assert read_ties(bench) == {"b": "a", "c": "a"}


def test_a_name_is_tied_once(bench: Bench) -> None:
    rules = f"{MOVE}- {{from: b, to: b}}\n- {{tie: c, with: a}}\n- {{tie: c, with: WITH}}"
    for other in ("a", "b"):
        assert bench.refuse({"a": A, "b": B}, rules.replace("WITH", other)) == [
            f"m.yaml:{FIRST + 3}: collision: c is tied with a and with {other}"
        ]


def test_an_embedding_and_a_linear_layer_stay_tied(bench: Bench) -> None:
    from weightsurgeon.api import port

    source = shared(bench, "tok.weight", "head.weight")
    rules = "- {layer: tok, to: tok, kind: embedding}\n- {layer: head, to: head, kind: linear}"
    bench.report = port(source, bench.output, mapping(rules))
    assert read_ties(bench) == {"head.weight": "tok.weight"}
    assert not bench.lines("tied")
    bench.report = port(source, bench.output, mapping(rules, "torch", "keras"))
    assert read_ties(bench) == {}  # a Dense has the transpose
    assert bench.lines("tied") == [
        "one tensor in the source, made in different ways and so stored apart: "
        "tok/embeddings, head/kernel"
    ]


def test_other_names_stay_tied_without_the_first(bench: Bench) -> None:
    from weightsurgeon.api import port

    source = shared(bench, "a", "b", "c")
    rules = '- {drop: a}\n- {from: b, to: b}\n- {from: c, to: c, layout: "x y -> x y"}'
    port(source, bench.output, mapping(rules))
    assert read_ties(bench) == {"c": "b"}
