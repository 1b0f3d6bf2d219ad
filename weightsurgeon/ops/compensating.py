"""Compensated soft updates: what the target's dtype has no room for is kept beside it.

A residual of the same dtype carries what rounding cut off to the next update (Kahan 1965), so that
a low-precision target moves as far as a float32 one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec
from ..tally import Tally
from .blending import wide_of
from .elementwise import (
    NotFinite,
    check_computable,
    check_finite,
    components,
    pieces,
    result_of,
)

PARTS = ("value", "residual")


def compensated(
    target: Expr,
    residual: Expr,
    online: Expr,
    tau: float,
    part: str = "value",
    nonfinite: str = "error",
    tally: Tally | None = None,
) -> Expr:
    """The next `value` or `residual` of a target that is really target + residual.

    d = tau·(online − (target + residual)) + residual; value' = narrow(target + d); residual' =
    narrow(d − (value' − target)), in float32 (float64 if one is). Where target and online have the
    same bits and nothing is left over, both stay.

    Shapes: equal; target and residual have one dtype, which the result has.
    Errors: SpecError for other shapes and dtypes, integers; SpecError `nonfinite` when evaluated.

    >>> import ml_dtypes, numpy
    >>> from weightsurgeon.expr import array
    >>> t, c, s = (array(numpy.array([x], ml_dtypes.bfloat16)) for x in (1.0, 0.0, 2.0))
    >>> float(compensated(t, c, s, 0.001).numpy()[0])
    1.0
    >>> float(compensated(t, c, s, 0.001, "residual").numpy()[0])
    0.00099945068359375
    """
    settings = {"tau": tau, "part": part, "nonfinite": nonfinite, "tally": tally}
    return apply(COMPENSATED, target, residual, online, **settings)


def _infer(
    specs: tuple[TensorSpec, ...], tau: float, part: str, nonfinite: str, tally: Tally | None
) -> TensorSpec:
    target, residual, _ = specs
    for x in specs:
        check_computable(x, "interpolated")
        if x.shape != target.shape or x.dtype.kind != target.dtype.kind:
            raise SpecError(f"{x} does not fit {target}", "shape")
    if residual.dtype != target.dtype:
        raise SpecError(f"the residual {residual} is of another dtype than {target}", "dtype")
    return target


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    out = result_of(expr.spec, block, values[0])
    flat, r = [components(v) for v in values], components(out)
    counts = np.zeros(2, np.int64)
    with np.errstate(all="ignore"):
        for part in pieces(r.size):
            try:
                counts += _piece(expr, [x[part] for x in flat], r[part])
            except NotFinite as error:
                raise error.at(expr, block, part.start) from None
    if expr.params["tally"] is not None:
        expr.params["tally"].add(changed=int(counts[0]), stalled=int(counts[1]))
    return out


def _piece(expr: Expr, values: list[Any], r: Any) -> tuple[int, int]:
    """One piece into `r`, which may be the target; how many values changed, how many did not."""
    import numpy as np

    from ..packed import limit, narrowed, within, words

    p, old = expr.params, values[0].copy()
    wide = wide_of(*(x.spec.dtype for x in expr.inputs))
    t, c, s = (v.astype(wide) for v in values)
    d = (s - (t + c)) * t.dtype.type(p["tau"]) + c
    made = t + d
    finite = within(made, limit(r.dtype))
    if not finite:
        check_finite(p["nonfinite"], (t, c, s), made, r.dtype)
    new = np.empty_like(old)
    narrowed(made, new, finite)
    alike = (t == s) & (c == 0)
    np.copyto(words(new), words(old), where=alike)
    same = words(new) == words(old)
    if p["part"] == "value":
        np.copyto(r, new)
    else:
        left = np.where(alike, 0, d - (new.astype(wide) - t)).astype(wide)
        left[~np.isfinite(left)] = 0  # of what is NaN or Inf nothing is left over
        narrowed(left, r, True)
    moved = int(np.count_nonzero(~same))
    return moved, int(np.count_nonzero(same & ~alike))


COMPENSATED = Op("compensated", _infer, lambda expr, block: [block] * 3, _compute)
