"""Reshape: the same values in the same order, cut into other axes.

Old and new axes fall into groups of equal product, `(a b) ↔ c`; a block of the result touches, in
each group, one run of the flat order. The smallest block of the input that covers the run is
pulled, flattened, and cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape
from ..spec import Axes, TensorSpec

Shape = tuple[int, ...]
Span = tuple[int, int]


def reshape(x: Expr, shape: Iterable[int], axes: Axes | None = None) -> Expr:
    """The same elements in C order under another shape; `axes` names the new ones.

    >>> from weightsurgeon.expr import array
    >>> reshape(array([[1, 2], [3, 4]]), (4,)).numpy().tolist()
    [1, 2, 3, 4]
    """
    return apply(RESHAPE, x, shape=tuple(shape), axes=axes)


def _infer(specs: tuple[TensorSpec, ...], shape: Shape, axes: Axes | None = None) -> TensorSpec:
    (x,) = specs
    if any(n < 0 for n in shape):
        raise SpecError(f"reshape: {shape} has a size below 0; every size is given")
    if prod(shape) != x.size:
        raise SpecError(f"reshape: {x} has {x.size} elements, {shape} has {prod(shape)}")
    if axes is not None and len(axes) != len(shape):
        raise SpecError(f"reshape: {len(shape)} sizes, but axes [{axes}]")
    return TensorSpec(x.dtype, shape, axes)


class _Group(NamedTuple):
    """Axes i0..i1 of the input are axes j0..j1 of the result."""

    i0: int
    i1: int
    j0: int
    j1: int


def _groups(old: Shape, new: Shape) -> list[_Group]:
    """Cut both shapes into the shortest groups of equal product (no size is 0)."""
    found, i, j = list[_Group](), 0, 0
    while i < len(old) or j < len(new):
        i0, j0, a, b = i, j, 1, 1
        if i < len(old):
            a, i = old[i], i + 1
        if j < len(new):
            b, j = new[j], j + 1
        while a != b:
            if a < b:
                a, i = a * old[i], i + 1
            else:
                b, j = b * new[j], j + 1
        found.append(_Group(i0, i, j0, j))
    return found


def _run(shape: Shape, block: Block) -> Span:
    """The flat run from which the block of a group is cut: whole rows of its first open axis."""
    start, inner = 0, prod(shape)
    for size, (lo, hi) in zip(shape, block, strict=True):
        inner //= size
        start += lo * inner
        if hi - lo != 1:
            return start, start + (hi - lo) * inner
    return start, start + 1


def _cover(shape: Shape, run: Span) -> tuple[Block, int]:
    """The smallest block of a group that holds a flat run, and where it starts in flat order."""
    lo, hi = run
    block, start, inner = list[Span](), 0, prod(shape)
    for axis, size in enumerate(shape):
        inner //= size
        first, last = (lo - start) // inner, (hi - 1 - start) // inner
        block.append((first, last + 1))
        if first != last:
            block += [(0, n) for n in shape[axis + 1 :]]
            return tuple(block), start + first * inner
        start += first * inner
    return tuple(block), start


def _pull(expr: Expr, block: Block) -> list[Block]:
    old, new = expr.inputs[0].spec.shape, expr.spec.shape
    if not prod(block_shape(block)):
        return [tuple((0, 0) for _ in old)]
    wanted: Block = ()
    for g in _groups(old, new):
        cover, _ = _cover(old[g.i0 : g.i1], _run(new[g.j0 : g.j1], block[g.j0 : g.j1]))
        wanted += cover
    return [wanted]


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    (x,) = values
    if not prod(block_shape(block)):
        return np.empty(block_shape(block), x.dtype)
    old, new = expr.inputs[0].spec.shape, expr.spec.shape
    groups = _groups(old, new)
    flat = _view(x, [prod(x.shape[g.i0 : g.i1]) for g in groups])
    runs, shape, cut = list[slice](), list[int](), list[slice]()
    for g in groups:
        part = block[g.j0 : g.j1]
        run = _run(new[g.j0 : g.j1], part)
        _, start = _cover(old[g.i0 : g.i1], run)
        runs.append(slice(run[0] - start, run[1] - start))
        rows, spans = _rows(new[g.j0 : g.j1], part)
        shape += rows
        cut += spans
    return _view(flat[tuple(runs)], shape)[(*cut, ...)]  # with ... a 0-d array stays an array


def _rows(shape: Shape, block: Block) -> tuple[list[int], list[slice]]:
    """The shape of a group's run as whole rows, and the block inside it."""
    rows, cut, opened = list[int](), list[slice](), False
    for size, (lo, hi) in zip(shape, block, strict=True):
        rows.append(size if opened else hi - lo)
        cut.append(slice(lo, hi) if opened else slice(None))
        opened = opened or hi - lo != 1
    return rows, cut


def _view(x: Any, shape: Sequence[int]) -> Any:
    """The array under another shape; strided arrays are copied by the fast kernel."""
    import numpy as np

    from ..kernels import copy

    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        dense = np.empty(x.shape, x.dtype)
        copy(dense, x)
        return dense.reshape(shape)


def _place(expr: Expr, block: Block, out: Any) -> list[Any] | None:
    """Where the block is exactly a block of the input, that may be computed in its place."""
    import numpy as np

    (wanted,) = _pull(expr, block)
    if prod(block_shape(wanted)) != prod(block_shape(block)):
        return None
    try:
        return [np.reshape(out, block_shape(wanted), copy=False)]
    except ValueError:
        return None


def _undo(expr: Expr) -> tuple[Op, Mapping[str, Any]]:
    before = expr.inputs[0].spec
    return RESHAPE, {"shape": before.shape, "axes": before.axes}


RESHAPE = Op("reshape", _infer, _pull, _compute, _place, _undo, in_place=True)
