"""What no rule moves: inits, and other names of what was moved."""

from __future__ import annotations

from math import isfinite

from ..errors import shown
from ..expr import Expr
from ..formats.base import UNKNOWN
from ..ops.arithmetic import full
from ..plan import Origin
from ..simplify import simplify
from ..spec import DType, TensorSpec, dtype_of
from .bind import Made
from .names import NameError_
from .rules import Init, Tie
from .state import State


def make_inits(state: State) -> None:
    """New tensors, and values for tensors of the base that no rule made."""
    for rule in state.rules:
        if isinstance(rule, Init) and rule.shape is not None:
            _init_new(state, rule, rule.shape)
        elif isinstance(rule, Init):
            _init_base(state, rule)


def _init_new(state: State, rule: Init, shape: tuple[int, ...]) -> None:
    name = state.binder.spelled(rule.name)
    wanted = state.binder.wanted(name)
    dtype = dtype_of(rule.dtype or (wanted.dtype if wanted else "float32"))
    if wanted is not None and (wanted.dtype, wanted.shape) != (dtype, shape):
        text = f"{shown(name)} {TensorSpec(dtype, shape)} does not fit {wanted}"
        state.draft.problem(rule.refused("shape", text, name))
        state.refused.add(name)
    elif (expr := _filled(state, rule, name, TensorSpec(dtype, shape))) is not None:
        meaning = UNKNOWN if state.job.base is None else state.job.base.meaning(name)
        state.add(Made(name, expr, meaning, Origin(rule.place, (), "none", "made")), rule)


def _init_base(state: State, rule: Init) -> None:
    base, hit = state.job.base, False
    if base is None or (rule.value == "base" and not state.job.keep):
        what = "selects tensors of a base" if base is None else "takes values of a base"
        text = f"init {rule.name} {what}; give --into"
        state.draft.problem(rule.refused("schema", text))
        return
    for name in base:
        spec = base[name].spec
        if name in state.made or not rule.select(name, spec, base.meaning(name)):  # type: ignore[misc]
            continue
        hit, kept = True, rule.value == "base"
        expr = base[name] if kept else _filled(state, rule, name, spec)
        if expr is not None:
            origin = Origin(rule.place, (), "none", "kept" if kept else "made")
            state.made[name] = Made(name, expr, base.meaning(name), origin)
    if not hit and not rule.optional:
        state.dead(rule, f"init {rule.name} selects nothing that is not made already")


def _filled(state: State, rule: Init, name: str, spec: TensorSpec) -> Expr | None:
    """The one value everywhere, unless the dtype has no such value."""
    if not holds(spec.dtype, rule.value):
        text = f"{shown(name)}: {spec.dtype} has no value {rule.value}"
        state.draft.problem(rule.refused("lossy-cast", text, name))
        state.refused.add(name)
        return None
    return full(spec.shape, spec.dtype, rule.value, spec.axes)


def holds(dtype: DType, value: float) -> bool:
    """Whether a dtype has a place for a value; floats round, but not to infinity.

    >>> holds(dtype_of("uint8"), 256), holds(dtype_of("int64"), 0.5), holds(dtype_of("float16"), 1)
    (False, False, True)
    """
    if dtype.bits < 8:
        return False
    if dtype.kind in ("float", "complex"):
        import numpy as np

        with np.errstate(over="ignore"):
            made = np.asarray(float(value), "float64").astype(dtype.numpy())
        return bool(np.isfinite(made.astype("complex128")))
    bits = 1 if dtype.kind == "bool" else dtype.bits - (dtype.kind == "int")
    lowest = -(2**bits) if dtype.kind == "int" else 0
    return isfinite(value) and value == int(value) and lowest <= value < 2**bits


def make_ties(state: State) -> dict[str, str]:
    """Other names of outputs: by rules, and where the source's ties live on."""
    ties = dict[str, str]()
    for rule in state.rules:
        if isinstance(rule, Tie):
            _tie(state, rule, ties)
    lives_on = _twins(state)
    for name in lives_on:
        del state.made[name]
    return lives_on | {other: lives_on.get(name, name) for other, name in ties.items()}


def _twins(state: State) -> dict[str, str]:
    """Outputs of tied names of the source, made alike; those made otherwise are listed."""
    ties, found = dict[str, str](), dict[str, dict[str, list[Made]]]()
    for name, made in state.made.items():
        if made.origin.action or not made.origin.names:  # kept or made: not from the source
            continue
        first = made.origin.names[0]
        stored = state.job.source.ties.get(first, first)
        others = found.setdefault(stored, {})  # by the name in the source
        apart = [
            m for name_ in others if name_ != first for m in others[name_]
        ]  # parts are no twins
        expr = simplify(made.expr) if apart else made.expr
        twin = next((m for m in apart if _alike(simplify(m.expr), expr)), None)
        if twin is not None:
            ties[name] = twin.name
            continue
        if apart:
            text = "one tensor in the source, made in different ways and so stored apart"
            state.draft.line("tied", text, (apart[0].name, name))
        others.setdefault(first, []).append(made)
    return ties


def _alike(a: Expr, b: Expr) -> bool:
    """Whether two expressions give the same bytes, whatever their axes are called."""
    if a.op is not b.op or a.spec[:2] != b.spec[:2] or len(a.inputs) != len(b.inputs):
        return False
    params = [{k: v for k, v in x.params.items() if k != "axes"} for x in (a, b)]
    return params[0] == params[1] and all(
        _alike(x, y) for x, y in zip(a.inputs, b.inputs, strict=True)
    )


def _tie(state: State, rule: Tie, ties: dict[str, str]) -> None:
    hit = False
    for name in list(state.made):
        try:
            captures = rule.with_.match(state.as_mapped(name))
            other = None if captures is None else state.binder.written(rule.target, captures)
        except NameError_ as error:
            state.draft.problem(rule.refused(error.id, str(error), name))
            continue
        if other is not None:
            hit = True
            if _tie_one(state, rule, other, name, ties):
                ties.setdefault(other, name)
    if not hit and not rule.optional:
        state.draft.problem(rule.refused("tie", f"no rule makes {rule.with_.text!r}"))


def _tie_one(state: State, rule: Tie, other: str, name: str, ties: dict[str, str]) -> bool:
    """Refuse another name that is taken, or that the base has in another shape or not at all; the
    last is listed, and nothing tied, where the policy says so."""
    wanted, spec = state.binder.wanted(other), state.made[name].expr.spec
    if other in state.made:
        text = f"{shown(other)} is made by {state.made[other].origin.rule or 'another rule'} too"
        state.draft.problem(rule.refused("collision", text, other))
    elif other in ties:
        text = f"{shown(other)} is tied with {shown(ties[other])} and with {shown(name)}"
        state.draft.problem(rule.refused("collision", text, other))
    elif state.job.base is not None and wanted is None:
        text = f"{shown(other)} is tied, but the target has no such tensor"
        if state.policy["unmatched_source"] == "error":
            state.draft.problem(rule.refused("no-such-target", text, other))
        elif state.policy["unmatched_source"] == "list":
            state.draft.line("no-such-target", text, (other,))
        return False
    elif wanted is not None and wanted[:2] != spec[:2]:
        text = f"{shown(other)} is {wanted} in the target, {shown(name)} is {spec}"
        state.draft.problem(rule.refused("shape", text, other))
    return True
