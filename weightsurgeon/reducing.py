"""Reductions at work: a wave of them shares one pass over what they read.

The tensors of a wave are cut into fixed spans of fixed runs, whatever the blocks and the workers
are; a span is folded into a state of its own, and states are merged in order. So no result
depends on threads or memory. Reductions that read the same tensor are folded from one read of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .blocks import fitting
from .errors import PlanError, SurgeryError
from .expr import GLANCE, Expr, evaluate
from .foldings import Folding, Group, Member, grouped
from .pending import Reduction, sources_of, waves
from .plan import Plan
from .workers import SCRATCH_BYTES, WORKERS, Workspace, in_parallel

if TYPE_CHECKING:
    from .expr import Array

RUN_ELEMENTS = 65_536  # what a reduction folds at a time
SPAN_RUNS = 64  # what is folded into one state
GLANCED = 1024  # of each run, where a reduction only wants a glance
AHEAD = 16  # spans that may be folded before the one whose turn it is: bounds the states

Progress = Callable[[int], None]


def run_reductions(plan: Plan, progress: Progress | None = None, workers: int = WORKERS) -> None:
    """Run the reductions that a plan waits for, wave by wave.

    Errors: PlanError with every check of a wave that does not hold.
    """
    exprs, asked = list(plan.outputs.values()), plan.reductions
    sources = sources_of(exprs, asked) + [finding.source for finding in plan.findings]
    for wave in waves(exprs, asked):
        results = reduce({str(id(one)): one for one in wave}, progress, workers)
        refused = list[SurgeryError]()
        for check in plan.checks:
            result = results.get(str(id(check.reduction)))
            refused += [check.refused(result)] if result is not None and result.count else []
        if refused:
            raise PlanError(refused)
        for source in sources:
            if str(id(source.reduction)) in results:
                source.settle(results[str(id(source.reduction))])


def reduce(
    wave: Mapping[str, Reduction], progress: Progress | None = None, workers: int = WORKERS
) -> dict[str, Any]:
    """The result of each reduction of a wave, by its key; as many passes as they ask for."""
    done = progress or (lambda nbytes: None)
    foldings = {key: Folding(one) for key, one in wave.items()}
    while open_ := [folding for folding in foldings.values() if not folding.finished]:
        glances = [folding for folding in open_ if folding.part == GLANCE]
        _pass(glances or open_, done, workers)  # what they guess is worth waiting for
    return {key: folding.result for key, folding in foldings.items()}


class Span(NamedTuple):
    """What one state is folded from: a range of the flat tensors of a group."""

    number: int
    group: Group
    lo: int
    hi: int


class _Turns:
    """Hands out spans in order, and none too far ahead of the first that is not folded yet."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups, self._done, self._first = groups, set[int](), 0
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Span]:
        number, length = 0, RUN_ELEMENTS * SPAN_RUNS
        for group in self._groups:
            for lo in range(0, group.size, length):
                with self._changed:  # not for ever: memory is all that is at stake
                    self._changed.wait_for(lambda n=number: n < self._first + AHEAD, 1)  # type: ignore[misc]
                yield Span(number, group, lo, min(lo + length, group.size))
                number += 1

    def folded(self, span: Span) -> None:
        """The span is done with, well or not."""
        with self._changed:
            self._done.add(span.number)
            while self._first in self._done:
                self._done.remove(self._first)
                self._first += 1
            self._changed.notify_all()


def _pass(foldings: list[Folding], done: Progress, workers: int) -> None:
    """One pass over the tensors of some reductions."""
    turns = _Turns(grouped(foldings, RUN_ELEMENTS * SPAN_RUNS))

    def work(span: Span, space: Workspace) -> None:
        try:
            _fold(span, space, done)
        finally:
            turns.folded(span)  # else a worker would wait for one that failed

    in_parallel(work, turns, workers)


def _fold(span: Span, space: Workspace, done: Progress) -> None:
    """Fold a span of a group into a state for each that wants it."""
    seen, others = list[Member](), list[Member]()
    for member in span.group.members:
        wanted = member.folding.wants(member.offset + span.lo, member.offset + span.hi)
        (seen if wanted else others).append(member)
    states = _states(span, Group(span.group.size, seen), space, done) if seen else []
    number = span.lo // (RUN_ELEMENTS * SPAN_RUNS)
    for member in others:
        member.folding.post(member.first_span + number, None)
    for member, state in zip(seen, states, strict=True):
        member.folding.post(member.first_span + number, state)


def _states(span: Span, group: Group, space: Workspace, done: Progress) -> list[Any]:
    """What the members make of a span, in blocks of whole runs that fit the worker's memory."""
    exprs, where = group.exprs()
    states = [member.folding.fresh() for member in group.members]
    width = sum(x.spec.dtype.itemsize for x in exprs)
    step = max(1, SCRATCH_BYTES // 4 // width // RUN_ELEMENTS) * RUN_ELEMENTS
    blocks = ((lo, min(lo + step, span.hi)) for lo in range(span.lo, span.hi, step))
    if group.members[0].folding.part == GLANCE:
        blocks = (_glanced(lo, span.hi) for lo in range(span.lo, span.hi, RUN_ELEMENTS))
    for lo, hi in blocks:
        space.reset()
        values = [_evaluated(x, lo, hi, space) for x in exprs]
        for i, member in enumerate(group.members):
            row, mine = member.folding.reduction.row, [values[j] for j in where[i]]
            for at in range(0, hi - lo, RUN_ELEMENTS):
                runs = (v[at : at + RUN_ELEMENTS] for v in mine)
                states[i] = row.fold(states[i], member.offset + lo + at, *runs)
        done(values[0].nbytes)
    return states


def _glanced(lo: int, end: int) -> tuple[int, int]:
    """Some neighbours of a run, not the same ones in each: columns may repeat with the runs."""
    size = min(RUN_ELEMENTS, end - lo)
    at = lo + min(lo // RUN_ELEMENTS * 37 % SPAN_RUNS * GLANCED, max(0, size - GLANCED))
    return at, min(at + GLANCED, lo + size)


def _evaluated(expr: Expr, lo: int, hi: int, space: Workspace) -> Array:
    """The values of a run of a flat tensor, in as many steps as memory asks for."""
    block = ((lo, hi),)
    out = space(expr.spec, block)
    for part in fitting(expr, block, SCRATCH_BYTES // 4):
        evaluate(expr, part, out[part[0][0] - lo : part[0][1] - lo], space)
    return out
