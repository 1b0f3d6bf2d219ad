"""A live Keras optimizer: its slots by the names of the model's variables, paired by order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import FormatError
from .live import LiveSource
from .live_optimizer import SLOTS, LiveOptimizer, names_by_object

_KEPT = {"max_exp_avg_sq": "amsgrad", "momentum_buffer": "momentum", "grad_avg": "centered"}
_SETTINGS = ("momentum", "weight_decay", "amsgrad", "centered", "nesterov", "beta_1", "beta_2")


def read(optimizer: Any, model: LiveSource, path: str, kind: str) -> LiveOptimizer:
    """The slots, one list for each, in the order of the variables that it was built for."""
    for key in ("use_ema", "gradient_accumulation_steps"):
        if getattr(optimizer, key, None):
            raise FormatError(path, "", f"has {key}: what it keeps for that has no counterpart")
    if not optimizer.built:
        optimizer.build(model.model.trainable_variables)
    found, names = KerasOptimizer(path, kind), names_by_object(model)
    found.optimizer = optimizer
    for variable in optimizer._trainable_variables:
        if id(variable) not in names:
            raise FormatError(path, "", f"updates {variable.path}, which the model does not have")
        found.names.append(names[id(variable)])
    found.wanted = tuple(
        row.torch
        for row in SLOTS[kind]
        if row.torch not in _KEPT or getattr(optimizer, _KEPT[row.torch])
    )
    for row in SLOTS[kind]:
        if row.torch in found.wanted:
            listed = getattr(optimizer, row.keras)
            found.slots[row.torch] = dict(zip(found.names, listed, strict=True))
    rate = float(optimizer.learning_rate)
    found.rates = dict.fromkeys(found.names, Fraction(rate))
    found.step = int(optimizer.iterations)
    told = {key: getattr(optimizer, key, None) for key in _SETTINGS}
    found.settings = {key: float(value) for key, value in told.items() if value is not None}
    found.settings |= {"lr": rate}
    for ours, theirs in (("rho", "alpha"), ("epsilon", "eps")):
        if hasattr(optimizer, ours):
            found.settings[theirs] = float(getattr(optimizer, ours))
    if not hasattr(optimizer._learning_rate, "assign"):
        found.scheduled = "a schedule changes it"
    return found


@dataclass(eq=False)
class KerasOptimizer(LiveOptimizer):
    """An optimizer of Keras."""

    optimizer: Any = None

    def factor(self, slot: str, name: str) -> Fraction:
        """−lr or lr for a momentum that has taken the learning rate in."""
        rate = next(row.rate for row in SLOTS[self.kind] if row.torch == slot)
        return Fraction(1) if rate == 0 else rate * self.rates[name]

    def prepare(self) -> None:
        """They are made when it is built."""

    def assign(self, slot: str, name: str, values: Any) -> None:
        """Assign the variable."""
        variable = self.slots[slot][name]
        if hasattr(variable.value, "untyped_storage"):
            from .live_torch import write_tensor

            write_tensor(variable.value, values)
        else:
            variable.assign(values)

    def count(self, step: int) -> None:
        """Its iterations."""
        self.optimizer.iterations.assign(step)
