"""What claims become: outputs, one or many of a group; what is left behind; what is checked."""

from __future__ import annotations

from ..conventions import NEUTRAL, TRAINING, leaves, unheld
from ..errors import MappingError, shown
from ..ops.arithmetic import full
from ..spec import DType
from .arranging import bind_group
from .bind import Made
from .claim import Claim
from .groups import Group, groups_of, judge_pinned, key_of, roles_of, whole
from .names import NameError_, Pattern
from .rules import Drop, Layer, Move
from .state import State


def make_all(state: State) -> None:
    """Make the outputs of all claims, in the order of the source."""
    done = set[int]()
    layers = roles_of(state.claims.values())
    for found in state.claims.values():
        rule = found.rule
        if isinstance(rule, Layer) and _folds(rule, found.role):
            _set_aside(state, found)
            continue
        if isinstance(rule, Layer):
            group = layers.pop(key_of(found), None)
            if group is not None:
                _make_role(state, group, found)
            continue
        if isinstance(rule, Move) and (rule.many or rule.ranges) and id(rule) not in done:
            done.add(id(rule))
            _make_many(state, rule)
        if not isinstance(rule, Move) or not rule.many:
            _make_one(state, found)


def _make_role(state: State, group: Group, found: Claim) -> None:
    """Make what a role of a layer becomes, which may lie in several tensors here or there."""
    here, there = state.dialects[0] or "", state.binder
    cells = leaves(found.kind, here, there.given(found))[found.role].cells
    try:
        names = there.all_targets(found)
    except NameError_ as error:
        state.draft.problem(found.rule.refused(error.id, str(error), *group.names))
        return
    if not names or len(cells) == len(names) == 1:
        for claim in group.cells.values():
            _make_one(state, claim)
        return
    missing = [cells[i][0] for i in range(len(cells)) if (i,) not in group.cells]
    if missing:
        text = f"{shown(found.layer)}: the {found.role} of a {found.kind}: missing {missing[0]}"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        state.refuse(found.rule.refused("gap", text + more, *group.names), *names)
        return
    if len(cells) == 1:
        group = group._replace(cells={(): found})
    _make_group(state, group)


def _make_many(state: State, rule: Move) -> None:
    """Make what a rule gathers, once for all of it; nothing may be missing in between."""
    groups = groups_of(rule, [c for c in state.claims.values() if c.rule is rule])
    judge_pinned(state, rule, groups)
    for group in whole(state, rule, groups) if rule.many else ():
        _make_group(state, group)


def _make_group(state: State, group: Group) -> None:
    """Bind a group of claims to its targets, those that are left out apart."""
    rule = group.rule
    try:
        bound = bind_group(state.binder, group)
    except NameError_ as error:
        state.draft.problem(rule.refused(error.id, str(error), *group.names))
        return
    except MappingError as error:
        state.refuse(error, *_targets(state, group))
        return
    for names, (a, b) in bound.equal:
        one, other = map(shown, names)
        state.equal(a, b, rule, f"{one} and {other} are one tensor there, but differ")
    for made in bound.made:
        if state.excluded(made.name, made.expr.spec):
            state.draft.line("exclude", "left out of the target", (made.name,))
            continue
        state.add(made, rule)
        if bound.added:
            state.draft.line("sum", f"{', '.join(bound.added)} added up", (made.name,))
        if made.origin.class_ == "lossy" and not getattr(rule, "cast", None):
            _list_loss(state, state.job.source[group.names[0]].spec.dtype, made)


def _targets(state: State, group: Group) -> list[str]:
    """The base's names that a refused group would have made: told already, not missing too."""
    found = list[str]()
    if isinstance(group.rule, Layer):
        return state.binder.all_targets(next(iter(group.cells.values())))
    for name in state.job.base or ():
        for pattern in group.rule.targets:
            captures = pattern.match(state.as_mapped(name)) or {}
            if captures.items() >= group.captures.items() and (captures or name == pattern.text):
                found.append(name)
    return found


def _make_one(state: State, found: Claim) -> None:
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
    if isinstance(rule, Layer) and rule.eps is not None and found.role == "variance":
        state.eps[name] = rule, rule.eps[0] - rule.eps[1]
    if made.origin.class_ == "lossy" and not getattr(rule, "cast", None):
        _list_loss(state, state.job.source[found.name].spec.dtype, made)


def _folds(rule: Layer, role: str) -> bool:
    return rule.fold_into is not None or isinstance(rule.roles.get(role), Pattern)


def _set_aside(state: State, found: Claim) -> None:
    """It goes into another layer; what only counts the training goes nowhere."""
    if found.role in TRAINING:
        state.draft.line("dropped", f"{found.role}: has no place in the target", (found.name,))
    else:
        state.folds.append(found)


def _list_loss(state: State, here: DType, made: Made) -> None:
    if state.policy["lossy_cast"] != "ignore":
        text = f"{here} rounded to {made.expr.spec.dtype}"
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
