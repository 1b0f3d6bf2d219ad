"""What no source tensor makes: counters and filled roles, inits, ties."""

from __future__ import annotations

from ..conventions import NEUTRAL, leaves
from ..errors import shown
from ..formats.base import UNKNOWN, Meaning
from ..ops.arithmetic import full
from ..plan import Origin
from .bind import Made
from .claim import Claim, split
from .rules import Init, Layer, Tie
from .state import State


def make_counters(state: State) -> None:
    """`num_batches_tracked` of a batch norm: made for torch unless the base lacks it; and
    roles that a rule fills."""
    for found in list(state.claims.values()):
        if not isinstance(found.rule, Layer) or not found.kind:
            continue
        to, kind = state.dialects[1] or "", state.binder.target_kind(found)
        fill = [r for r, how in found.rule.roles.items() if how == "fill"]
        if found.role == "mean" and "num_batches_tracked" in leaves(kind, to):
            _fill(state, found, "num_batches_tracked", "int64", ())
        for role in fill if found.role == _first_role(found) else ():
            spec = state.job.source[found.name].spec
            _fill(state, found, role, spec.dtype.name, (spec.shape[-1],))


def _fill(state: State, found: Claim, role: str, dtype: str, shape: tuple[int, ...]) -> None:
    name = state.binder.targets(found._replace(role=role))
    if name is None or name in state.made:
        return
    if state.job.base is not None:
        wanted = state.binder.wanted(name)
        if wanted is None:
            return
        dtype, shape = wanted.dtype.name, wanted.shape
    layer, _ = split(name)
    meaning = Meaning(role, state.binder.target_kind(found), None, layer, {}, "mapping")
    origin = Origin(found.rule.place, (), "exact", "made")
    state.made[name] = Made(name, full(shape, dtype, NEUTRAL.get(role, 0)), meaning, origin)
    state.draft.line("made", f"{role}: made as {NEUTRAL.get(role, 0)}", (name,))


def _first_role(found: Claim) -> str:
    """The role of a layer at which its filled roles are made: the first that is not filled."""
    rule = found.rule
    filled = rule.roles if isinstance(rule, Layer) else {}
    return next((r for r in leaves(found.kind, "keras") if r not in filled), found.role)


def make_inits(state: State) -> None:
    for rule in state.rules:
        if not isinstance(rule, Init):
            continue
        if rule.shape is not None:
            expr = full(rule.shape, rule.dtype or "float32", rule.value)
            origin = Origin(rule.place, (), "none", "made")
            state.add(Made(rule.name, expr, UNKNOWN, origin), rule)
        else:
            _init_base(state, rule)


def _init_base(state: State, rule: Init) -> None:
    base, hit = state.job.base, False
    if base is None:
        text = f"{rule.name}: without `shape` this selects tensors of a base; give --into"
        state.draft.problem(rule.refused("schema", text))
        return
    for name in base:
        if name in state.made or not rule.select(name, base[name].spec, base.meaning(name)):  # type: ignore[misc]
            continue
        hit, spec = True, base[name].spec
        expr = base[name] if rule.value == "base" else full(spec.shape, spec.dtype, rule.value)
        origin = Origin(rule.place, (), "none", "kept" if rule.value == "base" else "made")
        state.made[name] = Made(name, expr, base.meaning(name), origin)
    if not hit and not rule.optional:
        state.draft.problem(rule.refused("dead-rule", f"init {rule.name} selects nothing"))


def make_ties(state: State) -> dict[str, str]:
    """Other names of outputs: by rules, and where the source's ties live on."""
    ties: dict[str, str] = {}
    for rule in state.rules:
        if isinstance(rule, Tie):
            _tie(state, rule, ties)
    first: dict[str, Made] = {}
    for name, made in list(state.made.items()):
        stored = state.job.source.ties.get(made.origin.names[0]) if made.origin.names else None
        twin = first.get(stored or "")
        if twin is not None and twin.expr == made.expr:
            ties[name] = twin.name
            del state.made[name]
        elif made.origin.names:
            first.setdefault(made.origin.names[0], made)
    return ties


def _tie(state: State, rule: Tie, ties: dict[str, str]) -> None:
    hit = False
    for name in list(state.made):
        captures = rule.with_.match(name)
        if captures is None:
            continue
        hit, other = True, state.binder.spelled(rule.target.write(captures, "."))
        if other in state.made or other in ties:
            text = f"{shown(other)} is made by another rule as well"
            state.draft.problem(rule.refused("collision", text, other))
        ties[other] = name
    if not hit and not rule.optional:
        state.draft.problem(rule.refused("tie", f"no rule makes {rule.with_.text!r}"))
