"""Products and quotients of two tensors, of which one may have size 1 where the other has more.

What reparametrised layers are folded with. Arithmetic is in float64; a cast behind it rounds once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec, dtype_of
from .affine import computed_with

if TYPE_CHECKING:
    from ..expr import Array


def product(a: Expr, b: Expr) -> Expr:
    """a·b, in float64; the result has the larger size along each axis, and the axes of a.

    Errors: SpecError for integers, bools and packed floats; for sizes that differ, neither being 1.

    >>> from weightsurgeon.expr import array
    >>> product(array([[1.0, 2.0]]), array([[3.0], [4.0]])).numpy().tolist()
    [[3.0, 6.0], [4.0, 8.0]]
    """
    return apply(PRODUCT, a, b)


def quotient(a: Expr, b: Expr) -> Expr:
    """a/b, in float64; the result has the larger size along each axis, and the axes of a.

    Errors: as of `product`; `nonfinite` when evaluated, where a finite value is divided by 0.

    >>> from weightsurgeon.expr import array
    >>> quotient(array([[3.0, 4.0]]), array([[5.0]])).numpy().tolist()
    [[0.6, 0.8]]
    """
    return apply(QUOTIENT, a, b)


def _infer(specs: tuple[TensorSpec, ...]) -> TensorSpec:
    a, b = specs
    for x in specs:
        computed_with(x, "a product")
    sizes = list(zip(a.shape, b.shape, strict=False))
    if len(a.shape) != len(b.shape) or any(m != n and 1 not in (m, n) for m, n in sizes):
        raise SpecError(f"{a} and {b}: sizes are equal or 1")
    shape = tuple(n if m == 1 else m for m, n in sizes)
    return TensorSpec(dtype_of("float64"), shape, a.axes)


def _pull(expr: Expr, block: Block) -> list[Block]:
    return [
        tuple((0, 1) if n == 1 else span for n, span in zip(x.spec.shape, block, strict=True))
        for x in expr.inputs
    ]


def _product(expr: Expr, block: Block, values: Sequence[Array]) -> Any:
    import numpy as np

    with np.errstate(all="ignore"):
        return values[0].astype(np.float64) * values[1].astype(np.float64)


def _quotient(expr: Expr, block: Block, values: Sequence[Array]) -> Any:
    import numpy as np

    with np.errstate(all="ignore"):
        found = values[0].astype(np.float64) / values[1].astype(np.float64)
    made = int(np.count_nonzero(np.isfinite(values[0]) & ~np.isfinite(found)))
    if made:
        raise SpecError(
            f"{made} finite values are divided by 0 or by what is no number", "nonfinite"
        )
    return found


PRODUCT = Op("product", _infer, _pull, _product)
QUOTIENT = Op("quotient", _infer, _pull, _quotient)
