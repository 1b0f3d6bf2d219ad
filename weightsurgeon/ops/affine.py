"""Affine values: a·x + b, where a and b are exact, computed in float64.

`affine` hands on float64; the one rounding is the cast to the declared dtype that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec, dtype_of

_EXACT = 2**53  # whole numbers up to here are float64


class Factor(NamedTuple):
    """The number over·√root / under: what a scale may be, without any rounding.

    >>> Factor.root_of(64), Factor.root_of(8).inverse()
    (Factor(over=8, under=1, root=1), Factor(over=1, under=8, root=8))
    """

    over: int = 1
    under: int = 1
    root: int = 1

    @staticmethod
    def of(value: Fraction) -> Factor:
        """A fraction."""
        return Factor(value.numerator, value.denominator)

    @staticmethod
    def root_of(n: int) -> Factor:
        """√n, a whole number where it is one."""
        whole = isqrt(n)
        return Factor(whole) if whole * whole == n else Factor(1, 1, n)

    def inverse(self) -> Factor:
        """1 over it."""
        value = Fraction(self.under, self.over * self.root)
        return Factor(value.numerator, value.denominator, self.root)

    def __float__(self) -> float:
        from math import sqrt

        return float(Fraction(self.over, self.under)) * sqrt(self.root)


def affine(
    x: Expr, scale: Factor | Fraction | int = 1, shift: Fraction | int = 0, overflow: str = "error"
) -> Expr:
    """scale·x + shift in float64; cast it to the dtype that it is declared as.

    Shapes: those of x, which keeps its axes; the dtype is float64.
    Errors: SpecError for integers, bools and packed floats; SpecError `nonfinite` when evaluated,
    where a finite value has no finite place (`overflow="inf"`: none).

    >>> from weightsurgeon.expr import array
    >>> affine(array([3.0, 6.0]), Fraction(1, 3), 1).numpy().tolist()
    [2.0, 3.0]
    """
    factor = scale if isinstance(scale, Factor) else Factor.of(Fraction(scale))
    added = Fraction(shift)
    params = {"scale": tuple(factor), "shift": (added.numerator, added.denominator)}
    return apply(AFFINE, x, **params, overflow=overflow)


def computed_with(x: TensorSpec, name: str) -> None:
    """Refuse what is only ever copied: integers, bools, packed floats.

    Errors: SpecError.
    """
    if x.dtype.kind != "float" or x.dtype.bits < 8:
        raise SpecError(f"{name}: {x} is copied or refused, never computed with")


def _infer(
    specs: tuple[TensorSpec, ...],
    scale: tuple[int, int, int],
    shift: tuple[int, int],
    overflow: str,
) -> TensorSpec:
    (x,) = specs
    computed_with(x, "affine")
    return x._replace(dtype=dtype_of("float64"))


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    factor, shift = Factor(*expr.params["scale"]), Fraction(*expr.params["shift"])
    with np.errstate(all="ignore"):
        y = values[0].astype(np.float64)
        if factor.root == 1 and max(abs(factor.over), factor.under) <= _EXACT:
            y *= factor.over  # exact for all that has 24 bits: the quotient rounds, once
            y /= factor.under
        else:
            y *= float(factor)
        if shift:
            y += float(shift)
        if expr.params["overflow"] == "error":
            made = int(np.count_nonzero(np.isfinite(values[0]) & ~np.isfinite(y)))
            if made:
                raise SpecError(f"{made} finite values have no place in float64", "nonfinite")
    return y


AFFINE = Op("affine", _infer, lambda expr, block: [block], _compute)
