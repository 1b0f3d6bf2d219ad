"""From a mapping and its sources to a Plan: names first, then specs, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from ..errors import shown
from ..expr import Expr
from ..neutral import mappings_of
from ..plan import Line, Plan
from ..simplify import simplify
from ..tally import counted
from .claim import Claim, Misfit
from .extras import make_inits, make_ties
from .leftovers import complete_base, judge_rules, judge_sizes, judge_sources
from .making import make_all
from .norm_folding import fold_layers
from .roles import complete_layers
from .rules import Drop
from .several import aliased, parts_of, united
from .state import Job, State
from .traps import notes_of

__all__ = ["Job", "compile_plan"]


def compile_plan(job: Job) -> Plan:
    """The plan of a mapping: claim, bind, complete, judge what is left over.

    Errors: PlanError with every problem of names, shapes, axes and dtypes.
    """
    parts = {alias: State(part) for alias, part in parts_of(job)}
    unclaimed = list[str]()
    for alias, part in parts.items():
        unclaimed += [aliased(alias, name) if alias else name for name in _claim(part)]
        make_all(part)
        complete_layers(part)
        fold_layers(part)
    state = parts[""] if "" in parts else united(job, parts)
    make_inits(state)
    ties = make_ties(state)
    judge_sizes(state)
    judge_sources(state, unclaimed)
    for part in parts.values():
        judge_rules(part)
    complete_base(state, ties)
    state.draft.refuse_if_problems()
    return _plan(state, ties, [note for part in parts.values() for note in notes_of(part)])


def _plan(state: State, ties: Mapping[str, str], notes: Iterable[str]) -> Plan:
    job, names = state.job, _order(state)
    used = [job.rules.hash] if job.rules.hash else mappings_of(job.source.source)
    outputs = {n: simplify(state.made[n].expr) for n in names}
    listed = state.policy["nonfinite"] == "list"
    return Plan(
        outputs=outputs,
        sources=job.sources,
        target=job.target._replace(path="") if state.audit else job.target,
        ties=ties,
        meanings={n: state.made[n].meaning for n in names},
        origins={n: state.made[n].origin for n in names},
        checks=tuple(state.checks),
        lines=tuple(_merged(state.draft.lines)),
        after=(partial(_infinite, outputs),) if listed else (),
        notes=(*job.rules.notes, *notes),
        metadata=dict(job.source.source.metadata),
        mappings=tuple(used),
    )


def _infinite(outputs: Mapping[str, Expr]) -> Iterator[Line]:
    """What a narrower dtype had no finite place for, once the work has counted it."""
    for name, expr in outputs.items():
        if count := counted(expr).get("overflow"):
            text = f"{count:,} finite values are infinite as {expr.spec.dtype}"
            yield Line("nonfinite", text, (name,))


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
    cell = (id(found.rule), found.role, found.item, *sorted(found.captures.items()))
    other = cells.setdefault(cell, found.name)
    if other != found.name:
        text = f"{shown(other)} and {shown(found.name)} are the same to this rule"
        state.draft.problem(found.rule.refused("ambiguous", text, other, found.name))
    return other != found.name


def _order(state: State) -> list[str]:
    """The base's order; else that of the sources in their file, then what was made."""
    if state.job.base is not None:
        return [name for name in state.job.base if name in state.made]
    place = {name: i for i, name in enumerate(state.job.source)}
    end = len(place)

    def at(name: str) -> int:
        return min((place.get(n, end) for n in state.made[name].origin.names), default=end)

    return sorted(state.made, key=at)
