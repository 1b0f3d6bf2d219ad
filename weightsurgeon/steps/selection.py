"""Which tensors a step takes: by name or role, once where names are tied, in canonical order."""

from __future__ import annotations

from typing import Protocol

from ..conventions import group_of
from ..errors import SpecError, shown
from ..formats.base import Checkpoint
from ..mapping.select import Test
from ..plan import Draft
from ..ranking import refuse_unprunable
from .work import Work


class Selecting(Protocol):
    """What selects: tests of names, whether by roles, and whether nothing may be selected."""

    @property
    def select(self) -> Test:
        """Which tensors."""

    @property
    def exclude(self) -> Test | None:
        """Which not."""

    @property
    def roles(self) -> bool:
        """Whether roles are asked for, which may be unknown."""

    @property
    def optional(self) -> bool:
        """Whether none may be found."""


def prunable(given: Selecting, work: Work, state: Checkpoint) -> list[str]:
    """The stored names that are selected, sorted by the smallest name that each tensor has.

    A tensor with several names is selected if one of them is and none is excluded.
    Errors: PlanError with every tensor that has no business being pruned.
    """
    names: dict[str, list[str]] = {}
    for name in state:
        names.setdefault(state.ties.get(name, name), []).append(name)
    found = {stored: min(all_) for stored, all_ in names.items() if _taken(given, state, all_)}
    if not found and not given.optional:
        raise work.place.refused(_nothing(given, state), "select")
    draft = Draft()
    for name in found:
        draft.attempt(lambda n=name: _refuse(state, n, work))  # type: ignore[misc]
    draft.refuse_if_problems()
    return sorted(found, key=lambda stored: found[stored])


def _taken(given: Selecting, state: Checkpoint, names: list[str]) -> bool:
    facts = [(name, state[name].spec, state.meaning(name)) for name in names]
    excluded = given.exclude is not None and any(given.exclude(*fact) for fact in facts)
    return not excluded and any(given.select(*fact) for fact in facts)


def _nothing(given: Selecting, state: Checkpoint) -> str:
    """Why nothing is selected, and what would select something."""
    names = [n for n in state if len(state[n].spec.shape) > 1 and not state.meaning(n).role]
    if given.roles and names:
        like = f"*.{names[0].rpartition('.')[2]}"
        text = f"the role of {shown(names[0])} and others in {shown(state.path)} is not known"
        return f"{text}: select by name, as in select: {shown(like)!r} (--include)"
    return "selects no tensor; optional: true lets it be"


def _refuse(state: Checkpoint, name: str, work: Work) -> None:
    """Raise what is wrong with pruning a tensor."""
    if group_of(state.meaning(name).role) == "quant":
        text = f"{shown(name)} is quantised: dequantise first"
        raise work.place.refused(text, id="integer", names=[name])
    try:
        refuse_unprunable(state[name].spec.dtype)
    except SpecError as error:
        raise work.place.refused(f"{shown(name)}: {error}", id=error.id, names=[name]) from error
