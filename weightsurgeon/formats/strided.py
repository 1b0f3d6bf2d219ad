"""Reading a strided view of a run of elements, block by block, in bounded memory.

A block is read in one piece when the run that its elements span is small and well used; otherwise
it is halved along the axis that spans most. So a transposed or sliced tensor of any size, even one
expanded over stride 0, never takes more than a piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..expr import Block, block_shape
from ..kernels import copy

if TYPE_CHECKING:
    from ..expr import Array

PIECE = 2**20  # bytes of a run read at once
PAGE = 4096  # a run this short is read whatever little of it is used
USED = 8  # of a longer one at least every eighth element is

Fetch = Callable[[int, int], "Array"]
"""Index of the first element, count → that many elements as a flat array."""


def read_strided(
    fetch: Fetch, offset: int, strides: tuple[int, ...], block: Block, out: Array
) -> None:
    """Fill `out` with the block of the view that starts at `offset`; all counted in elements."""
    if out.size:
        first = offset + sum(lo * s for (lo, _), s in zip(block, strides, strict=True))
        _gather(fetch, first, strides, out.reshape(block_shape(block)))


def _gather(fetch: Fetch, first: int, strides: tuple[int, ...], out: Array) -> None:
    from numpy.lib.stride_tricks import as_strided

    reach = [(n - 1) * s for n, s in zip(out.shape, strides, strict=True)]
    span = 1 + sum(reach)
    nbytes = span * out.itemsize
    if span == 1 or nbytes <= PAGE or (nbytes <= PIECE and span <= USED * out.size):
        steps = tuple(s * out.itemsize for s in strides)
        copy(out, as_strided(fetch(first, span), out.shape, steps, writeable=False))
        return
    axis = reach.index(max(reach))
    half = out.shape[axis] // 2
    before = (slice(None),) * axis
    _gather(fetch, first, strides, out[(*before, slice(half))])
    _gather(fetch, first + half * strides[axis], strides, out[(*before, slice(half, None))])


def is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the view is the elements in C order, without gaps."""
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return 0 in shape
        expected *= n
    return True


def reach_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many elements the view spans, from its first to its last."""
    if 0 in shape:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
