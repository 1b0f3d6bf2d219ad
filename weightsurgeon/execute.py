"""When things happen: reductions first, then raw copies, then blocks; a plain fact for each output.

Two kinds of step. *copy*: the bytes do not change, so the kernel copies them, neighbours in one
run. *stream*: blocks are evaluated and written by two workers, each in its own buffers. Nothing
here knows an op or a container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from .blocks import blocks, rows
from .copies import Copy, bytes_of, copies_of, joined
from .errors import OutputError, SpecError, shown
from .expr import Block, Expr, evaluate, slices
from .formats.base import Extent, Sink
from .formats.files import copy_range
from .kernels import copy
from .plan import Plan
from .reducing import Progress, run_reductions
from .tally import tallies
from .workers import PIECE_BYTES, SCRATCH_BYTES, WORKERS, Workspace, in_parallel


class Fact(NamedTuple):
    """What was done for one output: `step` is copy or stream."""

    name: str
    step: str
    nbytes: int


def execute(
    plan: Plan, sink: Sink, progress: Progress | None = None, workers: int = WORKERS
) -> Iterator[Fact]:
    """Run a plan into a sink, and yield a fact for each output; the caller commits.

    Errors: PlanError if a check fails, before anything is written; SurgeryError of a tensor.
    """
    run_reductions(plan, workers=workers)
    for expr in plan.outputs.values():
        for tally in tallies(expr):
            tally.reset()  # reductions may have evaluated, and so counted, what is now written
    done = progress or (lambda nbytes: None)
    copies, streams = list[Copy](), dict[str, Expr]()
    for name, expr in plan.outputs.items():
        found = copies_of(name, expr, sink.extent(name))
        copies += found
        if not found:
            streams[name] = expr
    left = Counter(name for run in copies for name in run.names)
    for run in joined(copies):
        _copy(run, sink, done)
        left.subtract(run.names)
        made = (name for name in dict.fromkeys(run.names) if not left[name])
        yield from (Fact(name, "copy", plan.outputs[name].spec.nbytes) for name in made)
    tasks = ((name, bytes_of(expr)) for name, expr in streams.items())
    work = ((name, x, b) for name, x in tasks for b in blocks(x, SCRATCH_BYTES))

    def stream(task: tuple[str, Expr, Block], space: Workspace) -> None:
        name, expr, block = task
        _stream(sink, name, expr, block, space, done)

    in_parallel(stream, work, workers)
    for source_ in plan.sources.values():
        source_.check_unchanged()
    yield from (Fact(name, "stream", expr.spec.nbytes) for name, expr in streams.items())


# -- copy ------------------------------------------------------------------------------------


SLICE = 8 * 2**20  # between two of these a progress bar moves, a signal is heard, the disk starts


def _copy(run: Copy, sink: Sink, done: Progress) -> None:
    for at in range(0, run.source.nbytes, SLICE):
        nbytes = min(SLICE, run.source.nbytes - at)
        source = Extent(run.source.fd, run.source.offset + at, nbytes)
        target = Extent(run.target.fd, run.target.offset + at, nbytes)
        try:
            copy_range(source, target, run.names[0])
        except OSError as error:
            what = f"{shown(run.names[0])}: cannot be copied: {error.strerror or error}"
            raise OutputError(what) from error
        sink.written(nbytes)
        done(nbytes)


# -- stream ----------------------------------------------------------------------------------


def _stream(
    sink: Sink, name: str, expr: Expr, block: Block, space: Workspace, done: Progress
) -> None:
    """Evaluate one block and write it, in pieces that stay in the cache."""
    shape, itemsize = expr.spec.shape, expr.spec.dtype.itemsize
    extent = sink.extent(name)
    space.reset()
    try:
        out = space(expr.spec, block) if expr.op.place is not None else None
        values = evaluate(expr, block, out, space)
    except SpecError as error:
        raise type(error)(f"{shown(name)}: {error}", error.id) from error
    if values.flags.c_contiguous:
        sink.write(name, block, values, shape)
        done(values.nbytes)
        return
    base = tuple(lo for lo, _ in block)
    for part in rows(block, PIECE_BYTES // itemsize):
        inside = tuple((lo - a, hi - a) for (lo, hi), a in zip(part, base, strict=True))
        offset = _flat(shape, part) * itemsize + (extent.offset if extent else 0)
        piece = space.piece(expr.spec, part, offset)
        copy(piece, values[slices(inside)])
        sink.write(name, part, piece, shape)
        done(piece.nbytes)


def _flat(shape: tuple[int, ...], block: Block) -> int:
    """The flat index of a block's first element."""
    index = 0
    for size, (lo, _) in zip(shape, block, strict=True):
        index = index * size + lo
    return index
