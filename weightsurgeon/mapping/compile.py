"""From a mapping and its sources to a Plan: names first, then specs, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..conventions import NEUTRAL, TRAINING, unheld
from ..errors import MappingError, shown
from ..neutral import mappings_of
from ..ops.arithmetic import full
from ..plan import Line, Plan
from ..simplify import simplify
from .bind import Made
from .claim import Claim, Misfit
from .extras import make_inits, make_ties
from .leftovers import complete_base, judge_rules, judge_sizes, judge_sources
from .names import NameError_
from .roles import complete_layers
from .rules import Drop, Layer
from .state import Job, State
from .traps import notes_of

__all__ = ["Job", "compile_plan"]


def compile_plan(job: Job) -> Plan:
    """The plan of a mapping: claim, bind, complete, judge what is left over.

    Errors: PlanError with every problem of names, shapes, axes and dtypes.
    """
    state = State(job)
    unclaimed = _claim(state)
    for found in state.claims.values():
        _make(state, found)
    complete_layers(state)
    make_inits(state)
    ties = make_ties(state)
    judge_sizes(state)
    judge_sources(state, unclaimed)
    judge_rules(state)
    complete_base(state, ties)
    state.draft.refuse_if_problems()
    return _plan(state, ties)


def _plan(state: State, ties: Mapping[str, str]) -> Plan:
    job, names = state.job, _order(state)
    used = [job.rules.hash] if job.rules.hash else mappings_of(job.source.source)
    return Plan(
        outputs={n: simplify(state.made[n].expr) for n in names},
        sources=job.sources,
        target=job.target._replace(path="") if state.audit else job.target,
        ties=ties,
        meanings={n: state.made[n].meaning for n in names},
        origins={n: state.made[n].origin for n in names},
        checks=tuple(state.checks),
        lines=tuple(_merged(state.draft.lines)),
        notes=(*job.rules.notes, *notes_of(state)),
        metadata=dict(job.source.source.metadata),
        mappings=tuple(used),
    )


def _merged(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines that say the same of many names, as one."""
    names = dict[tuple[str, str], list[str]]()
    for line in lines:
        names.setdefault((line.id, line.text), []).extend(line.names)
    return (Line(id, text, tuple(found)) for (id, text), found in names.items())


def _claim(state: State) -> list[str]:
    """Claim every source tensor; the names that no rule takes."""
    unclaimed, cells = [], dict[tuple[object, ...], str]()
    for found in state.claimer.claims():
        if isinstance(found, Misfit):
            state.draft.problem(found.problem)
            state.spoken_for.add(id(found.rule))
        elif isinstance(found, Claim):
            if not _is_second(state, found, cells):
                state.claims[found.name] = found
        else:
            unclaimed.append(found)
    return unclaimed


def _is_second(state: State, found: Claim, cells: dict[tuple[object, ...], str]) -> bool:
    """Two tensors that a rule cannot tell apart: `a/b` and `a.b`, two aliases of a leaf."""
    if isinstance(found.rule, Drop):
        return False
    cell = (id(found.rule), found.role, *sorted(found.captures.items()))
    other = cells.setdefault(cell, found.name)
    if other != found.name:
        text = f"{shown(other)} and {shown(found.name)} are the same to this rule"
        state.draft.problem(found.rule.refused("ambiguous", text, other, found.name))
    return other != found.name


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
    if state.excluded(name, state.job.source[found.name].spec):
        state.draft.line("exclude", "left out of the target", (name,))
        return
    try:
        made = state.binder.bind(found, name)
    except MappingError as error:
        state.refuse(error, name)
        return
    state.add(made, rule)
    if made.origin.class_ == "lossy" and not getattr(rule, "cast", None):
        _list_loss(state, found, made)


def _list_loss(state: State, found: Claim, made: Made) -> None:
    if state.policy["lossy_cast"] != "ignore":
        text = f"{state.job.source[found.name].spec.dtype} rounded to {made.expr.spec.dtype}"
        state.draft.line("lossy-cast", text, (made.name,))


def _left_behind(state: State, found: Claim) -> None:
    """A role that the target's form lacks, or that the rule drops: it must be neutral."""
    rule = found.rule
    if found.role in TRAINING:
        state.draft.line("dropped", f"{found.role}: has no place in the target", (found.name,))
        return
    kind, dialect = state.binder.target_kind(found), state.dialects[1] or ""
    why = unheld(kind, found.role, dialect)
    if why:
        text = f"{shown(found.name)}: a {kind} of {dialect} cannot hold it: {why}"
        state.draft.problem(rule.refused("kind", text, found.name))
        return
    if not isinstance(rule, Layer) or rule.roles.get(found.role) != "drop":
        what = f"a {kind} of the target has no {found.role}"
        text = f"{shown(found.name)}: {what}; say roles: {{{found.role}: drop}} if it is neutral"
        state.draft.problem(rule.refused("role", text, found.name))
        return
    state.draft.line("dropped", f"{found.role}: by {rule.place}", (found.name,))
    x = state.job.source[found.name]
    neutral_ = full(x.spec.shape, x.spec.dtype, NEUTRAL.get(found.role, 0), x.spec.axes)
    text = f"{shown(found.name)} is dropped, but is not {NEUTRAL.get(found.role, 0)} everywhere"
    state.equal(x, neutral_, rule, text)


def _check_drop(state: State, rule: Drop, name: str) -> None:
    state.draft.line("dropped", f"by {rule.place}", (name,))
    if rule.equal_to is None:
        return
    other = state.source.find(rule.equal_to)
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
