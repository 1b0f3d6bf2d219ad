"""Addition of tensors: two biases that a layer adds anyway, become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec


def total(*parts: Expr) -> Expr:
    """The sum of tensors of one shape: in float32 or wider, left to right, rounded once.

    A zero changes nothing, not even the sign of a −0: what was parted with zeros comes back.

    Errors: SpecError where shapes or dtypes differ, or they are no floats of 16 bits or more.

    >>> from weightsurgeon.expr import array
    >>> total(array([1.0, 2.0]), array([10.0, 20.0])).numpy().tolist()
    [11.0, 22.0]
    """
    return apply(SUM, *parts)


def _infer(specs: tuple[TensorSpec, ...]) -> TensorSpec:
    if not specs:
        raise SpecError("sum: nothing to add")
    first = specs[0]
    for x in specs:
        if x[:2] != first[:2]:
            raise SpecError(f"sum: {x} and {first} differ")
        if x.dtype.kind != "float" or x.dtype.bits < 16:
            raise SpecError(f"sum: {x} is copied, not computed with; only floats are added")
    return first


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    wide = np.promote_types(expr.spec.dtype.numpy(), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        added = values[0].astype(wide)
        for value in values[1:]:
            np.add(added, value.astype(wide), out=added, where=value != value.dtype.type(0))
        return added.astype(expr.spec.dtype.numpy())


SUM = Op("sum", _infer, lambda expr, block: [block] * len(expr.inputs), _compute)
