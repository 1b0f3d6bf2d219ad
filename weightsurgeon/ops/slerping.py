"""Spherical interpolation of two tensors as wholes: along the arc between their directions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import acos, sin, sqrt
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import DType, TensorSpec
from .elementwise import (
    NotFinite,
    check_computable,
    check_finite,
    components,
    pieces,
    result_of,
)

COLINEAR = 0.9995  # beyond this cosine the arc is as good as its chord


def slerp(
    a: Expr, b: Expr, squares: Sequence[Expr], t: Decimal, dtype: DType | None = None
) -> Expr:
    """(sin((1−t)θ)·a + sin(tθ)·b) / sin θ, in float64, rounded once to the dtype of a.

    `squares` are the scalars a·a, b·b and a·b, of which θ comes. Vectors of one direction, of
    opposite ones, and zeros are interpolated along the chord.

    Shapes: equal. Errors: SpecError for other shapes, integers, complex numbers.
    Source: Shoemake 1985, doi:10.1145/325165.325242.

    >>> from weightsurgeon.expr import array
    >>> one, zero = array(1.0), array(0.0)
    >>> a, b = array([1.0, 0.0]), array([0.0, 1.0])
    >>> slerp(a, b, (one, one, zero), Decimal("0.5")).numpy().round(8).tolist()
    [0.70710678, 0.70710678]
    """
    here, rest = float(t), float(1 - t)
    return apply(SLERP, a, b, *squares, t=here, rest=rest, dtype=dtype or a.spec.dtype)


def cosine(aa: float, bb: float, ab: float) -> float:
    """The cosine of the angle between two vectors; 1 where one of them is 0."""
    return max(-1.0, min(1.0, ab / (sqrt(aa) * sqrt(bb)))) if aa and bb else 1.0


def factors(t: float, rest: float, cos: float) -> tuple[float, float]:
    """What a and b are multiplied by."""
    if abs(cos) > COLINEAR:
        return rest, t
    angle = acos(cos)
    return sin(rest * angle) / sin(angle), sin(t * angle) / sin(angle)


def _infer(specs: tuple[TensorSpec, ...], t: float, rest: float, dtype: DType) -> TensorSpec:
    a, b, *squares = specs
    for x in (a, b):
        check_computable(x, "interpolated")
    if a.shape != b.shape:
        raise SpecError(f"{b} does not fit {a}: shapes must be equal", "shape")
    if "complex" in (a.dtype.kind, b.dtype.kind):
        raise SpecError(f"slerp: {a} is complex; the angle of real vectors is meant")
    if [x.shape for x in squares] != [()] * 3:
        raise SpecError("slerp: a·a, b·b and a·b are three scalars")
    return a._replace(dtype=dtype)


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    from ..packed import limit, narrowed, widened, within

    p = expr.params
    out = result_of(expr.spec, block, values[0])
    a, b, r = components(values[0]), components(values[1]), components(out)
    with np.errstate(all="ignore"):
        one, other = factors(p["t"], p["rest"], cosine(*(float(v) for v in values[2:])))
        for part in pieces(r.size):
            x, y = widened(a[part], "f8", "first"), widened(b[part], "f8", "second")
            made = x * one
            made += y * other
            finite = within(made, limit(r.dtype))
            if not finite:
                try:
                    check_finite("error", (x, y), made, r.dtype)
                except NotFinite as error:
                    raise error.at(expr, block, part.start) from None
            equal = x == y if abs(cosine(*(float(v) for v in values[2:]))) > COLINEAR else None
            if equal is not None:
                np.copyto(made, x, where=equal)  # equal stays equal
            narrowed(made, r[part], finite)
    return out


SLERP = Op("slerp", _infer, lambda expr, block: [block, block, (), (), ()], _compute)
