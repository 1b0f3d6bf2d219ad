"""The way back of a movement: an expression with a hole where the result goes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import SpecError
from .expr import LEAF, Block, Expr, apply, leaf
from .spec import TensorSpec

if TYPE_CHECKING:
    from .expr import Array


class _Hole:
    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        raise SpecError(f"{name} is a hole: fill() it before evaluation")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hole)

    def __hash__(self) -> int:
        return 0


def hole(spec: TensorSpec) -> Expr:
    """A leaf without a source, to be filled later: the variable of `inverse`."""
    return leaf(_Hole(), "_", spec)


def fill(expr: Expr, value: Expr) -> Expr:
    """The expression with `value` in place of every hole."""
    if expr.op is LEAF:
        return value if isinstance(expr.params["source"], _Hole) else expr
    return apply(expr.op, *(fill(x, value) for x in expr.inputs), **expr.params)


def inverse(expr: Expr) -> Expr:
    """The way back of a chain of movements: an expression over a hole of this one's spec.

    Movements are bijections, so `fill(inverse(e), e)` has the values of e's leaf, bit for bit,
    and `inverse(inverse(e)) == e` where e stands over a hole itself.

    Errors: SpecError if an op on the way is no movement of one tensor.
    """
    back = hole(expr.spec)
    while expr.op is not LEAF:
        if expr.op.undo is None or len(expr.inputs) != 1:
            raise SpecError(f"{expr.op.name} has no inverse")
        op, params = expr.op.undo(expr)
        expr, undone = expr.inputs[0], apply(op, back, **params)
        back = undone.named(expr.spec.axes)
    return back
