"""One layer folded into another: what a normalisation multiplies and adds, done to the weights.

All rows compute in float64, element by element, and hand it on: one cast rounds. An axis of size 1
meets every entry of the other inputs' axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec, dtype_of
from .affine import computed_with


def minus(a: Expr, b: Expr) -> Expr:
    """a − b: a bias taken into the mean of the batchnorm behind it.

    >>> from weightsurgeon.expr import array
    >>> minus(array([3.0]), array([1.0])).numpy().tolist()
    [2.0]
    """
    return apply(MINUS, a, b)


def norm_factor(gamma: Expr, variance: Expr, eps: Fraction) -> Expr:
    """gamma / √(variance + eps): the factor s of each feature.

    >>> from weightsurgeon.expr import array
    >>> norm_factor(array([6.0]), array([8.0]), Fraction(1)).numpy().tolist()
    [2.0]
    """
    return apply(NORM_FACTOR, gamma, variance, eps=(eps.numerator, eps.denominator))


def scaled(x: Expr, s: Expr) -> Expr:
    """s·x, s with size 1 where it holds for all entries of an axis.

    >>> from weightsurgeon.expr import array
    >>> scaled(array([[1.0, 2.0]]), array([[3.0]])).numpy().tolist()
    [[3.0, 6.0]]
    """
    return apply(SCALED, x, s)


def recentred(beta: Expr, s: Expr, bias: Expr, mean: Expr) -> Expr:
    """beta + s·(bias − mean): the bias of a layer with its batchnorm folded in.

    >>> from weightsurgeon.expr import array
    >>> recentred(*(array([float(x)]) for x in (1, 2, 5, 3))).numpy().tolist()
    [5.0]
    """
    return apply(RECENTRED, beta, s, bias, mean)


def _row(name: str, formula: Callable[..., Any]) -> Op:
    def infer(specs: tuple[TensorSpec, ...], **params: Any) -> TensorSpec:
        for x in specs:
            computed_with(x, name)
        shape = _met(name, specs)
        axes = next((x.axes for x in specs if x.axes and x.shape == shape), None)
        return TensorSpec(dtype_of("float64"), shape, axes)

    def compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
        import numpy as np

        with np.errstate(all="ignore"):
            return formula(*(v.astype(np.float64) for v in values), **expr.params)

    return Op(name, infer, _pull, compute)


def _met(name: str, specs: Sequence[TensorSpec]) -> tuple[int, ...]:
    ranks = {len(x.shape) for x in specs}
    if len(ranks) == 1:
        sizes = [{n for n in dims if n != 1} or {1} for dims in zip(*(x.shape for x in specs))]  # noqa: B905
        if all(len(found) == 1 for found in sizes):
            return tuple(found.pop() for found in sizes)
    raise SpecError(f"{name}: {' and '.join(map(str, specs))} do not meet")


def _pull(expr: Expr, block: Block) -> list[Block]:
    return [
        tuple((0, 1) if n == 1 else span for n, span in zip(x.spec.shape, block, strict=True))
        for x in expr.inputs
    ]


def _norm_factor(gamma: Any, variance: Any, eps: tuple[int, int]) -> Any:
    import numpy as np

    return gamma / np.sqrt(variance + float(Fraction(*eps)))


MINUS = _row("minus", lambda a, b: a - b)
NORM_FACTOR = _row("norm_factor", _norm_factor)
SCALED = _row("scaled", lambda x, s: x * s)
RECENTRED = _row("recentred", lambda beta, s, bias, mean: beta + s * (bias - mean))
