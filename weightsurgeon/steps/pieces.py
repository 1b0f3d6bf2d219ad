"""What parts are made of: a tensor under its new name, and who in which source was read for it.

`alias:glob` names tensors of one source; the glob holds one `*` at most, and what the `*` stands
for is what the tensors of several sources are matched by.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import NamedTuple

from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Checkpoint, Meaning
from ..mapping.claim import split
from ..mapping.logical import neutral
from ..plan import Check, Draft, Origin, Plan
from ..spec import TensorSpec
from .work import Work


class Piece(NamedTuple):
    """A tensor of the assembly. Pieces of the same `share` are one tensor under several names."""

    name: str
    expr: Expr
    meaning: Meaning
    origin: Origin
    share: Hashable


class Reference(NamedTuple):
    """`alias:head*tail`, or `alias:head` where `tail` is None."""

    alias: str
    head: str
    tail: str | None

    def match(self, name: str) -> str | None:
        """What the `*` stands for in a name, "" where there is no `*`; None if it does not fit."""
        plain, head, tail = neutral(name), neutral(self.head), neutral(self.tail or "")
        if self.tail is None:
            return "" if plain == head else None
        fits = plain.startswith(head) and plain.endswith(tail)
        if not fits or len(name) <= len(head) + len(tail):
            return None
        return name[len(head) : len(name) - len(tail)]

    def __str__(self) -> str:
        return f"{self.alias}:{self.head}" + ("" if self.tail is None else f"*{self.tail}")


def reference(text: str) -> Reference:
    """Read `alias:name` or `alias:glob`.

    Errors: ValueError that says what is wrong with it.

    >>> reference("moe:experts.*.w1").match("experts.3.w1")
    '3'
    """
    alias, colon, pattern = text.partition(":")
    head, star, tail = pattern.partition("*")
    if not (alias and colon and pattern) or "*" in tail:
        raise ValueError(f"{shown(text)!r}: wants ALIAS:NAME, in which one * may stand")
    return Reference(alias, head, tail if star else None)


class Desk:
    """Where parts are put together: the states, what was read of them, what is wrong so far."""

    def __init__(self, work: Work) -> None:
        self.work, self.draft = work, Draft()
        self.used: dict[str, set[str]] = {}
        self.checks: list[Check] = []
        self.plans: list[Plan] = []  # of the mappings of parts

    def state(self, alias: str) -> Checkpoint:
        """A state that a part reads."""
        self.used.setdefault(alias, set())
        return self.work.states[alias]

    def take(self, alias: str, name: str) -> Expr:
        """A tensor of a state; from now on it is used."""
        self.used[alias].add(name)
        return self.work.states[alias][name]

    def found(self, ref: Reference) -> dict[str, str]:
        """The names that a reference matches, by what its `*` stands for.

        Errors: SpecError where it matches nothing, or two names in the same way.
        """
        found = dict[str, str]()
        for name in self.state(ref.alias):
            star = ref.match(name)
            if star is not None and found.setdefault(neutral(star), name) != name:
                other = found[neutral(star)]
                text = f"{shown(ref)} fits {shown(other)} and {shown(name)} alike"
                raise SpecError(text, "ambiguous")
        if not found:
            raise SpecError(f"{shown(ref)} matches no tensor", "dead-rule")
        return found

    def unused(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Of each state that was read, the tensors that no part took."""
        for alias, taken in self.used.items():
            state = self.work.states[alias]
            stored = {state.ties.get(name, name) for name in taken}
            left = tuple(n for n in state if state.ties.get(n, n) not in stored)
            if left:
                yield alias, left


def renamed(meaning: Meaning, name: str, spec: TensorSpec) -> Meaning:
    """The meaning of a tensor under another name, as it lies now."""
    return replace(meaning, layer=split(name)[0], axes=spec.axes)
