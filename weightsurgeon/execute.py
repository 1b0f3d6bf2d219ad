"""When things happen: checks first, then raw copies, then blocks; a plain fact for each output.

Two kinds of step. *copy*: the bytes do not change, so the kernel copies them, neighbours in one
run. *stream*: blocks are evaluated and written by two workers, each in its own buffers. Nothing
here knows an op or a container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .blocks import blocks, fitting, rows
from .copies import Copy, bytes_of, copies_of, joined
from .errors import OutputError, PlanError, SpecError, shown
from .expr import Again, Block, Expr, evaluate, slices
from .formats.base import Extent, Sink
from .formats.files import copy_range
from .kernels import copy
from .plan import Plan, Reduction
from .workers import PIECE_BYTES, SCRATCH_BYTES, WORKERS, Workspace, in_parallel

if TYPE_CHECKING:
    from .expr import Array

RUN_ELEMENTS = 65_536  # reductions fold runs of this many elements, whatever the blocks are

Progress = Callable[[int], None]


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
    run_checks(plan, workers)
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
        left -= Counter(run.names)
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


# -- reductions ------------------------------------------------------------------------------


def run_checks(plan: Plan, workers: int = WORKERS) -> None:
    """Raise one `PlanError` with every check of the plan that does not hold."""
    results = reduce({str(i): c.reduction for i, c in enumerate(plan.checks)}, workers=workers)
    found = [(check, results[str(i)]) for i, check in enumerate(plan.checks)]
    refused = [check.refused(result) for check, result in found if result.count]
    if refused:
        raise PlanError(refused)


def reduce(
    wave: Mapping[str, Reduction], progress: Progress | None = None, workers: int = WORKERS
) -> dict[str, Any]:
    """Run the reductions of a wave: fold fixed runs in order, so blocks and threads do not show."""
    done, results = progress or (lambda nbytes: None), dict[str, Any]()

    def work(task: tuple[str, Reduction], space: Workspace) -> None:
        key, reduction = task
        state = reduction.row.start(**reduction.params)
        while True:
            result = reduction.row.finish(_fold(reduction, state, space, done))
            if not isinstance(result, Again):
                break
            state = result.state
        results[key] = result

    in_parallel(work, wave.items(), workers)
    return {key: results[key] for key in wave}


def _fold(reduction: Reduction, state: Any, space: Workspace, done: Progress) -> Any:
    (size,) = reduction.inputs[0].spec.shape  # a reduction sees its inputs flat
    width = sum(x.spec.dtype.itemsize for x in reduction.inputs)
    step = max(1, SCRATCH_BYTES // 4 // width // RUN_ELEMENTS) * RUN_ELEMENTS
    for lo in range(0, size, step):
        block = ((lo, min(lo + step, size)),)
        space.reset()
        values = [_evaluated(x, block, space) for x in reduction.inputs]
        for at in range(0, len(values[0]), RUN_ELEMENTS):
            run = (v[at : at + RUN_ELEMENTS] for v in values)
            state = reduction.row.fold(state, lo + at, *run)
        done(values[0].nbytes)
    return state


def _evaluated(expr: Expr, block: Block, space: Workspace) -> Array:
    """The values of a run of a flat tensor, in as many steps as memory asks for."""
    out, first = space(expr.spec, block), block[0][0]
    for part in fitting(expr, block, SCRATCH_BYTES // 4):
        evaluate(expr, part, out[part[0][0] - first : part[0][1] - first], space)
    return out
