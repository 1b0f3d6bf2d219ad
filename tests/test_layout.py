"""Known answers of layers.md, sizes that are solved, and axes that may not meet."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.layout import agree, check_axes, meet, refined, relayout, solve
from weightsurgeon.notation import parse
from weightsurgeon.spec import DTYPES, Axis, TensorSpec

A = np.arange

KNOWN: dict[str, tuple[Any, str, str, dict[str, int], Any]] = {
    "linear": (A(6).reshape(2, 3), "in out", "out in", {}, [[0, 3], [1, 4], [2, 5]]),
    "conv": (
        A(4).reshape(1, 2, 1, 2), "kh kw in out", "out in kh kw", {}, [[[[0, 2]]], [[[1, 3]]]],
    ),
    "depthwise": (
        A(6).reshape(1, 1, 2, 3), "kh kw in mult", "(in mult) 1 kh kw", {},
        [[[[i]]] for i in range(6)],
    ),
    "depthwise, the wrong way round": (
        A(6).reshape(1, 1, 2, 3), "kh kw in mult", "(mult in) 1 kh kw", {},
        [[[[i]]] for i in (0, 3, 1, 4, 2, 5)],
    ),
    "conv_transpose, flax": (A(2).reshape(2, 1, 1, 1), "-kh kw in out", "kh kw in out", {},
                             [[[[1]]], [[[0]]]]),
    "flatten, decoder": (
        A(4).reshape(4, 1), "(h w c) out", "out (c h w)", {"h": 1, "w": 2, "c": 2}, [[0, 2, 1, 3]],
    ),
    "and into a map": (
        A(4).reshape(1, 4), "in (h w c)", "(c h w) in", {"h": 1, "w": 2, "c": 2},
        [[0], [2], [1], [3]],
    ),
    "gru": ([[1, 2, 3]], "in (g:zrn unit)", "(g:rzn unit) in", {}, [[2], [1], [3]]),
    "gru biases": ([[1, 2, 3], [4, 5, 6]], "b:xh (g:zrn unit)", "b:xh (g:rzn unit)", {},
                   [[2, 1, 3], [5, 4, 6]]),
    "lstm": ([[1, 2, 3, 4]], "in (g:ifgo unit)", "(g:iofg unit) in", {}, [[1], [4], [2], [3]]),
    "attention": ([[[0, 1], [2, 3]]], "in head dim", "(head dim) in", {}, [[0], [1], [2], [3]]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "have", "want", "sizes", "expected"), KNOWN.values(), ids=KNOWN)
def test_known_answers(values: Any, have: str, want: str, sizes: Any, expected: Any) -> None:
    there = relayout(array(np.asarray(values)), parse(have), parse(want), sizes)
    assert there.numpy().tolist() == expected
    assert str(there.spec.axes) == str(parse(want))
    every = solve([(parse(have), np.shape(values))], sizes)
    back = relayout(there, parse(want), parse(have), every)
    assert back.numpy().tolist() == np.asarray(values).tolist()


def test_every_order_is_what_einops_would_say() -> None:
    values = A(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for order in permutations(range(4)):
        want = " ".join("abcd"[i] for i in order)
        found = relayout(array(values), parse("a b c d"), parse(want)).numpy()
        assert found.tolist() == values.transpose(order).tolist()


def test_empty_axes_and_axes_of_one() -> None:
    found = relayout(array(np.zeros((0, 6))), parse("in (a b)"), parse("(b a) 1 in"), {"a": 2})
    assert found.numpy().shape == (6, 1, 0)


@pytest.mark.parametrize(
    ("axes", "shape", "known", "expected"),
    [
        ("(head dim) in", (12, 5), {"head": 3}, {"head": 3, "dim": 4, "in": 5}),
        ("in (g:ifgo unit)", (2, 12), {}, {"in": 2, "g": 4, "unit": 3}),
        ("a (a2 b)", (3, 6), {"a2": 3}, {"a": 3, "a2": 3, "b": 2}),
        ("1 a", (1, 2), {}, {"a": 2}),
        ("(a b)", (0,), {"a": 3}, {"a": 3, "b": 0}),
        ("(a b)", (0,), {"a": 0, "b": 7}, {"a": 0, "b": 7}),
        ("", (), {}, {}),
    ],
)
def test_sizes(axes: str, shape: Any, known: dict[str, int], expected: dict[str, int]) -> None:
    assert solve([(parse(axes), shape)], known) == expected


def test_two_sides_tell_what_one_does_not() -> None:
    sides = [(parse("(a b) c"), (6, 5)), (parse("a (b c)"), (2, 15))]
    assert solve(sides, {}) == {"a": 2, "b": 3, "c": 5}


@pytest.mark.parametrize(
    ("axes", "shape", "known", "id", "match"),
    [
        ("(a b)", (6,), {}, "size", r"a, b unknown; give sizes: {a: …} or --set a=…"),
        ("(a b)", (0,), {"a": 0}, "size", "b unknown"),
        ("(a b)", (6,), {"a": 4}, "shape", r"6 is not a=4 × b=\?"),
        ("(a b)", (6,), {"a": 2, "b": 4}, "shape", "6 is not a=2 × b=4"),
        ("1 a", (2, 2), {}, "shape", "2 is not 1"),
        ("a b", (6,), {}, "shape", "2 axes"),
        ("(g:ifgo u)", (12,), {"g": 3}, "shape", "g is given as 3, but has 4 letters"),
    ],
)
def test_sizes_that_do_not_fit(
    axes: str, shape: Any, known: dict[str, int], id: str, match: str
) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        solve([(parse(axes), shape)], known)
    assert caught.value.id == id


def test_both_sides_name_the_same_axes_and_entries() -> None:
    x = array(A(6).reshape(2, 3))
    with pytest.raises(SpecError, match="do not name the same axes") as caught:
        relayout(x, parse("in out"), parse("out other"))
    assert caught.value.id == "layout"
    with pytest.raises(SpecError, match="do not name the same entries"):
        relayout(x, parse("in (g:zrn)"), parse("in (g:abc)"))
    with pytest.raises(SpecError, match="given as 2, but has 3 letters"):
        relayout(x, parse("in (g:zrn)"), parse("in (g:ab)"))


FOUR = TensorSpec(DTYPES["float32"], (3, 3), parse("out in"))


def named(**axes: str) -> dict[str, tuple[Axis, ...]]:
    return {name: tuple(Axis(word) for word in text.split()) for name, text in axes.items()}


def test_axes_of_a_layout_meet_those_of_a_tensor() -> None:
    assert meet(parse("in out"), FOUR) == {"in": (Axis("out"),), "out": (Axis("in"),)}
    assert meet(parse("(a b) c"), FOUR) == named(c="in")
    assert meet(parse("a c"), FOUR._replace(axes=parse("(h w) in"))) == named(a="h w", c="in")
    assert meet(parse("a b c"), FOUR) == {}
    assert meet(parse("a b"), FOUR._replace(axes=None)) == {}


def test_an_axis_is_not_its_opposite() -> None:
    check_axes(named(x="in", y="out"), named(x="in", y="feature"))
    check_axes(named(x="in"), named(x="h w"))
    check_axes(named(x="in"), named(z="out"))
    with pytest.raises(SpecError, match="x is `in` here and `out` in the target") as caught:
        check_axes(named(x="in"), named(x="out"))
    assert caught.value.id == "axes"
    with pytest.raises(SpecError, match="x is `h w c` here and `c h w` in the target"):
        check_axes(named(x="h w c"), named(x="c h w"))


def test_a_group_agrees_with_the_axis_it_is() -> None:
    assert agree(parse("in out"), parse("in out"))
    assert agree(parse("(h w c) out"), parse("in out"))
    assert not agree(parse("in out"), parse("out in"))
    assert not agree(parse("kh out"), parse("(h w c) out"))
    assert not agree(parse("in"), parse("in out"))
    assert str(refined(parse("out (c h w)"), parse("out (h w c)"))) == "out (h w c)"
    assert str(refined(parse("out in"), parse("in out"))) == "out in"
    assert str(refined(parse("out in"), None)) == "out in"


@pytest.mark.parametrize("have", ["g:ifgo", "-g:ifgo", "g:iofg", "-g:iofg"])
@pytest.mark.parametrize("want", ["g:ifgo", "-g:ifgo", "g:iofg", "-g:iofg"])
def test_letters_that_run_backwards_lead_back_and_over_any_other_order(
    have: str, want: str
) -> None:
    here, there, named = parse(have), parse(want), parse("g:fogi")
    x = array(A(4))
    moved = relayout(x, here, there)
    assert relayout(moved, there, here).numpy().tolist() == [0, 1, 2, 3]
    around = relayout(relayout(x, here, named), named, there)
    assert moved.numpy().tolist() == around.numpy().tolist()


def test_letters_that_run_backwards_are_read_from_the_end() -> None:
    assert relayout(array(A(4)), parse("-g:ifgo"), parse("g:iofg")).numpy().tolist() == [3, 0, 2, 1]
