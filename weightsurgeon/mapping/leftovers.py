"""What is left over once every claim is bound: names nobody takes, rules that take nothing,
targets that nothing makes."""

from __future__ import annotations

from difflib import get_close_matches

from ..errors import MappingError, shown
from ..grouping import grouped
from ..plan import Origin
from .bind import Made
from .claim import Claim, claim, names_of, split
from .rules import Drop, Layer, Move, Rule
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
        spec = _spec(state, group.names[0])
        line = f"{group.label} {spec}: {text}"
        if action == "error":
            file = state.job.rules.file
            state.draft.problem(MappingError(id.replace("_", "-"), line, file, 0, group.names))
        else:
            state.draft.line(id.replace("_", "-"), line, group.names)


def _spec(state: State, name: str) -> object:
    here = state.job.source.source.specs.get(name)
    return here or (state.job.base.source.specs.get(name) if state.job.base else "")


def judge_rules(state: State) -> None:
    alive = {id(found.rule) for found in state.claims.values()}
    for rule in state.rules:
        dead = id(rule) not in alive and isinstance(rule, Move | Layer | Drop)
        if not dead or rule.optional or state.policy["dead_rule"] == "ignore":
            continue
        problem = rule.refused("dead-rule", _why_dead(state, rule))
        if state.policy["dead_rule"] == "error":
            state.draft.problem(problem)
        else:
            state.draft.line("dead-rule", str(problem))


def _why_dead(state: State, rule: Rule) -> str:
    """Who took what the rule would have matched, or the nearest names."""
    if isinstance(rule, Drop):
        return f"drop {rule.text} selects nothing"
    text = rule.source.text if isinstance(rule, Move) else rule.sources[0].text  # type: ignore[attr-defined]
    for found in state.claims.values():
        alone = names_of(state.job.source, state.job.rules.source.optional_prefix, "")
        alone.logical = {k: v for k, v in alone.logical.items() if v == found.name}
        if isinstance(next(claim(alone, (rule,), state.dialects[0] or "", state.job.base)), Claim):
            return f"{text!r} matches only what {found.rule.place} took, as {shown(found.name)}"
    names = list(state.source.logical)
    layers = names if isinstance(rule, Move) else list(dict.fromkeys(split(n)[0] for n in names))
    near = get_close_matches(text, layers, 3, 0.4)
    hint = f"; nearest: {', '.join(map(shown, near))}" if near else ""
    return f"{text!r} matches no tensor of the source{hint}"


def complete_base(state: State, ties: dict[str, str]) -> list[str]:
    """Base names that no rule made: kept, tied to one that was made, or unmatched."""
    base = state.job.base
    if base is None:
        return []
    missing, kept = [], []
    for name in base:
        if name in state.made or name in ties:
            continue
        stored = base.ties.get(name)
        if stored is not None and stored in state.made:
            ties[name] = stored
        elif state.job.keep and state.policy["unmatched_target"] == "keep":
            kept.append(name)
            origin = Origin("", (name,), "exact", "kept")
            state.made[name] = Made(name, base[name], base.meaning(name), origin)
        elif base.meaning(name).role != "optimizer" and not state.excluded(name):
            missing.append(name)
    _leftover(state, "unmatched_target", missing, "no rule makes it")
    if kept:
        state.draft.line("kept", f"{len(kept)} tensors keep the base's values", tuple(kept))
    return kept
