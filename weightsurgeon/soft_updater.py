"""Soft updates inside a training loop: bound once, then in place at the speed of the framework.

What a step would do to files is planned for the two live models, from their names and shapes. Where
every output is `lerp(target, online)`, an online tensor or the target itself, that plan is lowered
to one fused call for each device and dtype (torch) or one compiled function (TensorFlow); else the
plan is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import OutputError, PlanError, shown
from .expr import LEAF, Expr
from .fused import Fused, Guards
from .fused_keras import FusedKeras
from .mapping.yaml_data import load
from .plan import Plan, Target
from .steps.reading import read_job
from .steps.sides import opened
from .steps.soft_update import plan as planned
from .steps.work import Work
from .stored import MODES, Stored
from .writing import write_in_place

_WANTS = f"keep | {' | '.join(MODES)} | {{stochastic: {{seed: n}}}}"


class SoftUpdater:
    """Moves the tensors of a live target towards those of its online twin, in place.

    `keys` are those of the step `soft_update`: `tau` or `decay`, `roles`, `rules`, `match`,
    `mapping`, `nonfinite`, `average`, `storage`; or `plan`, a YAML file or dict of one such step of
    the states `online` and `target`. Everything is checked here, from names, shapes and dtypes; the
    Parameters and Variables stay the same objects, and autograd sees nothing.

    Live differs from files in two things: a fused multiply-add may move the last bit, and NaN, Inf
    and −0 follow the formula.

    Errors: PlanError with every reason; OutputError where both models share memory.

    >>> import torch
    >>> online, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    >>> update = SoftUpdater(online, target, tau=1)
    >>> update.step()
    True
    >>> bool((online.weight == target.weight).all())
    True
    """

    def __init__(
        self,
        online: Any,
        target: Any,
        every: int = 1,
        plan: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        if type(every) is not int or every < 1:
            raise OutputError(f"every: wants a whole number from 1, not {shown(str(every))}")
        if plan is not None and keys:
            raise OutputError(f"give a plan or keys, not both: {', '.join(sorted(keys))}")
        self.online, self.target, self.every = online, target, every
        self.keys = keys if plan is None else keys_of(plan)
        self.storage: Any = self.keys.pop("storage", "keep")
        self.calls = self.updates = 0
        self._first = self.keys.pop("average", None)
        if self._first is not None and (type(self._first) is not int or self._first < 0):
            raise OutputError(f"average: wants a whole number, not {shown(str(self._first))}")
        self._plans: dict[int, Plan] = {}
        self._stored: Stored | None = None
        self._fused: Fused | FusedKeras | None = None
        self._bind()

    def step(self, n: int = 1) -> bool:
        """Count a call, and at every k-th make `n` updates at once; whether it did.

        Errors: OutputError if a tensor cannot be written; it names those already written.
        """
        self.calls += 1
        if self.calls % self.every:
            return False
        if self._guards.broken():
            self._bind()
        if self._fused is not None:
            self._fused(n)
            self.updates += n
            return True
        for each in [1] * n if self._first is not None else [n] * bool(n):
            self._run(each)
            self.updates += each
        return True

    def _run(self, n: int) -> None:
        """Make n updates at once by running the plan."""
        plan = self._plan(n)
        if self._stored is not None:
            self._stored(plan)
        else:
            write_in_place(plan, plan.sources["target"])  # type: ignore[arg-type]

    def stall(self) -> dict[str, int]:
        """Of the elements that move: how many the next update would change, how many it would not.

        Errors: OutputError where the models are not both torch's.
        """
        if self._fused is None:
            raise OutputError("stall is measured where torch updates in one call, so far")
        return self._fused.stall()

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on after a restart: the counts of calls and updates, and with a
        storage beside the target the arrays it keeps, by name."""
        state: dict[str, Any] = {"calls": self.calls, "updates": self.updates}
        if self._stored is not None:
            state["stored"] = {name: kept.copy() for name, kept in self._stored.kept.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Errors: OutputError where what it kept is not of this target, or of another storage.
        """
        if (self._stored is not None) != ("stored" in state):
            raise OutputError("the state was taken with another storage")
        if self._stored is not None:
            self._stored.load(state["stored"])
        self.calls, self.updates = int(state["calls"]), int(state["updates"])

    def _bind(self) -> None:
        self._plans.clear()
        self._fused = None
        plan = self._plan(1)
        _refuse_shared(plan)
        self._guards = Guards(plan)
        if self.storage in MODES:
            fresh = Stored(self.storage, plan)
            if self._stored is not None and self._stored.fits(fresh.kept):
                fresh.load(self._stored.kept)
            self._stored = fresh
        elif self.storage == "keep" and self._first is None:
            self._fused = Fused.of(plan) or FusedKeras.of(plan)

    def _plan(self, n: int) -> Plan:
        """The plan of n updates at once into the live target; one that depends on how many there
        were is made anew each time."""
        keys = {**self.keys, "steps": n}
        if self._first is not None:
            keys["average"] = self._first + self.updates
        if not (isinstance(self.storage, str) and self.storage in ("keep", *MODES)):
            keys["storage"] = self.storage
            if not isinstance(self.storage, Mapping):
                raise OutputError(f"storage: wants {_WANTS}, not {shown(str(self.storage), 60)}")
        elif self._first is None and n in self._plans:
            return self._plans[n]
        self._plans = {n: _live_plan(self.online, self.target, keys, self.updates)}
        return self._plans[n]


def keys_of(plan: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the one step of a plan, which is a soft update of `online` and `target`.

    Errors: OutputError if it is another plan.
    """
    found: Any = plan
    if not isinstance(plan, Mapping):
        from pathlib import Path

        found = load(Path(plan).read_text("utf-8"), os.fspath(plan)).value
    wanted = "wants {weightsurgeon: 1, steps: [{soft_update: {online: online, target: target, …}}]}"
    steps = found.get("steps") if isinstance(found, Mapping) else None
    one = steps[0] if isinstance(steps, list) and len(steps) == 1 else None
    step = one.get("soft_update") if isinstance(one, Mapping) and len(one) == 1 else None
    if set(found) != {"weightsurgeon", "steps"} or not isinstance(step, Mapping):
        raise OutputError(f"plan: a live soft update {wanted}")
    keys = {str(k): v for k, v in step.items() if k != "as"}
    if (keys.pop("online", None), keys.pop("target", None)) != ("online", "target"):
        raise OutputError(f"plan: a live soft update {wanted}")
    return keys


def _live_plan(online: Any, target: Any, keys: Mapping[str, Any], number: int) -> Plan:
    """The plan of a soft update of live models, as the step of a plan makes it."""
    step = {"nonfinite": "propagate", **keys, "online": "online", "target": "target", "as": "made"}
    output = {"from": "made", "path": "the target"}
    given = {"weightsurgeon": 1, "steps": [{"soft_update": step}], "output": output}
    job = read_job(given, ("online", "target"))
    if job.problems:
        raise PlanError(list(job.problems))
    (read,) = job.steps
    states = {"online": opened(online), "target": opened(target)}
    sources = {name: state.source for name, state in states.items()}
    there = states["target"].source
    where = Target(there.path, there.container, template=there)
    work = Work(states, sources, where, read.place, number)
    return planned(read.given, work)


def _refuse_shared(plan: Plan) -> None:
    """Refuse an online tensor that is the target's own memory: it would never be ahead."""
    target: Any = plan.sources["target"]
    names = []
    for name, expr in plan.outputs.items():
        for x in _moving(expr):
            source = x.params["source"]
            if source is not target and source.memory(x.params["name"]) == target.memory(name):
                names.append(name)
    if names:
        listed = ", ".join(map(shown, names[:5]))
        raise OutputError(f"online and target share the memory of {listed}: copy the model first")


def _moving(expr: Expr) -> list[Expr]:
    """The leaves behind an output."""
    if expr.op is LEAF:
        return [expr]
    return [x for inner in expr.inputs for x in _moving(inner)]
