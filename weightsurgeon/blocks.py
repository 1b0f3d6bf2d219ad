"""Cutting a tensor into blocks that fit the buffers, so that few and long runs are read.

The cost of a block is counted, not guessed: the runs its leaves are read in and the runs it is
written in. The axis whose halving costs least is halved until the block fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from .expr import LEAF, Block, Expr, block_shape

RUN_BYTES = 4096  # what could be moved in the time that one more run takes
TEMPORARIES = 4  # arithmetic holds its result and some steps on the way to it


def demand(expr: Expr, block: Block) -> Iterator[tuple[Expr, Block]]:
    """The leaves and the blocks of them that a block of the expression needs."""
    if expr.op is LEAF:
        yield expr, block
        return
    for x, part in zip(expr.inputs, expr.op.pull(expr, block), strict=True):
        if part is not None:
            yield from demand(x, part)


def need(expr: Expr, block: Block) -> int:
    """Bytes that must be in memory at once for a block: what is read and what is made."""
    return max(_nbytes(expr, block), _read(expr, block)) * (TEMPORARIES if _computes(expr) else 1)


def _nbytes(expr: Expr, block: Block) -> int:
    return prod(block_shape(block)) * expr.spec.dtype.itemsize


def _read(expr: Expr, block: Block) -> int:
    return sum(_nbytes(x, part) for x, part in demand(expr, block))


def _computes(expr: Expr) -> bool:
    """Whether an op on the way makes new values, where movement makes views or fills its place."""
    op = expr.op
    here = op is not LEAF and op.undo is None and op.place is None
    return here or any(_computes(x) for x in expr.inputs)


def runs(shape: tuple[int, ...], block: Block) -> int:
    """In how many contiguous runs a block of a dense tensor lies."""
    count, joined = 1, True
    for size, (lo, hi) in zip(reversed(shape), reversed(block), strict=True):
        count *= 1 if joined else hi - lo
        joined = joined and hi - lo == size
    return count


def _cost(expr: Expr, block: Block) -> float:
    """Bytes that are read, and runs as if they were bytes, for each byte that is made."""
    many = runs(expr.spec.shape, block)
    many += sum(runs(x.spec.shape, b) for x, b in demand(expr, block))
    return (many * RUN_BYTES + _read(expr, block)) / max(1, _nbytes(expr, block))


def block_sizes(expr: Expr, limit: int) -> tuple[int, ...]:
    """The shape of blocks of at most `limit` bytes each (a single element may need more)."""
    sizes = list(expr.spec.shape)
    while True:
        block = tuple((0, n) for n in sizes)
        if max(sizes, default=1) <= 1 or need(expr, block) <= limit:
            return tuple(sizes)
        axis = _axis_to_halve(expr, block)
        sizes[axis] = -(-sizes[axis] // 2)


def _axis_to_halve(expr: Expr, block: Block) -> int:
    """The axis along which half the block costs least."""
    long = [i for i, (lo, hi) in enumerate(block) if hi - lo > 1]
    return min(long, key=lambda i: _cost(expr, _halves(block, i)[0]))


def _halves(block: Block, axis: int) -> tuple[Block, Block]:
    lo, hi = block[axis]
    middle = lo + -(-(hi - lo) // 2)
    before, after = block[:axis], block[axis + 1 :]
    return (*before, (lo, middle), *after), (*before, (middle, hi), *after)


def blocks(expr: Expr, limit: int) -> Iterator[Block]:
    """Blocks that cover the tensor and each need at most `limit` bytes."""
    for tile in tiles(expr.spec.shape, block_sizes(expr, limit)):
        yield from fitting(expr, tile, limit)


def fitting(expr: Expr, block: Block, limit: int) -> Iterator[Block]:
    """The block, or its parts: where it lies across rows of a reshape, it needs both of them."""
    if need(expr, block) <= limit or all(hi - lo <= 1 for lo, hi in block):
        yield block
        return
    for half in _halves(block, _axis_to_halve(expr, block)):
        yield from fitting(expr, half, limit)


def tiles(shape: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[Block]:
    """All blocks of the given size, those at the far edges smaller."""
    if not prod(shape):
        return
    spans = [
        [(lo, min(lo + size, n)) for lo in range(0, n, size)]
        for n, size in zip(shape, sizes, strict=True)
    ]
    yield from product(*spans)


def rows(block: Block, limit: int) -> Iterator[Block]:
    """Cut a block along its outer axes into pieces of at most `limit` elements."""
    shape = block_shape(block)
    sizes = list(shape)
    for i, n in enumerate(shape):
        rest = prod(shape[i + 1 :])
        if prod(sizes) <= limit:
            break
        sizes[i] = max(1, min(n, limit // max(1, rest)))
    for tile in tiles(shape, tuple(max(1, n) for n in sizes)):
        yield tuple((a + lo, a + hi) for (a, _), (lo, hi) in zip(block, tile, strict=True))
