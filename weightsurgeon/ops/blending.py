"""Interpolation: a target moves towards its online twin by a fraction, with one rounding.

`lerp` holds what a soft update promises: equal bits stay equal, nothing overflows on the way, and
it counts what changed and what was lost to rounding. The result has the declared dtype; what the
next step of a plan should see is `unrounded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import exp, expm1, log1p
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import DType, TensorSpec, dtype_of
from ..tally import Tally
from .elementwise import (
    NotFinite,
    check_computable,
    check_finite,
    components,
    pieces,
    result_of,
)


def fractions(tau: Decimal, steps: int = 1) -> tuple[float, float]:
    """tau and 1 − tau of so many updates against one online, as float64.

    >>> fractions(Decimal("0.005"))
    (0.005, 0.995)
    >>> fractions(Decimal("0.001"), 100)[0]
    0.09520785288629095
    """
    if steps == 0:
        return 0.0, 1.0
    if steps == 1 or tau in (0, 1):
        return float(tau), float(1 - tau)
    # the logarithm of 1 − tau is what is exact here: both powers come from it
    log = steps * log1p(-float(tau))
    return -expm1(log), exp(log)


def lerp(
    target: Expr,
    online: Expr,
    tau: Decimal,
    *,
    steps: int = 1,
    dtype: DType | str | None = None,
    key: int | None = None,
    nonfinite: str = "error",
    tally: Tally | None = None,
) -> Expr:
    """Move `target` towards `online`: target + tau·(online − target), equal inputs unchanged.

    Shapes: equal; the result has the target's axes and dtype unless another `dtype` is given.
    Units:  tau is a fraction in [0, 1]; 0 and 1 give the target's and the online values, and do
            not read the other side. `steps` updates against the same online are one of
            1 − (1 − tau)^steps.
    Rounds: float32 inside (float64 if either is), once at the end; with a `key` up or down at
            random, in proportion to what is cut off.
    Errors: SpecError for other shapes, integers, bools; SpecError `nonfinite` when evaluated, for
            NaN or Inf, unless `nonfinite="propagate"`.
    Source: Lillicrap et al. 2015, arXiv:1509.02971 (soft target updates).

    >>> from weightsurgeon.expr import array
    >>> lerp(array([0.0, 8.0]), array([8.0, 8.0]), Decimal("0.25")).numpy().tolist()
    [2.0, 8.0]
    """
    if not 0 <= tau <= 1 or steps < 0:
        raise SpecError(f"lerp: tau {tau} of {steps} steps is no fraction from 0 to 1")
    here, rest = fractions(tau, steps)
    to = target.spec.dtype if dtype is None else dtype_of(dtype)
    settings = {"dtype": to, "key": key, "nonfinite": nonfinite, "tally": tally}
    made = apply(LERP, target, online, tau=here, rest=rest, **settings)
    if here in (0.0, 1.0):
        from .arithmetic import cast

        kept = target if here == 0.0 else online
        return (kept if kept.spec.dtype == to else cast(kept, to)).named(target.spec.axes)
    return made


def wide_of(*dtypes: DType) -> str:
    """In what arithmetic on these dtypes is done: f4, or f8 where one has float64 parts."""
    return "f8" if any(d.name in ("float64", "complex128") for d in dtypes) else "f4"


def unrounded(x: Expr) -> Expr:
    """The same values before their last rounding, for a step that computes on: the wide dtype.

    What no arithmetic made comes back as it is.
    """
    if x.op.name in ("lerp", "mix") and x.spec.dtype.kind == "float":
        wide = (
            "f8" if x.op.name == "mix" else wide_of(x.spec.dtype, *(i.spec.dtype for i in x.inputs))
        )
        once: dict[str, Any] = {"dtype": dtype_of({"f4": "float32", "f8": "float64"}[wide])}
        once |= {"key": None} if "key" in x.params else {}
        once |= {"tally": None}  # what is seen twice is counted where it is written
        return apply(x.op, *x.inputs, **{**x.params, **once})
    if len(x.inputs) == 1 and x.op.undo is not None:
        inner = unrounded(x.inputs[0])
        return x if inner is x.inputs[0] else apply(x.op, inner, **x.params).named(x.spec.axes)
    return x


# -- the row ---------------------------------------------------------------------------------


def _infer(
    specs: tuple[TensorSpec, ...],
    tau: float,
    rest: float,
    dtype: DType,
    nonfinite: str = "error",
    key: int | None = None,
    tally: Tally | None = None,
) -> TensorSpec:
    target, online = specs
    if target.shape != online.shape:
        raise SpecError(f"{online} does not fit {target}: shapes must be equal", "shape")
    for x in specs:
        check_computable(x, "interpolated")
    if len({target.dtype.kind, online.dtype.kind, dtype.kind}) > 1:
        raise SpecError(f"{online} and {target}: one is complex, the other is not", "dtype")
    return target._replace(dtype=dtype)


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    out = result_of(expr.spec, block, values[0])
    t, s, r = components(values[0]), components(values[1]), components(out)
    changed = stalled = 0
    with np.errstate(all="ignore"):
        for part in pieces(r.size):
            try:
                one, other = _piece(expr, block, t[part], s[part], r[part], part.start)
            except NotFinite as error:
                raise error.at(expr, block, part.start) from None
            changed, stalled = changed + one, stalled + other
    if expr.params["tally"] is not None:
        expr.params["tally"].add(changed=changed, stalled=stalled)
    return out


def _piece(expr: Expr, block: Block, t: Any, s: Any, r: Any, start: int) -> tuple[int, int]:
    """Interpolate one piece into `r`, which may be `t`; how many changed, how many stalled."""
    import numpy as np

    from ..packed import buffer, limit, narrowed, widened, within, words

    p = expr.params
    wide = wide_of(*(x.spec.dtype for x in expr.inputs), expr.spec.dtype)
    a, b = widened(t, wide, "target"), widened(s, wide, "online")
    d = np.subtract(b, a, out=buffer("lerp", a.size, wide))
    if p["tau"] < 0.5:
        d *= p["tau"]
        d += a
    else:
        d *= p["rest"]
        np.subtract(b, d, out=d)
    finite = within(d, limit(r.dtype))
    if not finite:
        _mend(p, a, b, d)
        check_finite(p["nonfinite"], (a, b), d, r.dtype)
    alike = words(t) == words(s) if t.dtype == s.dtype else words(a) == words(b)
    new = buffer("narrow", r.size, f"u{r.itemsize}").view(r.dtype)
    if p["key"] is not None:
        _scatter(p["key"], expr, block, d, new, start)
    else:
        narrowed(d, new, finite)
    if new.dtype == t.dtype:
        same = words(new) == words(t)
        if np.count_nonzero(same & alike) < np.count_nonzero(alike):
            np.copyto(words(new), words(t), where=alike)  # −0 and Inf, of which formulas make +0
            same = words(new) == words(t)
        stalled = int(np.count_nonzero(same)) - int(np.count_nonzero(alike))
        changed = same.size - int(np.count_nonzero(same))
    else:
        there = widened(t, wide, "target")
        np.copyto(new, there, where=alike, casting="unsafe")
        changed, stalled = int(alike.size - np.count_nonzero(alike)), 0
    np.copyto(r, new)
    return changed, stalled


def _mend(p: Any, a: Any, b: Any, d: Any) -> None:
    """Where finite operands gave no finite result, again in float64, term by term."""
    import numpy as np

    lost = np.flatnonzero(~np.isfinite(d) & np.isfinite(a) & np.isfinite(b))
    d[lost] = p["rest"] * a[lost].astype("f8") + p["tau"] * b[lost].astype("f8")


def _scatter(key: int, expr: Expr, block: Block, d: Any, new: Any, start: int) -> None:
    from ..random_bits import mix64
    from .scattering import flat_indices, scattered

    index = flat_indices(expr.spec.shape, block)[start : start + d.size]
    scattered(d, mix64(key, index), new)


LERP = Op("lerp", _infer, lambda expr, block: [block] * 2, _compute)
