"""Movement: values change their places and nothing else, so every dtype comes through bit for bit.

`permute`, `take`, `crop`, `concat`; `reshape` has a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape
from ..spec import Axes, TensorSpec
from .reshape import RESHAPE, reshape
from .runs import concat_runs, crop_runs, take_runs

__all__ = [
    "CONCAT",
    "CROP",
    "PERMUTE",
    "RESHAPE",
    "TAKE",
    "concat",
    "crop",
    "permute",
    "reshape",
    "take",
]

Specs = tuple[TensorSpec, ...]


# -- permute ---------------------------------------------------------------------------------


def permute(x: Expr, order: Iterable[int]) -> Expr:
    """Reorder the axes: axis i of the result is axis `order[i]` of x.

    >>> from weightsurgeon.expr import array
    >>> permute(array([[0, 1, 2], [3, 4, 5]]), (1, 0)).numpy().tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    return apply(PERMUTE, x, order=tuple(order))


def _permute_infer(specs: Specs, order: tuple[int, ...]) -> TensorSpec:
    (x,) = specs
    if sorted(order) != list(range(len(x.shape))):
        raise SpecError(f"{order} is no order of the {len(x.shape)} axes of {x}")
    axes = Axes(x.axes[i] for i in order) if x.axes else x.axes
    return TensorSpec(x.dtype, tuple(x.shape[i] for i in order), axes)


def _permute_pull(expr: Expr, block: Block) -> list[Block]:
    wanted: list[tuple[int, int]] = [(0, 0)] * len(block)
    for axis, span in zip(expr.params["order"], block, strict=True):
        wanted[axis] = span
    return [tuple(wanted)]


def _permute_undo(expr: Expr) -> tuple[Op, Mapping[str, Any]]:
    order = expr.params["order"]
    return PERMUTE, {"order": tuple(order.index(i) for i in range(len(order)))}


PERMUTE = Op(
    "permute",
    _permute_infer,
    _permute_pull,
    lambda expr, block, values: values[0].transpose(expr.params["order"]),
    undo=_permute_undo,
)


# -- take ------------------------------------------------------------------------------------


def take(x: Expr, axis: int, indices: Iterable[int]) -> Expr:
    """Pick entries along an axis, in this order: gates reordered, an axis reversed.

    >>> from weightsurgeon.expr import array
    >>> take(array([10, 20, 30]), 0, (2, 0, 1)).numpy().tolist()
    [30, 10, 20]
    """
    return apply(TAKE, x, axis=axis, indices=tuple(indices))


def _take_infer(specs: Specs, axis: int, indices: tuple[int, ...]) -> TensorSpec:
    (x,) = specs
    size = _size(x, axis)
    if not all(0 <= i < size for i in indices):
        raise SpecError(f"take: {indices} are not all indices of axis {axis} of {x}")
    return TensorSpec(x.dtype, _resized(x.shape, axis, len(indices)), x.axes)


def _take_pull(expr: Expr, block: Block) -> list[Block]:
    axis = expr.params["axis"]
    lo, hi = block[axis]
    picked = expr.params["indices"][lo:hi]
    span = (min(picked), max(picked) + 1) if picked else (0, 0)
    return [(*block[:axis], span, *block[axis + 1 :])]


def _take_compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    axis = expr.params["axis"]
    lo, hi = block[axis]
    picked = expr.params["indices"][lo:hi]
    first = min(picked, default=0)
    if not picked:
        return values[0]  # numpy would take an empty list for one of floats
    return values[0].take([i - first for i in picked], axis=axis)


def _take_undo(expr: Expr) -> tuple[Op, Mapping[str, Any]]:
    axis, indices = expr.params["axis"], expr.params["indices"]
    if sorted(indices) != list(range(expr.inputs[0].spec.shape[axis])):
        raise SpecError(f"take of {indices} drops or repeats entries: it has no inverse")
    back = sorted(range(len(indices)), key=indices.__getitem__)
    return TAKE, {"axis": axis, "indices": tuple(back)}


TAKE = Op("take", _take_infer, _take_pull, _take_compute, undo=_take_undo, runs=take_runs)


# -- crop ------------------------------------------------------------------------------------


def crop(x: Expr, axis: int, lo: int, hi: int) -> Expr:
    """The half-open range lo..hi of an axis.

    >>> from weightsurgeon.expr import array
    >>> crop(array([10, 20, 30]), 0, 1, 3).numpy().tolist()
    [20, 30]
    """
    return apply(CROP, x, axis=axis, lo=lo, hi=hi)


def _crop_infer(specs: Specs, axis: int, lo: int, hi: int) -> TensorSpec:
    (x,) = specs
    if not 0 <= lo <= hi <= _size(x, axis):
        raise SpecError(f"crop: {lo}..{hi} does not lie in axis {axis} of {x}")
    return TensorSpec(x.dtype, _resized(x.shape, axis, hi - lo), x.axes)


def _crop_pull(expr: Expr, block: Block) -> list[Block]:
    axis, lo = expr.params["axis"], expr.params["lo"]
    a, b = block[axis]
    return [(*block[:axis], (a + lo, b + lo), *block[axis + 1 :])]


CROP = Op(
    "crop",
    _crop_infer,
    _crop_pull,
    lambda expr, block, values: values[0],
    place=lambda expr, block, out: [out],
    runs=crop_runs,
)


# -- concat ----------------------------------------------------------------------------------


def concat(parts: Sequence[Expr], axis: int) -> Expr:
    """Join tensors along an axis; all other sizes, the dtypes and the known axes are equal.

    >>> from weightsurgeon.expr import array
    >>> concat([array([1, 2]), array([3])], axis=0).numpy().tolist()
    [1, 2, 3]
    """
    return apply(CONCAT, *parts, axis=axis)


def _concat_infer(specs: Specs, axis: int) -> TensorSpec:
    if not specs:
        raise SpecError("concat: nothing to join")
    first, axes = specs[0], next((x.axes for x in specs if x.axes), None)
    _size(first, axis)
    for x in specs[1:]:
        same_rank = len(x.shape) == len(first.shape)
        if not same_rank or _resized(x.shape, axis, 0) != _resized(first.shape, axis, 0):
            raise SpecError(f"concat along axis {axis}: {x} does not continue {first}")
        if x.dtype != first.dtype:
            raise SpecError(f"concat: dtypes differ, {x} and {first}; cast one of them")
        if x.axes and x.axes != axes:
            raise SpecError(f"concat: axes differ, {x} and {first}", "axes")
    total = sum(x.shape[axis] for x in specs)
    return TensorSpec(first.dtype, _resized(first.shape, axis, total), axes)


def _parts(expr: Expr, block: Block) -> list[tuple[int, int] | None]:
    """For each input the range of its own axis that lies in the block, or None."""
    lo, hi = block[expr.params["axis"]]
    start, found = 0, list[tuple[int, int] | None]()
    for x in expr.inputs:
        size = x.spec.shape[expr.params["axis"]]
        a, b = max(lo - start, 0), min(hi - start, size)
        found.append((a, b) if a < b else None)
        start += size
    return found


def _concat_pull(expr: Expr, block: Block) -> list[Block | None]:
    axis = expr.params["axis"]
    return [
        None if span is None else (*block[:axis], span, *block[axis + 1 :])
        for span in _parts(expr, block)
    ]


def _concat_place(expr: Expr, block: Block, out: Any) -> list[Any]:
    axis, at, places = expr.params["axis"], 0, list[Any]()
    for span in _parts(expr, block):
        width = span[1] - span[0] if span else 0
        places.append(out[(slice(None),) * axis + (slice(at, at + width),)])
        at += width
    return places


def _concat_compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    from ..kernels import copy

    out = np.empty(block_shape(block), expr.spec.dtype.numpy())
    for place, value in zip(_concat_place(expr, block, out), values, strict=True):
        if value is not None:
            copy(place, value)
    return out


CONCAT = Op("concat", _concat_infer, _concat_pull, _concat_compute, _concat_place, runs=concat_runs)


# -- shared ----------------------------------------------------------------------------------


def _size(x: TensorSpec, axis: int) -> int:
    if not 0 <= axis < len(x.shape):
        raise SpecError(f"{x} has no axis {axis}")
    return x.shape[axis]


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])
