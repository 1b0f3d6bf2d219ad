"""The slots of an optimizer go where the weights go: the same plan, read with slots for weights.

A slot lies as its weight lies. So the plan of the port is made once more for each slot, from a
model of which every parameter is replaced by its slot. That holds as long as weights only move: a
weight that is computed (two biases of an LSTM, a folded norm) has a slot that no weight tells of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .errors import MappingError, PlanError, shown
from .expr import LEAF, Expr, leaves
from .formats.live import is_live, open_live
from .formats.live_optimizer import LiveOptimizer, open_optimizer
from .opening import open_checkpoint
from .ops.affine import affine
from .ops.arithmetic import cast
from .plan import Line, Plan
from .planning import plan_port
from .spec import TensorSpec, dtype_of

_MOVES = frozenset(("reshape", "permute", "take", "crop", "concat", "leaf"))
_TELLING = ("lr", "eps", "beta_1", "beta_2", "momentum", "alpha", "weight_decay", "nesterov")


@dataclass(frozen=True)
class SlotPlan:
    """What goes into the slots of the target: slot, name, expression; the step; what to tell."""

    target: LiveOptimizer
    moves: tuple[tuple[str, str, Expr], ...]
    step: int | None
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    def write(self) -> None:
        """Write all slots, one after the other, and the step."""
        self.target.prepare()
        for slot, name, expr in self.moves:
            self.target.assign(slot, name, expr.numpy())
        if self.step is not None:
            self.target.count(self.step)


def plan_slots(src: Any, dst: Any, optimizers: tuple[Any, Any], **how: Any) -> SlotPlan:
    """The plan of the slots beside a port between two live models; `how` is that of the port.

    Errors: FormatError for an optimizer that is not supported; PlanError with every parameter
    whose slots cannot follow it.
    """
    if not (is_live(src) and is_live(dst)):
        raise PlanError([MappingError("kind", "optimizers are ported between two live models")])
    source = open_optimizer(optimizers[0], open_live(src))
    target = open_optimizer(optimizers[1], open_live(dst))
    problems = list(_problems(source, target))
    if problems:
        raise PlanError(problems)
    moves = list[tuple[str, str, Expr]]()
    for slot in source.wanted:
        shadow = open_checkpoint(src)
        _replace(shadow.source, source, slot)
        plan = plan_port(shadow, dst, **how)
        for name in target.names:
            try:
                moves.append((slot, name, _expr(plan, shadow.source, source, target, slot, name)))
            except _Refused as error:
                problems.append(MappingError("kind", str(error), names=(name,)))
    if problems:
        raise PlanError(list({str(p): p for p in problems}.values()))
    count = len(target.names)
    text = f"{', '.join(source.wanted) or 'no slots'} of {count} parameters go along"
    return SlotPlan(
        target, tuple(moves), source.step, (Line("optimizer", text),), _notes(source, target)
    )


class _Refused(ValueError):
    """Why a parameter's slots cannot follow it."""


def _problems(source: LiveOptimizer, target: LiveOptimizer) -> Iterator[MappingError]:
    if source.kind != target.kind:
        text = f"{source.path} keeps other things than {target.path}"
        yield MappingError("kind", text)
        return
    if source.wanted != target.wanted:
        text = f"{source.path} keeps {_listed(source)}, {target.path} {_listed(target)}"
        yield MappingError("kind", text)
    lacking = [n for slot in source.wanted for n in source.names if n not in source.slots[slot]]
    if lacking:
        text = f"{source.path} has no state of {shown(lacking[0])} yet: it made no step"
        yield MappingError("kind", text)
    for optimizer in (source, target):
        slots = source.wanted
        rated = any(abs(optimizer.factor(s, n)) != 1 for s in slots for n in optimizer.names)
        if rated and (source.scheduled or target.scheduled):
            why = source.scheduled or target.scheduled
            text = "its momentum has taken the learning rate in, and only a constant one can be"
            yield MappingError("kind", f"{optimizer.path}: {text} taken out again: {why}")
        if any(optimizer.factor(s, n) == 0 for s in slots for n in optimizer.names):
            text = "its momentum has taken a learning rate of 0 in"
            yield MappingError("kind", f"{optimizer.path}: {text}")


def _listed(optimizer: LiveOptimizer) -> str:
    return ", ".join(optimizer.wanted) or "nothing"


def _replace(model: Any, optimizer: LiveOptimizer, slot: str) -> None:
    """The model with the slots in the place of its parameters."""
    for name, x in optimizer.slots[slot].items():
        dtype = str(x.dtype).removeprefix("torch.")
        model.tensors[name] = x
        model.specs[name] = TensorSpec(dtype_of(dtype), tuple(x.shape))


def _expr(
    plan: Plan,
    model: Any,
    source: LiveOptimizer,
    target: LiveOptimizer,
    slot: str,
    name: str,
) -> Expr:
    """The values of a slot of the target: moved as the weight is, times a constant where needed."""
    expr = plan.outputs.get(name)
    if expr is None:
        raise _Refused(f"{shown(name)}: nothing is ported into it, so nothing into its slots")
    if computed := sorted({op for op in _ops(expr) if op not in _MOVES}):
        text = f"{shown(name)}: its weight is computed ({', '.join(computed)}), not only moved"
        raise _Refused(f"{text}: no slot follows; port without optimizers")
    names = {x.params["name"] for x in leaves(expr)}
    if any(x.params["source"] is not model for x in leaves(expr)) or not names <= {*source.names}:
        text = f"{shown(name)}: it comes from what {source.path} does not train"
        raise _Refused(text)
    factors = {target.factor(slot, name) / source.factor(slot, n) for n in names}
    if len(factors) > 1:
        raise _Refused(f"{shown(name)}: its parts were trained at different learning rates")
    factor: Fraction = factors.pop()
    return expr if factor == 1 else cast(affine(expr, factor), expr.spec.dtype)


def _ops(expr: Expr) -> Iterator[str]:
    yield "leaf" if expr.op is LEAF else expr.op.name
    for x in expr.inputs:
        yield from _ops(x)


def _notes(source: LiveOptimizer, target: LiveOptimizer) -> tuple[str, ...]:
    """Settings that differ: they are not ported."""
    found = [
        f"{key} {source.settings[key]:g} here, {target.settings[key]:g} there"
        for key in _TELLING
        if key in source.settings and key in target.settings
        and abs(source.settings[key] - target.settings[key]) > 1e-6 * abs(target.settings[key])
    ]  # fmt: skip
    notes = [f"the optimizers' settings differ: {', '.join(found)}"] if found else []
    if source.step is None and target.step is not None:
        notes.append("the source counts no steps: the target's count stays as it is")
    return tuple(notes)
