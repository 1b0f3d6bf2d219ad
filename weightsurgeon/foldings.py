"""Reductions on their way through a pass: what each wants to see, and who reads the same tensors.

Parts of reductions that read one tensor form a group, so that it is read once for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .expr import GLANCE, Again, Expr, leaves
from .pending import Pending, Reduction


class Folding:
    """A reduction on its way: states of spans come in any order and are merged in theirs."""

    def __init__(self, reduction: Reduction) -> None:
        self.reduction, self.finished, self.result = reduction, False, None
        start = reduction.row.start(**reduction.params)
        self._again = start if isinstance(start, Again) else None
        self._lock = threading.Lock()

    @property
    def part(self) -> tuple[int, int] | None:
        """What this pass shall see."""
        return None if self._again is None else self._again.part

    def wants(self, start: int, end: int) -> bool:
        """Whether this pass shall see a span of so many flat elements."""
        part = self.part
        return part in (None, GLANCE) or (part is not None and part[0] < end and start < part[1])

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
        """The state of a span (None: it was not seen): merged when all before it are; the last one
        ends the pass."""
        with self._lock:
            self._waiting[index] = state
            while self._next in self._waiting:
                later = self._waiting.pop(self._next)
                if self._state is None or later is None:
                    self._state = later if self._state is None else self._state
                else:
                    self._state = self.reduction.row.merge(self._state, later)
                self._next += 1
            if self._next == self._spans:
                state, self._state = self._state, None
                self._finish(self.fresh() if state is None else state)

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


def grouped(foldings: Iterable[Folding], span: int) -> list[Group]:
    """The parts of reductions by what they read; each learns how many spans it will see."""
    groups = dict[int, Group]()  # by identity: in the order in which their tensors first come
    homes: dict[tuple[object, ...], Group] = {}
    for folding in foldings:
        offset = first = 0
        for inputs in folding.reduction.parts:
            (size,) = inputs[0].spec.shape
            member = Member(folding, inputs, offset, first)
            offset, first = offset + size, first - (-size // span)
            if size:
                _place(member, size, groups, homes)
        folding.expect(first)
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
