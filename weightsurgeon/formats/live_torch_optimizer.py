"""A live `torch.optim` optimizer: its state by the names of the module's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..errors import FormatError
from .live import LiveSource
from .live_optimizer import SLOTS, LiveOptimizer, names_by_object
from .live_torch import write_tensor

_KEPT = {"max_exp_avg_sq": "amsgrad", "momentum_buffer": "momentum", "grad_avg": "centered"}
_SETTINGS = ("lr", "eps", "momentum", "alpha", "weight_decay", "amsgrad", "centered", "nesterov")


def read(optimizer: Any, model: LiveSource, path: str, kind: str) -> LiveOptimizer:
    """The state of each parameter, in the order of the groups."""
    found, names = TorchOptimizer(path, kind), names_by_object(model)
    steps = set[int]()
    for group in optimizer.param_groups:
        _refuse(path, group)
        for x in group["params"]:
            if id(x) not in names:
                raise FormatError(path, "", "updates a parameter that the model does not have")
            found.names.append(names[id(x)])
            found.rates[names[id(x)]] = Fraction(float(group["lr"]))
            found.parameters[names[id(x)]] = (x, group, optimizer.state)
            steps |= {int(s["step"]) for s in [optimizer.state.get(x) or {}] if "step" in s}
    group = optimizer.param_groups[0]
    found.wanted = tuple(
        row.torch for row in SLOTS[kind] if row.torch not in _KEPT or group[_KEPT[row.torch]]
    )
    if any(bool(g.get(key)) != bool(group.get(key)) for key in _KEPT.values()
           for g in optimizer.param_groups):  # fmt: skip
        raise FormatError(path, "", "has groups that keep different slots")
    if len(steps) > 1:
        raise FormatError(path, "", f"has parameters at different steps, {sorted(steps)}")
    found.step = next(iter(steps), None)
    for slot in found.wanted:
        states = {n: optimizer.state.get(x, {}) for n, (x, _, _) in found.parameters.items()}
        found.slots[slot] = {n: s[slot] for n, s in states.items() if s.get(slot) is not None}
    found.settings = {key: float(group[key]) for key in _SETTINGS if key in group}
    if "betas" in group:
        found.settings |= dict(zip(("beta_1", "beta_2"), map(float, group["betas"]), strict=True))
    found.scheduled = "a scheduler changes it" if "initial_lr" in group else ""
    return found


def _refuse(path: str, group: Any) -> None:
    if group.get("dampening"):
        raise FormatError(path, "", "damps its momentum, which no optimizer of Keras does")
    if group.get("maximize"):
        raise FormatError(path, "", "maximizes: its slots have the other sign")


@dataclass(eq=False)
class TorchOptimizer(LiveOptimizer):
    """An optimizer of torch; `parameters` are name → the Parameter, its group, the state."""

    parameters: dict[str, tuple[Any, Any, Any]] = field(default_factory=dict)

    def factor(self, slot: str, name: str) -> Fraction:
        """Slots are told as torch keeps them."""
        return Fraction(1)

    def prepare(self) -> None:
        """The state that the first step would make."""
        import torch

        for name, (x, group, states) in self.parameters.items():
            state = states[x]
            for slot in self.wanted:
                if state.get(slot) is None:
                    state[slot] = torch.zeros_like(x, memory_format=torch.preserve_format)
                self.slots[slot][name] = state[slot]
            if self.kind != "sgd" and "step" not in state:
                there = x.device if group.get("capturable") or group.get("fused") else "cpu"
                state["step"] = torch.zeros((), dtype=torch.float32, device=there)

    def assign(self, slot: str, name: str, values: Any) -> None:
        """Copy values into the state."""
        write_tensor(self.slots[slot][name], values)

    def count(self, step: int) -> None:
        """Every parameter has made this many steps."""
        for x, _, states in self.parameters.values():
            if "step" in states[x]:
                states[x]["step"].fill_(step)
