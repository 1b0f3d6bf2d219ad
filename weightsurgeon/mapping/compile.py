"""From a mapping and its sources to a Plan: names first, then specs, all problems at once."""

from __future__ import annotations

from collections.abc import Mapping

from ..conventions import NEUTRAL
from ..errors import MappingError, shown
from ..ops.arithmetic import full
from ..plan import Plan
from ..simplify import simplify
from .claim import Claim, claim, neutral
from .extras import make_counters, make_inits, make_ties
from .leftovers import complete_base, judge_rules, judge_sources
from .names import NameError_
from .rules import Drop, Layer
from .state import Job, State

__all__ = ["Job", "compile_plan"]


def compile_plan(job: Job) -> Plan:
    """The plan of a mapping: claim, bind, complete, judge what is left over.

    Errors: PlanError with every problem of names, shapes, axes and dtypes.
    """
    state = State(job)
    unclaimed = _claim(state)
    for found in state.claims.values():
        _make(state, found)
    make_counters(state)
    make_inits(state)
    ties = make_ties(state)
    judge_sources(state, unclaimed)
    judge_rules(state)
    complete_base(state, ties)
    state.draft.refuse_if_problems()
    return _plan(state, ties)


def _plan(state: State, ties: Mapping[str, str]) -> Plan:
    job, names = state.job, _order(state)
    return Plan(
        outputs={n: simplify(state.made[n].expr) for n in names},
        sources=job.sources,
        target=job.target,
        ties=ties,
        meanings={n: state.made[n].meaning for n in names},
        origins={n: state.made[n].origin for n in names},
        checks=tuple(state.checks),
        lines=tuple(state.draft.lines),
        notes=job.rules.notes,
        metadata=dict(job.source.source.metadata),
        mappings=(job.rules.hash,) if job.rules.hash else (),
    )


def _claim(state: State) -> list[str]:
    """Claim every source tensor; the names that no rule takes."""
    unclaimed = []
    here = state.dialects[0] or ""
    for found in claim(state.source, state.rules, here, state.job.base):
        if isinstance(found, Claim):
            state.claims[found.name] = found
        elif isinstance(found, MappingError):
            state.draft.problem(MappingError(found.id, found.text, state.job.rules.file))
        else:
            unclaimed.append(found)
    return unclaimed


def _make(state: State, found: Claim) -> None:
    """Bind a claim to its target, or do what a drop asks."""
    rule = found.rule
    if isinstance(rule, Drop):
        _check_drop(state, rule, found.name)
        return
    try:
        name = state.binder.targets(found)
    except NameError_ as error:
        state.draft.problem(rule.refused(error.id, str(error), found.name))
        return
    if name is None:
        _left_behind(state, found)
        return
    if state.excluded(name):
        state.draft.line("exclude", "left out of the target", (name,))
        return
    try:
        state.add(state.binder.bind(found, name), rule)
    except MappingError as error:
        state.refuse(error)


def _left_behind(state: State, found: Claim) -> None:
    """A role that the target's form lacks, or that the rule drops: it must be neutral."""
    rule = found.rule
    if not isinstance(rule, Layer) or rule.roles.get(found.role) != "drop":
        state.draft.line("dropped", f"{found.role}: has no place in the target", (found.name,))
        return
    x = state.job.source[found.name]
    neutral_ = full(x.spec.shape, x.spec.dtype, NEUTRAL.get(found.role, 0), x.spec.axes)
    text = f"{shown(found.name)} is dropped, but is not {NEUTRAL.get(found.role, 0)} everywhere"
    state.equal(x, neutral_, rule, text)


def _check_drop(state: State, rule: Drop, name: str) -> None:
    if rule.equal_to is None:
        return
    other = state.source.logical.get(rule.equal_to) or state.source.neutral.get(
        neutral(rule.equal_to)
    )
    if other is None:
        text = f"equal_to: the source has no tensor {shown(rule.equal_to)}"
        state.draft.problem(rule.refused("unequal", text, name))
        return
    text = f"{shown(name)} differs from {shown(other)}: map it by its own rule"
    state.equal(state.job.source[name], state.job.source[other], rule, text)


def _order(state: State) -> list[str]:
    """The base's order; else that of the sources in their file, then what was made."""
    if state.job.base is not None:
        return [name for name in state.job.base if name in state.made]
    place = {name: i for i, name in enumerate(state.job.source)}
    end = len(place)

    def at(name: str) -> int:
        return min((place.get(n, end) for n in state.made[name].origin.names), default=end)

    return sorted(state.made, key=at)
