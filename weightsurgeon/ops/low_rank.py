"""Low-rank updates: a kernel, and the scaled product of two thin matrices added to it.

The product is a sum of columns times rows, in order, in float64: a matrix product of BLAS has
other last bits for other sizes, so that the result would depend on the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape, show
from ..spec import DType, TensorSpec
from .elementwise import NotFinite, check_computable, check_finite, result_of


class Factors(NamedTuple):
    """scale · left @ right."""

    scale: float
    left: Expr
    right: Expr


def low_rank(x: Expr, updates: Sequence[Factors], dtype: DType | None = None) -> Expr:
    """x + Σ scaleᵢ·(leftᵢ @ rightᵢ) in float64, rounded once.

    Shapes: x (n, m), left (n, r), right (r, m). The dtype is that of x unless one is given.
    Errors: SpecError for other shapes, integers, complex numbers; SpecError `nonfinite` when
    evaluated, for NaN or Inf.
    Source: Hu et al. 2021, arXiv:2106.09685 (LoRA).

    >>> from weightsurgeon.expr import array
    >>> left, right = array([[1.0], [2.0]]), array([[10.0, 20.0]])
    >>> low_rank(array([[1.0, 1.0], [1.0, 1.0]]), [Factors(0.5, left, right)]).numpy().tolist()
    [[6.0, 11.0], [11.0, 21.0]]
    """
    factors = [y for update in updates for y in (update.left, update.right)]
    scales = tuple(update.scale for update in updates)
    return apply(LOW_RANK, x, *factors, scales=scales, dtype=dtype or x.spec.dtype)


def _infer(specs: tuple[TensorSpec, ...], scales: tuple[float, ...], dtype: DType) -> TensorSpec:
    x, *factors = specs
    for spec in specs:
        check_computable(spec, "merged")
        if len(spec.shape) != 2 or spec.dtype.kind == "complex":
            raise SpecError(f"{spec} is no real matrix", "shape")
    n, m = x.shape
    for left, right in zip(factors[::2], factors[1::2], strict=True):
        if left.shape[1] != right.shape[0]:
            raise SpecError(f"the ranks of {left} and {right} differ", "shape")
        if (left.shape[0], right.shape[1]) != (n, m):
            raise SpecError(f"{left} times {right} does not fit {x}", "shape")
    return x._replace(dtype=dtype)


def _pull(expr: Expr, block: Block) -> list[Block]:
    rows, columns = block
    found: list[Block] = [block]
    for left in expr.inputs[1::2]:
        rank = (0, left.spec.shape[1])
        found += [(rows, rank), (rank, columns)]
    return found


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    from ..packed import PIECE

    x, *factors = values
    thin = [np.asarray(f).astype("f8") for f in factors]
    for i, f in enumerate(thin):
        if not np.isfinite(f).all():
            text = f"{show(expr.inputs[i + 1])} has values that are not finite"
            raise SpecError(text, "nonfinite")
    out = result_of(expr.spec, block, x)
    rows, columns = block_shape(block)
    height = max(1, PIECE // max(columns, 1))
    with np.errstate(all="ignore"):
        for row in range(0, rows, height):
            for column in range(0, columns, PIECE):
                part = slice(row, row + height), slice(column, column + PIECE)
                try:
                    _piece(expr, x[part], thin, part, out[part])
                except NotFinite as error:
                    raise error.at(expr, block, row * columns + column) from None
    return out


def _piece(expr: Expr, x: Any, thin: list[Any], part: tuple[slice, slice], out: Any) -> None:
    """One piece: some rows, or a part of one."""
    import numpy as np

    from ..packed import limit, narrowed, within

    rows, columns = part
    wide = x.astype("f8")
    step = np.zeros_like(wide)
    pairs = zip(expr.params["scales"], thin[::2], thin[1::2], strict=True)
    for scale, left, right in pairs:
        step += scale * _product(left[rows], right[:, columns])
    flat = np.where(step == 0, wide, wide + step).reshape(-1)  # where nothing moves, −0 stays
    finite = within(flat, limit(out.dtype))
    if not finite:
        check_finite("error", [wide.reshape(-1)], flat, out.dtype)
    narrowed(flat, out.reshape(-1), finite)


def _product(left: Any, right: Any) -> Any:
    """left @ right, its terms added in order."""
    import numpy as np

    total = np.zeros((left.shape[0], right.shape[1]))
    term = np.empty_like(total)
    for k in range(right.shape[0]):
        np.multiply(left[:, k : k + 1], right[k : k + 1], out=term)
        total += term
    return total


LOW_RANK = Op("low_rank", _infer, _pull, _compute)
