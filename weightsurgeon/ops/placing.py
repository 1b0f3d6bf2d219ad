"""A tensor placed in a larger one: what a vocabulary that grew needs. All of it is `concat`."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import SpecError
from ..expr import Expr
from .arithmetic import full
from .movement import concat, crop, take


def paste(target: Expr, x: Expr, axis: int, at: int) -> Expr:
    """The target with x in place of its entries from `at` on along an axis; bit for bit.

    Shapes: equal but for the axis. Errors: SpecError where x does not lie in the target.

    >>> from weightsurgeon.expr import array
    >>> paste(array([1, 2, 3]), array([8]), 0, 1).numpy().tolist()
    [1, 8, 3]
    """
    end = at + x.spec.shape[axis]
    if not 0 <= at <= end <= target.spec.shape[axis]:
        raise SpecError(f"paste: {x.spec} at {at} does not lie in axis {axis} of {target.spec}")
    size = target.spec.shape[axis]
    return _joined((crop(target, axis, 0, at), x, crop(target, axis, end, size)), axis)


def pad(x: Expr, axis: int, at: int, size: int, fill: Expr | None = None) -> Expr:
    """x from `at` on along an axis of this size, `fill` before and behind it.

    `fill` has x's shape with 1 entry along the axis; without it there are zeros.

    >>> from weightsurgeon.expr import array
    >>> pad(array([1, 2]), 0, 1, 4).numpy().tolist()
    [0, 1, 2, 0]
    """
    behind = size - at - x.spec.shape[axis]
    if at < 0 or behind < 0:
        raise SpecError(f"pad: {x.spec} at {at} does not lie in {size} entries of axis {axis}")
    return _joined((_filled(x, axis, at, fill), x, _filled(x, axis, behind, fill)), axis)


def _filled(x: Expr, axis: int, size: int, fill: Expr | None) -> Expr:
    if fill is not None:
        return take(fill, axis, [0] * size)
    shape = (*x.spec.shape[:axis], size, *x.spec.shape[axis + 1 :])
    return full(shape, x.spec.dtype, 0, x.spec.axes)


def _joined(parts: Iterable[Expr], axis: int) -> Expr:
    kept = [part for part in parts if part.spec.shape[axis]]
    return concat(kept, axis) if kept else next(iter(parts))
