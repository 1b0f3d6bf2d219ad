"""A source that is shorter than the base's tensor along one axis: placed in it, the rest filled."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import SpecError
from ..expr import Expr
from ..ops.placing import pad, paste
from ..spec import TensorSpec


class Paste(NamedTuple):
    """From which entry `at` of which axis; what stands around it: `base` or `zeros`."""

    axis: str | int
    at: int
    fill: str


def pasted(x: Expr, base: Expr, how: Paste) -> Expr:
    """x among the entries of the base's tensor, of one dtype; bit for bit.

    Errors: SpecError `shape` where another axis differs, or x does not lie in the base's.

    >>> from weightsurgeon.expr import array
    >>> pasted(array([8]), array([1, 2, 3]), Paste(0, 1, "base")).numpy().tolist()
    [1, 8, 3]
    """
    known = base.spec if base.spec.axes is not None else base.spec._replace(axes=x.spec.axes)
    axis = axis_of(known, how.axis, "paste:")
    shape, wanted = list(x.spec.shape), list(base.spec.shape)
    if len(shape) != len(wanted) or _without(shape, axis) != _without(wanted, axis):
        raise SpecError(f"paste: {x.spec} differs from {base.spec} in more than axis {how.axis}")
    if how.at + shape[axis] > wanted[axis]:
        text = f"{how.at} + {shape[axis]} entries are more than {wanted[axis]}"
        raise SpecError(f"paste: {text} of axis {how.axis} of {base.spec}; crop it in the mapping")
    if how.fill == "zeros":
        return pad(x, axis, how.at, wanted[axis])
    return paste(base, x, axis, how.at)


def axis_of(spec: TensorSpec, axis: str | int, where: str) -> int:
    """The dimension of an axis given by its name, or by its number.

    Errors: SpecError `axes` where the tensor has no such axis, or one that is joined with another.
    """
    if isinstance(axis, int):
        if axis < len(spec.shape):
            return axis
        raise SpecError(f"{where} {spec} has no axis {axis}", "axes")
    if spec.axes is None:
        text = f"{where} {spec}: its axes have no names; give the number of the axis"
        raise SpecError(text, "axes")
    for i, group in enumerate(spec.axes):
        if len(group) == 1 and group[0].name == axis and not group[0].letters:
            return i
    raise SpecError(f"{where} {spec} has no axis {axis} of its own", "axes")


def _without(shape: list[int], axis: int) -> list[int]:
    return [n for i, n in enumerate(shape) if i != axis]
