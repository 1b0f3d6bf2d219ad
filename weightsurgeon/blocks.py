"""Cutting a tensor into blocks that fit the buffers, so that few and long runs are read.

The cost of a block is counted, not guessed: the runs its leaves are read in and the runs it is
written in. The axis whose halving costs least is halved until the block fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from .expr import LEAF, Block, Expr, block_shape


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
    made = prod(block_shape(block)) * expr.spec.dtype.itemsize
    read = sum(prod(block_shape(b)) * x.spec.dtype.itemsize for x, b in demand(expr, block))
    return max(made, read)


def runs(shape: tuple[int, ...], block: Block) -> int:
    """In how many contiguous runs a block of a dense tensor lies."""
    count, joined = 1, True
    for size, (lo, hi) in zip(reversed(shape), reversed(block), strict=True):
        count *= 1 if joined else hi - lo
        joined = joined and hi - lo == size
    return count


def _cost(expr: Expr, block: Block) -> float:
    """Runs for each byte of the block."""
    many = runs(expr.spec.shape, block)
    many += sum(runs(x.spec.shape, b) for x, b in demand(expr, block))
    return many / max(1, prod(block_shape(block)))


def block_sizes(expr: Expr, limit: int) -> tuple[int, ...]:
    """The shape of blocks of at most `limit` bytes each (a single element may need more)."""
    sizes = list(expr.spec.shape)
    while True:
        block = tuple((0, n) for n in sizes)
        choices = [i for i, n in enumerate(sizes) if n > 1]
        if not choices or need(expr, block) <= limit:
            return tuple(sizes)
        halves = [(*block[:i], (0, -(-sizes[i] // 2)), *block[i + 1 :]) for i in choices]
        best = min(range(len(choices)), key=lambda k: _cost(expr, halves[k]))
        sizes[choices[best]] = -(-sizes[choices[best]] // 2)


def blocks(expr: Expr, limit: int) -> Iterator[Block]:
    """Blocks that cover the tensor, in C order of their corners."""
    yield from tiles(expr.spec.shape, block_sizes(expr, limit))


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
