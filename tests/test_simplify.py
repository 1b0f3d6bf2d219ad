"""Each rewrite does what it is for. That none changes a value is a law, in test_laws.py."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.expr import Expr, array, show
from weightsurgeon.notation import parse
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.movement import concat, crop, permute, reshape, take
from weightsurgeon.simplify import simplify

W = array(np.arange(24.0).reshape(2, 3, 4), name="w")
V = array(np.arange(24.0).reshape(2, 3, 4), name="v")
ROW = array(np.arange(4.0).reshape(1, 4), name="row")

CASES: dict[str, tuple[Expr, str]] = {
    "identity permute": (permute(W, (0, 1, 2)), "w"),
    "identity take": (take(W, 1, (0, 1, 2)), "w"),
    "identity crop": (crop(W, 1, 0, 3), "w"),
    "identity reshape": (reshape(W, (2, 3, 4)), "w"),
    "identity cast": (cast(W, "float64"), "w"),
    "concat of one": (concat([W], 1), "w"),
    "not identity": (take(W, 1, (0, 1)), "take(w, axis=1, indices=(0, 1))"),
    "reshapes": (reshape(reshape(W, (24,)), (6, 4)), "reshape(w, shape=(6, 4))"),
    "reshape back": (reshape(reshape(W, (24,)), (2, 3, 4)), "w"),
    "permutes": (permute(permute(W, (1, 2, 0)), (1, 2, 0)), "permute(w, order=(2, 0, 1))"),
    "permute back": (permute(permute(W, (1, 2, 0)), (2, 0, 1)), "w"),
    "a column": (permute(ROW, (1, 0)), "reshape(row, shape=(4, 1))"),
    "takes": (take(take(W, 2, (3, 1, 0)), 2, (2, 2)), "take(w, axis=2, indices=(0, 0))"),
    "takes of two axes": (
        take(take(W, 2, (3, 1)), 1, (2,)),
        "take(take(w, axis=2, indices=(3, 1)), axis=1, indices=(2,))",
    ),
    "crops": (crop(crop(W, 2, 1, 4), 2, 1, 3), "crop(w, axis=2, lo=2, hi=4)"),
    "one part of a concat": (crop(concat([W, V], 1), 1, 3, 6), "v"),
    "over the seam": (
        crop(concat([W, V], 1), 1, 2, 4),
        "concat(crop(w, axis=1, lo=2, hi=3), crop(v, axis=1, lo=0, hi=1), axis=1)",
    ),
    "cut and joined": (concat([crop(W, 2, 0, 1), crop(W, 2, 1, 3), crop(W, 2, 3, 4)], 2), "w"),
    "joined with a gap": (
        concat([crop(W, 2, 0, 1), crop(W, 2, 2, 4)], 2),
        "concat(crop(w, axis=2, lo=0, hi=1), crop(w, axis=2, lo=2, hi=4), axis=2)",
    ),
    "another tensor's neighbour": (
        concat([crop(W, 2, 0, 1), crop(V, 2, 1, 4)], 2),
        "concat(crop(w, axis=2, lo=0, hi=1), crop(v, axis=2, lo=1, hi=4), axis=2)",
    ),
}


@pytest.mark.parametrize(("expr", "expected"), CASES.values(), ids=CASES)
def test_rewrites(expr: Expr, expected: str) -> None:
    assert show(simplify(expr)) == expected
    assert np.array_equal(simplify(expr).numpy(), expr.numpy())


def test_an_empty_part_of_a_concat_stays_empty() -> None:
    nothing = simplify(crop(concat([W, V], 1), 1, 3, 3))
    assert nothing.spec.shape == (2, 0, 4)


def test_names_of_axes_outlive_a_rewrite() -> None:
    named = permute(permute(W, (1, 0, 2)), (1, 0, 2)).named(parse("a b c"))
    assert str(simplify(named).spec.axes) == "a b c"


def test_many_neighbouring_ranges_are_one_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    x = array(np.zeros((3000, 2)), name="x")
    joined = concat([crop(x, 0, i, i + 1) for i in range(3000)], 0)
    made = 0

    def counted(*args: object) -> Expr:
        nonlocal made
        made += 1
        return crop(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("weightsurgeon.simplify.crop", counted)
    assert show(simplify(joined)) == "x"
    assert made == 2999
