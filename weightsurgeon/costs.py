"""What a plan will cost, from headers only: passes, bytes read and written, buffers.

Copied bytes never leave the kernel. What is computed is read through blocks; where an op needs
more than a block's own entries (a transposition, a tensor used twice) bytes may be read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from .copies import source_extents
from .expr import LEAF, Block, Expr, block_shape, whole
from .pending import Pending, Reduction, waves
from .plan import Plan
from .table import human_bytes
from .workers import PIECE_BYTES, SCRATCH_BYTES, WORKERS

Leaf = tuple[int, str]  # a source and a name in it


class Cost(NamedTuple):
    """Bytes and passes of a plan.

    copied   bytes that the kernel copies as they are
    read     bytes that are read to be computed with, by steps and by reductions, at least
    written  bytes of tensors that are written
    passes   over what is read or copied: one for each wave of reductions (a threshold may need
             several more), one for the outputs
    buffers  of all workers together, for blocks; 0 where everything is copied
    """

    copied: int
    read: int
    written: int
    passes: int
    buffers: int

    def __str__(self) -> str:
        passes = f"{self.passes} {'pass' if self.passes == 1 else 'passes'}"
        return (
            f"{passes}: {human_bytes(self.copied)} copied, "
            f"{human_bytes(self.read)} read, {human_bytes(self.written)} written, "
            f"{human_bytes(self.buffers)} of buffers"
        )


def cost_of(plan: Plan) -> Cost:
    """What running the plan costs."""
    copied = [x for x in plan.outputs.values() if source_extents(x)]
    streamed = [x for x in plan.outputs.values() if not source_extents(x)]
    rounds = waves(plan.outputs.values(), plan.reductions)
    read = sum(map(_of_wave, rounds))
    read += sum(map(bytes_read, streamed))
    working = WORKERS * (SCRATCH_BYTES + PIECE_BYTES) if streamed or rounds else 0
    done = sum(x.spec.nbytes for x in copied)
    return Cost(done, read, plan.nbytes, len(rounds) + bool(plan.outputs), working)


def _of_wave(wave: list[Reduction]) -> int:
    """The bytes of a wave: a tensor that several of its reductions see is read once."""
    once = dict[Leaf, int]()
    for expr in (x for one in wave for part in one.parts for x in part):
        for leaf, nbytes in _reads(expr, whole(expr.spec)):
            once[leaf] = max(nbytes, once.get(leaf, 0))
    return sum(once.values())


def bytes_read(expr: Expr, block: Block | None = None) -> int:
    """The bytes of files that a block of an expression is made of (all of it by default).

    >>> from weightsurgeon.expr import array
    >>> bytes_read(array([1, 2, 3]), ((0, 2),))
    16
    """
    found = _reads(expr, whole(expr.spec) if block is None else block)
    return sum(nbytes for _, nbytes in found)


def _reads(expr: Expr, block: Block) -> Iterator[tuple[Leaf, int]]:
    if expr.op is LEAF:
        source = expr.params["source"]
        if not isinstance(source, Pending):  # else it is a result, which is there already
            nbytes = -(-prod(block_shape(block)) * expr.spec.dtype.bits // 8)
            yield (id(source), expr.params["name"]), nbytes
        return
    for x, part in zip(expr.inputs, expr.op.pull(expr, block), strict=True):
        if part is not None:
            yield from _reads(x, part)
