"""What is left over once every claim is bound: names nobody takes, rules that take nothing,
targets that nothing makes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches

from ..conventions import NEUTRAL
from ..errors import MappingError, shown
from ..grouping import grouped
from ..ops.arithmetic import full
from ..ops.reduction import DIFFER, Difference
from ..pending import reduction
from ..plan import Check, Origin
from .bind import Made
from .claim import split
from .names import NameError_
from .rules import Drop, Layer, Move, Rule
from .sizes import stray
from .state import State


def judge_sources(state: State, unclaimed: list[str]) -> None:
    ties = state.job.source.ties
    taken = {ties.get(name, name) for name in state.claims}
    groups: dict[str, list[str]] = {"optimizer": [], "": []}
    for name in unclaimed:
        if ties.get(name, name) not in taken:
            optimizer = state.job.source.meaning(name).role == "optimizer"
            groups["optimizer" if optimizer else ""].append(name)
    if groups["optimizer"]:
        count = len(groups["optimizer"])
        state.draft.line("optimizer", f"{count} tensors of the optimizer are left out")
    _leftover(state, "unmatched_source", groups[""], "no rule takes it; drop it or map it")


def _leftover(state: State, id: str, names: list[str], text: str) -> None:
    action = state.policy[id]
    for group in grouped(names) if action != "ignore" else ():
        specs = dict.fromkeys(str(_spec(state, name)) for name in group.names)
        line = f"{group.label} {' or '.join(list(specs)[:3])}: {text}"
        if action in ("error", "keep"):  # a template has no values to keep
            file = state.job.rules.file
            state.draft.problem(MappingError(id.replace("_", "-"), line, file, 0, group.names))
        else:
            state.draft.line(id.replace("_", "-"), line, group.names)


def _spec(state: State, name: str) -> object:
    here = state.job.source.source.specs.get(name)
    return here or (state.job.base.source.specs.get(name) if state.job.base else "")


def judge_sizes(state: State) -> None:
    """Sizes that were given for this run and that no layout asks for."""
    for _, text in stray(state.job.sizes, state.job.rules.rules):
        state.draft.problem(MappingError("size", text, state.job.rules.file))


def judge_rules(state: State) -> None:
    """Rules that took nothing, and rules that made what the target lacks."""
    alive = {id(found.rule) for found in state.claims.values()} | state.spoken_for
    for rule in state.rules:
        if id(rule) in alive or rule.optional or not isinstance(rule, Move | Layer | Drop):
            continue
        state.dead(rule, _why_dead(state, rule))
    for rule, names in state.homeless.values():
        _no_such_target(state, rule, names)


def _no_such_target(state: State, rule: Rule, names: list[str]) -> None:
    for group in grouped(names):
        near = get_close_matches(group.names[0], _distinct(state.job.base or ()), 1)
        hint = f"; did you mean {shown(near[0])}?" if near else ""
        text = f"{group.label} is made, but the target has no such tensor{hint}"
        if state.policy["unmatched_source"] == "error":
            state.draft.problem(rule.refused("no-such-target", text, *group.names))
        elif state.policy["unmatched_source"] == "list":
            state.draft.line("no-such-target", text, group.names)


def _distinct(names: Iterable[str]) -> list[str]:
    """Names that differ in more than numbers: the nearest of 50,000 is not worth a minute."""
    return list({re.sub(r"[0-9]+", "0", name): name for name in names}.values())


def _why_dead(state: State, rule: Rule) -> str:
    """Who took what the rule would have matched, or the nearest names."""
    text, pattern = _text_of(rule)
    for found in state.claims.values():
        with suppress(NameError_):
            if state.claimer.takes(rule, state.source.seen[found.name], found.name):
                return f"{text} matches only what {found.rule.place} took, as {shown(found.name)}"
    if isinstance(rule, Drop):
        return f"{text} selects no tensor of the source"
    names = _distinct(state.source.logical)
    if isinstance(rule, Layer):
        names = list(dict.fromkeys(split(name)[0] for name in names))
    near = get_close_matches(pattern, names, 3, 0.4)
    hint = f"; nearest: {', '.join(map(shown, near))}" if near else ""
    return f"{text} matches no tensor of the source{hint}"


def _text_of(rule: Rule) -> tuple[str, str]:
    """How a rule is called, and the pattern that names are near to."""
    if isinstance(rule, Drop):
        return f"drop {rule.text}", rule.text
    pattern = rule.sources[0] if isinstance(rule, Layer) else rule.source  # type: ignore[attr-defined]
    return repr(pattern.text), pattern.text


def _invented(state: State, name: str) -> bool:
    """Make what only training uses and no source can have: the vector of a spectral norm."""
    meaning = state.job.base.meaning(name) if state.job.base is not None else None
    if meaning is None or meaning.role != "vector_u":
        return False
    spec, value = state.job.base[name].spec, NEUTRAL["vector_u"]  # type: ignore[index]
    origin = Origin("", (), "lossy", "made")
    state.made[name] = Made(name, full(spec.shape, spec.dtype, value), meaning, origin)
    state.draft.line("made", f"vector_u: made as {value}, training finds it again", (name,))
    return True


def _tied_names(state: State, ties: dict[str, str]) -> dict[str, list[str]]:
    """Each name of the base that shares its bytes with others → the names it may be made by.

    Where values go into the base these are all names of that tensor, and it cannot be given two
    values; of a template only the name under which it is stored.
    """
    groups, base = dict[str, list[str]](), state.job.base
    if base is not None and not state.job.keep:
        return {other: [stored] for other, stored in base.ties.items()}
    for other, stored in base.ties.items() if base is not None else ():
        groups.setdefault(stored, [stored]).append(other)
    for names in groups.values():
        made = [n for n in names if n in state.made]
        for other in made[1:]:
            _made_once(state, ties, other, made[0])
    return {name: names for names in groups.values() for name in names}


def _made_once(state: State, ties: dict[str, str], other: str, name: str) -> None:
    """Make one of two names of a tensor; what was made for the other must be the same."""
    expr, file = state.made.pop(other).expr, state.job.rules.file
    ties[other] = name

    def refused(found: Difference) -> MappingError:
        text = f"{shown(other)} and {shown(name)} are one tensor in the base, but would get"
        what = f"{text} different values, first at flat index {found.first}; drop one"
        return MappingError("tied", what, file, 0, (other, name))

    if expr != state.made[name].expr:
        state.checks.append(Check(reduction(DIFFER, expr, state.made[name].expr), refused))


def complete_base(state: State, ties: dict[str, str]) -> list[str]:
    """Base names that no rule made: kept, tied to one that was made, or unmatched."""
    base = state.job.base
    if base is None:
        return []
    missing, kept, left = [], [], 0
    groups = _tied_names(state, ties)
    for name in base:
        if name in state.made or name in ties:
            continue
        twin = next((n for n in groups.get(name, ()) if n in state.made or n in ties), None)
        if twin is not None:
            ties[name] = ties.get(twin, twin)
        elif base.meaning(name).role == "optimizer" and state.job.target.template is not None:
            left += 1  # a structure that is filled has no place for it
        elif state.job.keep and state.policy["unmatched_target"] == "keep":
            kept.append(name)
            origin = Origin("", (name,), "exact", "kept")
            state.made[name] = Made(name, base[name], base.meaning(name), origin)
        elif name in state.refused or _invented(state, name):
            continue  # told already
        elif base.meaning(name).role != "optimizer" and not state.excluded(name, base[name].spec):
            missing.append(name)
    _leftover(state, "unmatched_target", missing, "no rule makes it")
    if kept:
        state.draft.line("kept", f"{len(kept)} tensors keep the base's values", tuple(kept))
    if left and state.job.keep:
        state.draft.line("optimizer", f"{left} tensors of the base's optimizer are left out")
    return kept
