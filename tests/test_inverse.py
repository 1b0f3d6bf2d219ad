"""Movements lead back; nothing else does. The laws are in test_laws.py."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import Expr, array
from weightsurgeon.inverse import fill, hole, inverse
from weightsurgeon.layout import relayout
from weightsurgeon.notation import parse
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.movement import concat, crop, permute, take


def test_a_relayout_leads_back_with_its_axes() -> None:
    x = array(np.arange(60.0).reshape(5, 12), axes=parse("in (g:ifgo unit)"))
    there = relayout(x, parse("in (g:ifgo unit)"), parse("(g:gofi unit) in"))
    back = fill(inverse(there), there)
    assert str(back.spec.axes) == "in (g:ifgo unit)"
    assert back.numpy().tolist() == x.numpy().tolist()


def test_names_come_back_that_were_lost_on_the_way() -> None:
    x = array(np.arange(6.0).reshape(2, 3), axes=parse("a b"))
    there = permute(permute(x, (1, 0)).named(None), (1, 0))
    assert there.spec.axes is None
    assert str(inverse(there).spec.axes) == "a b"


X = array(np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("expr", "match"),
    [
        (crop(X, 0, 0, 1), "crop has no inverse"),
        (concat([X, X], 0), "concat has no inverse"),
        (cast(X, "float16"), "cast has no inverse"),
        (take(X, 1, (0, 0, 1)), r"take of \(0, 0, 1\) drops or repeats"),
        (permute(take(X, 1, (2, 0)), (1, 0)), r"take of \(2, 0\) drops or repeats"),
    ],
)
def test_what_is_no_bijection_has_no_inverse(expr: Expr, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        inverse(expr)


def test_a_hole_holds_no_values() -> None:
    empty = hole(X.spec)
    assert empty == hole(X.spec)
    assert len({empty.params["source"], hole(X.spec).params["source"]}) == 1
    with pytest.raises(SpecError, match="_ is a hole"):
        permute(empty, (1, 0)).numpy()
    assert fill(concat([empty, X, empty], 0), X).numpy().shape == (6, 3)
