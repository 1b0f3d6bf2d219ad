"""Steps that read what other steps make: nothing is written in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..errors import MissingTensor, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Source
from ..neutral import mappings_of
from ..plan import Origin, Plan, Target


class Derived(Checkpoint):
    """The result of a plan that has not been run, as a checkpoint that another plan reads."""

    def __init__(self, plan: Plan) -> None:
        self._outputs = {**plan.outputs, **{a: plan.outputs[b] for a, b in plan.ties.items()}}
        specs = {name: expr.spec for name, expr in self._outputs.items()}
        source = Source(
            "a step", "", specs=specs, ties=dict(plan.ties), metadata=dict(plan.metadata)
        )
        self.origins = plan.origins
        super().__init__(source, plan.meanings, plan.target.dialect, "plan")

    def __getitem__(self, name: str) -> Expr:
        if name not in self._outputs:
            raise MissingTensor(f"the step makes no tensor {shown(name)}")
        return self._outputs[name].named(self.meaning(name).axes)


def as_it_is(state: Checkpoint, sources: Mapping[str, Source]) -> Plan:
    """The plan that changes nothing of a state: every name, every byte, every tie."""
    stored = [name for name in state if name not in state.ties]
    return Plan(
        outputs={name: state[name] for name in stored},
        sources=sources,
        target=Target(dialect=state.dialect),
        ties=dict(state.ties),
        meanings={name: m for name in stored if (m := state.meaning(name)) is not UNKNOWN},
        origins={name: Origin("", (name,)) for name in stored},
        metadata=dict(state.source.metadata),
        mappings=tuple(mappings_of(state.source)),
    )


def only(state: Checkpoint, names: Iterable[str]) -> Derived:
    """Some tensors of a state, as a checkpoint; a tie holds as far as its names are among them."""
    kept = dict.fromkeys(names)
    stored, ties = dict[str, str](), dict[str, str]()
    for name in kept:
        first = stored.setdefault(state.ties.get(name, name), name)
        if first != name:
            ties[name] = first
    plan = as_it_is(state, {})
    return Derived(
        replace(
            plan,
            outputs={name: state[name] for name in kept if name not in ties},
            ties=ties,
            meanings={name: state.meaning(name) for name in kept},
            origins={},
        )
    )


def with_history(last: Plan, steps: Iterable[Plan]) -> Plan:
    """The plan of the last step, with what the steps before it check, list and record."""
    plans = [step for step in steps if step is not last] + [last]
    return replace(
        last,
        beside=tuple(other for plan in plans for other in plan.beside),
        checks=tuple(check for plan in plans for check in plan.checks),
        findings=tuple(finding for plan in plans for finding in plan.findings),
        lines=tuple(dict.fromkeys(line for plan in plans for line in plan.lines)),
        after=tuple(tell for plan in plans for tell in plan.after),
        notes=tuple(dict.fromkeys(note for plan in plans for note in plan.notes)),
        mappings=tuple(dict.fromkeys(name for plan in plans for name in plan.mappings)),
    )
