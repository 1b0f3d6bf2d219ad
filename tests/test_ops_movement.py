"""Static rules and refusals of movements, and which blocks they pull. Values: test_laws.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strategies import noise, same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import Expr, array, evaluate
from weightsurgeon.notation import parse
from weightsurgeon.ops.movement import concat, crop, permute, take
from weightsurgeon.ops.table import OPS

X = array(np.arange(24).reshape(2, 3, 4), axes=parse("a b c"))

REFUSED: dict[str, tuple[Callable[[], Expr], str]] = {
    "permute, too short": (lambda: permute(X, (1, 0)), r"\(1, 0\) is no order of the 3 axes"),
    "permute, twice": (lambda: permute(X, (0, 0, 1)), "is no order"),
    "permute, backwards": (lambda: permute(X, (-1, 0, 1)), "is no order"),
    "take, outside": (lambda: take(X, 1, (0, 3)), "not all indices of axis 1"),
    "take, below": (lambda: take(X, 1, (-1,)), "not all indices"),
    "take, axis": (lambda: take(X, 3, ()), "has no axis 3"),
    "crop, outside": (lambda: crop(X, 2, 1, 5), r"1\.\.5 does not lie in axis 2"),
    "crop, backwards": (lambda: crop(X, 2, 3, 1), r"3\.\.1 does not lie"),
    "crop, below": (lambda: crop(X, 2, -1, 1), "does not lie"),
    "crop, axis": (lambda: crop(X, -1, 0, 1), "has no axis -1"),
    "concat, nothing": (lambda: concat([], 0), "nothing to join"),
    "concat, axis": (lambda: concat([X], 3), "has no axis 3"),
    "concat, rank": (lambda: concat([X, array([1])], 0), "does not continue"),
    "concat, shape": (lambda: concat([X, crop(X, 1, 0, 2)], 0), r"int64 \[a=2 b=2 c=4\] does not"),
    "concat, dtype": (
        lambda: concat([X, array(X.numpy().astype("i4"))], 0), "dtypes differ.*cast one of them",
    ),
    "concat, axes": (lambda: concat([X, X.named(parse("b a c"))], 0), "axes differ"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "match"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_when_it_is_made(make: Any, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        make()


def test_axes_go_where_the_values_go() -> None:
    assert str(permute(X, (2, 0, 1)).spec.axes) == "c a b"
    assert str(take(X, 1, (2, 0)).spec.axes) == "a b c"
    assert str(concat([X.named(None), X], 1).spec.axes) == "a b c"
    assert permute(X.named(None), (2, 0, 1)).spec.axes is None


def test_a_take_reads_from_its_first_to_its_last_entry() -> None:
    x = take(X, 1, (2, 1, 2))
    assert x.op.pull(x, ((0, 2), (0, 2), (1, 3))) == [((0, 2), (1, 3), (1, 3))]
    assert x.op.pull(x, ((0, 2), (1, 1), (1, 3))) == [((0, 2), (0, 0), (1, 3))]


def test_a_concat_asks_only_the_parts_it_needs() -> None:
    x = concat([X, X, X], 2)
    whole = ((0, 2), (0, 3))
    assert x.op.pull(x, (*whole, (5, 7))) == [None, (*whole, (1, 3)), None]
    assert x.op.pull(x, (*whole, (3, 9))) == [(*whole, (3, 4)), (*whole, (0, 4)), (*whole, (0, 1))]
    assert x.op.pull(x, (*whole, (4, 4))) == [None, None, None]


def test_taking_nothing_gives_nothing() -> None:
    for dtype in ("bfloat16", "bool", "complex128"):
        x = take(array(noise((3, 2), dtype)), 0, ())
        assert same(x.numpy(), noise((0, 2), dtype))
        assert evaluate(take(x, 1, (1, 0)), ((0, 0), (0, 1))).shape == (0, 1)


def test_every_op_is_found_by_its_name() -> None:
    assert all(name == op.name for name, op in OPS.items())
