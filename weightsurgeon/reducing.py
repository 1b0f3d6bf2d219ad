"""Reductions at work: a wave of them shares one pass over what they read.

The tensors of a wave are cut into fixed spans of fixed runs, whatever the blocks and the workers
are; a span is folded into a state of its own, and states are merged in order. So no result
depends on threads or memory. Reductions that read the same tensor are folded from one read of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .blocks import fitting
from .errors import PlanError, SurgeryError
from .expr import Again, Expr, evaluate, leaves
from .pending import Pending, Reduction, sources_of, waves
from .plan import Plan
from .workers import SCRATCH_BYTES, WORKERS, Workspace, in_parallel

if TYPE_CHECKING:
    from .expr import Array

RUN_ELEMENTS = 65_536  # what a reduction folds at a time
SPAN_RUNS = 64  # what is folded into one state
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
        _pass(open_, done, workers)
    return {key: folding.result for key, folding in foldings.items()}


class Folding:
    """A reduction on its way: states of spans come in any order and are merged in theirs."""

    def __init__(self, reduction: Reduction) -> None:
        self.reduction, self.finished, self.result = reduction, False, None
        self._again: Again | None = None
        self._lock = threading.Lock()

    def fresh(self) -> Any:
        """The state in which a span starts."""
        if self._again is not None:
            return deepcopy(self._again.state)
        return self.reduction.row.start(**self.reduction.params)

    def expect(self, spans: int) -> None:
        """A pass begins, with so many spans; with none it is over already."""
        self._spans, self._next = spans, 0
        self._waiting: dict[int, Any] = {}
        self._state: Any = None
        if not spans:
            self._finish(self.fresh())

    def post(self, index: int, state: Any) -> None:
        """The state of a span: merged when all before it are, and the last one ends the pass."""
        with self._lock:
            self._waiting[index] = state
            while self._next in self._waiting:
                later = self._waiting.pop(self._next)
                merge = self.reduction.row.merge
                self._state = merge(self._state, later) if self._next else later
                self._next += 1
            if self._next == self._spans:
                state, self._state = self._state, None
                self._finish(state)

    def _finish(self, state: Any) -> None:
        result = self.reduction.row.finish(state)
        self._again = result if isinstance(result, Again) else None
        self.finished, self.result = self._again is None, result


class Member(NamedTuple):
    """A part of a reduction: where its flat index and its spans begin."""

    folding: Folding
    inputs: tuple[Expr, ...]
    offset: int
    first_span: int


@dataclass
class Group:
    """Parts that read the same tensors, to be folded from one read of them."""

    size: int
    members: list[Member] = field(default_factory=list)

    def exprs(self) -> tuple[list[Expr], list[list[int]]]:
        """The different expressions that are read, and which of them each member folds."""
        exprs, where = list[Expr](), list[list[int]]()
        for member in self.members:
            for x in member.inputs:
                if x not in exprs:
                    exprs.append(x)
            where.append([exprs.index(x) for x in member.inputs])
        return exprs, where


def _grouped(foldings: Iterable[Folding]) -> list[Group]:
    groups = dict[int, Group]()  # by identity: in the order in which their tensors first come
    homes: dict[tuple[object, ...], Group] = {}
    for folding in foldings:
        offset = span = 0
        for inputs in folding.reduction.parts:
            (size,) = inputs[0].spec.shape
            member = Member(folding, inputs, offset, span)
            offset, span = offset + size, span - (-size // (RUN_ELEMENTS * SPAN_RUNS))
            if size:
                _place(member, size, groups, homes)
        folding.expect(span)
    return list(groups.values())


def _place(
    member: Member, size: int, groups: dict[int, Group], homes: dict[tuple[object, ...], Group]
) -> None:
    """Put a part to those that read one of its tensors; what it connects becomes one group."""
    keys = [(size, *key) for x in member.inputs for key in _tensors(x, size)]
    found = list({id(homes[key]): homes[key] for key in keys if key in homes}.values())
    group = found[0] if found else Group(size)
    groups.setdefault(id(group), group)
    for other in found[1:]:
        group.members += other.members
        del groups[id(other)]
        homes.update({key: group for key, home in homes.items() if home is other})
    group.members.append(member)
    homes.update(dict.fromkeys(keys, group))


def _tensors(expr: Expr, size: int) -> Iterator[tuple[object, ...]]:
    """What makes two expressions neighbours: the big tensors they read, not a scalar or a row."""
    for x in leaves(expr):
        if x.spec.size >= size and not isinstance(x.params["source"], Pending):
            yield id(x.params["source"]), x.params["name"]


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
    turns = _Turns(_grouped(foldings))

    def work(span: Span, space: Workspace) -> None:
        try:
            _fold(span, space, done)
        finally:
            turns.folded(span)  # else a worker would wait for one that failed

    in_parallel(work, turns, workers)


def _fold(span: Span, space: Workspace, done: Progress) -> None:
    """Fold a span of a group, in blocks of whole runs that fit the worker's memory."""
    exprs, where = span.group.exprs()
    members = span.group.members
    states = [member.folding.fresh() for member in members]
    width = sum(x.spec.dtype.itemsize for x in exprs)
    step = max(1, SCRATCH_BYTES // 4 // width // RUN_ELEMENTS) * RUN_ELEMENTS
    for lo in range(span.lo, span.hi, step):
        hi = min(lo + step, span.hi)
        space.reset()
        values = [_evaluated(x, lo, hi, space) for x in exprs]
        for i, member in enumerate(members):
            row, mine = member.folding.reduction.row, [values[j] for j in where[i]]
            for at in range(0, hi - lo, RUN_ELEMENTS):
                runs = (v[at : at + RUN_ELEMENTS] for v in mine)
                states[i] = row.fold(states[i], member.offset + lo + at, *runs)
        done(values[0].nbytes)
    number = span.lo // (RUN_ELEMENTS * SPAN_RUNS)
    for member, state in zip(members, states, strict=True):
        member.folding.post(member.first_span + number, state)


def _evaluated(expr: Expr, lo: int, hi: int, space: Workspace) -> Array:
    """The values of a run of a flat tensor, in as many steps as memory asks for."""
    block = ((lo, hi),)
    out = space(expr.spec, block)
    for part in fitting(expr, block, SCRATCH_BYTES // 4):
        evaluate(expr, part, out[part[0][0] - lo : part[0][1] - lo], space)
    return out
