"""What a container can hold: a plan is refused with all names at once, before a byte moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from os.path import realpath
from typing import Any

from .errors import MappingError, OutputError, PlanError, shown
from .formats import module_of
from .formats.live import LiveSource
from .grouping import grouped
from .ops.reduction import DIFFER
from .pending import reduction
from .plan import Check, Line, Plan


def carried(plan: Plan) -> Plan:
    """The plan, unless its container cannot hold it: refused with all names at once."""
    carries = module_of(plan.target.container).CARRIES
    if carries.templates:
        plan = _without_optimizer(plan)
    if isinstance(plan.target.template, LiveSource):
        plan = _tied_once(plan, plan.target.template)
    problems = []
    for dtype in sorted({s.dtype.name for s in plan.specs.values()} - carries.dtypes):
        names = [n for n, s in plan.specs.items() if s.dtype.name == dtype]
        labels = ", ".join(g.label for g in grouped(names)[:5])
        text = f"{plan.target.container} holds no {dtype}: {labels}; choose another container"
        problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    for name in (*plan.specs, *plan.ties):
        if name in carries.reserved or not _encodable(name):
            text = f"{shown(name)} cannot be a tensor's name in {plan.target.container}"
            problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    if carries.templates and plan.target.template is None:
        text = f"{plan.target.container} needs a structure to fill: give --template or --into"
        problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    problems += _overwriting(plan)
    if problems:
        raise PlanError(problems)
    return plan


def _overwriting(plan: Plan) -> Iterator[OutputError]:
    """Further files (masks) that would take the place of the output, an input or each other."""
    inputs = [path for source in plan.sources.values() for path in source.files_read()]
    taken = dict.fromkeys(map(realpath, inputs), "an input")
    taken |= {realpath(plan.target.path): "the output"} if plan.target.path else {}
    for other in plan.beside:
        path = realpath(other.target.path)
        if path in taken:
            yield OutputError(
                f"{shown(path)} is {taken[path]} too: write each to a file of its own"
            )
        taken[path] = "the file of another step"


def repeated(plan: Plan) -> Plan:
    """The plan with tied tensors written under each of their names, for readers that insist."""
    if not plan.ties:
        return plan
    ties = plan.ties.items()
    outputs = {**plan.outputs, **{other: plan.outputs[name] for other, name in ties}}
    meanings = {**plan.meanings, **{o: plan.meanings[n] for o, n in ties if n in plan.meanings}}
    origins = {**plan.origins, **{o: plan.origins[n] for o, n in ties if n in plan.origins}}
    line = Line("tied", "written under each of their names, tied no more", tuple(plan.ties))
    return replace(
        plan,
        outputs=outputs,
        meanings=meanings,
        origins=origins,
        ties={},
        lines=(*plan.lines, line),
    )


def _without_optimizer(plan: Plan) -> Plan:
    """The optimizer's state has no place in a structure that is filled: left out, and told."""
    left = [name for name, m in plan.meanings.items() if m.role == "optimizer"]
    if not left:
        return plan
    outputs = {name: expr for name, expr in plan.outputs.items() if name not in left}
    line = Line("optimizer", f"{len(left)} tensors of the optimizer are left out")
    return replace(plan, outputs=outputs, lines=(*plan.lines, line))


def _tied_once(plan: Plan, model: LiveSource) -> Plan:
    """A tied tensor of a live model is made once; what else is made for it must be the same."""
    outputs, ties, checks = dict(plan.outputs), dict(plan.ties), list(plan.checks)
    for other, name in model.ties.items():
        if other not in outputs:
            continue
        expr = outputs.pop(other)
        ties[other] = name
        if name not in outputs:
            outputs[name] = expr
        elif outputs[name] != expr:
            checks.append(
                Check(reduction(DIFFER, expr, outputs[name]), _unequal(model, other, name))
            )
    return replace(plan, outputs=outputs, ties=ties, checks=tuple(checks))


def _unequal(model: LiveSource, other: str, name: str) -> Callable[[Any], MappingError]:
    """What is said where a tied tensor would get two values."""

    def refused(found: Any) -> MappingError:
        text = f"{shown(other)} and {shown(name)} are one tensor in {shown(model.path)}"
        what = f"{text}, but would get different values, first at flat index {found.first}"
        return MappingError("tied", what, names=(other, name))

    return refused


def _encodable(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)
