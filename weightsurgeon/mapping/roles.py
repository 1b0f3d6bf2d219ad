"""Roles of a layer that the target has and the source lacks: counters, and what `roles:` says."""

from __future__ import annotations

from collections.abc import Container

from ..conventions import NEUTRAL, axes_of, group_of, is_spare, leaves
from ..conventions.linear import joined
from ..errors import shown
from ..formats.base import Meaning
from ..ops.arithmetic import full
from ..plan import Origin
from .bind import Made
from .claim import Claim, split
from .rules import Layer
from .state import State


def complete_layers(state: State) -> None:
    """Make, keep or miss the roles that no tensor of a layer has."""
    layers = dict[tuple[object, ...], dict[str, Claim]]()
    for found in state.claims.values():
        if isinstance(found.rule, Layer):
            key = (id(found.rule), *sorted(found.captures.items()))
            layers.setdefault(key, {})[found.role] = found
    for claims in layers.values():
        _complete(state, claims)


def _complete(state: State, claims: dict[str, Claim]) -> None:
    some = next(iter(claims.values()))
    rule, made_here = some.rule, state.dialects[1] or ""
    ways = dict(rule.roles) if isinstance(rule, Layer) else {}
    for role in leaves(state.binder.target_kind(some), made_here) if "mean" in claims else ():
        if group_of(role) == "counter":
            ways.setdefault(role, "fill")
    _require(state, claims, some, ways)
    if isinstance(rule, Layer) and rule.fold_into is not None:
        return  # it makes nothing of its own
    for role, how in ways.items():
        wanted = some._replace(role=role)
        for name in () if role in claims else state.binder.all_targets(wanted):
            if how == "fill" and name not in state.made:
                _fill(state, claims, wanted, name)
            elif how == "keep" and name not in state.made:
                _keep(state, wanted, name)


def _require(state: State, claims: dict[str, Claim], some: Claim, ways: Container[str]) -> None:
    """A layer without its kernel is no layer, unless another rule takes the kernel."""
    sources = some.rule.sources if isinstance(some.rule, Layer) else ()
    options = state.binder.given(some)
    for role, leaf in leaves(some.kind, state.dialects[0] or "", options).items():
        if is_spare(some.kind, role) or role in ways or role in claims:
            continue
        layer = some.layer
        if len(sources) > 1:  # a kind of several layers: the one that holds this role
            layer = sources[leaf.part].as_read(some.captures)
        names = [f"{layer}/{n}" if layer else n for n in leaf.names]
        if not any(state.source.find(n) for n in names):
            leaf_names = " or ".join(leaf.names)
            text = f"{shown(layer)} has no {leaf_names}: a {some.kind} without its {role}"
            state.draft.problem(some.rule.refused("role", text, some.name))


def _fill(state: State, claims: dict[str, Claim], wanted: Claim, name: str) -> None:
    role, kind = wanted.role, state.binder.target_kind(wanted)
    found = _form(state, claims, wanted, name)
    if found is None:
        if state.job.base is None:
            text = f"{shown(name)}: no shape is known to fill the {role} in; give --template"
            state.draft.problem(wanted.rule.refused("role", text, name))
        return
    shape, dtype = found
    meaning = Meaning(role, kind, None, split(name)[0], {}, "mapping")
    origin = Origin(wanted.rule.place, (), "exact", "made")
    state.made[name] = Made(name, full(shape, dtype, NEUTRAL.get(role, 0)), meaning, origin)
    state.draft.line("made", f"{role}: made as {NEUTRAL.get(role, 0)}", (name,))


def _form(
    state: State, claims: dict[str, Claim], wanted: Claim, name: str
) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of a filled role: the base's, else as its sisters tell; None: no place."""
    if state.job.base is not None:
        spec = state.binder.wanted(name)
        return None if spec is None else (spec.shape, spec.dtype.name)
    if group_of(wanted.role) == "counter":
        return (), "int64"
    there, kind = state.dialects[1] or "", state.binder.target_kind(wanted)
    for sister in claims.values():
        target = state.binder.targets(sister)
        made = state.made.get(target) if target is not None else None
        if made is None or made.meaning.axes is None:
            continue
        axes = axes_of(kind, wanted.role, there, 1, made.meaning.options)
        sizes = dict(zip(made.meaning.axes, made.expr.spec.shape, strict=True))
        axes = axes and joined(axes, made.meaning.axes)
        if axes and all(group in sizes for group in axes):
            return tuple(sizes[group] for group in axes), made.expr.spec.dtype.name
    return None


def _keep(state: State, wanted: Claim, name: str) -> None:
    base = state.job.base
    if base is None or not state.job.keep or name not in base:
        why = "the base has no such tensor" if state.job.keep else "give --into"
        text = f"{shown(name)}: the {wanted.role} cannot be kept: {why}"
        state.draft.problem(wanted.rule.refused("role", text, name))
        return
    origin = Origin(wanted.rule.place, (name,), "exact", "kept")
    state.made[name] = Made(name, base[name], base.meaning(name), origin)
