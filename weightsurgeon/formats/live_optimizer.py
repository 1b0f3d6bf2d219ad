"""What a live optimizer keeps for each parameter: its slots, found by the objects of its model.

Adam (and AdamW), SGD and RMSprop, of torch and Keras. A row of `SLOTS` says what a slot is called
here and there, and the one number by which the two differ: the momentum of Keras' SGD is −lr times
the buffer of torch, that of its RMSprop lr times the buffer.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from typing import Any, NamedTuple

from ..errors import FormatError
from .live import LiveSource


class Row(NamedTuple):
    """A slot: its key in torch's state, its attribute in Keras, Keras over torch in units of lr."""

    torch: str
    keras: str
    rate: int = 0  # 0: equal


SLOTS: Mapping[str, tuple[Row, ...]] = {
    "adam": (
        Row("exp_avg", "_momentums"),
        Row("exp_avg_sq", "_velocities"),
        Row("max_exp_avg_sq", "_velocity_hats"),
    ),
    "sgd": (Row("momentum_buffer", "momentums", -1),),
    "rmsprop": (
        Row("square_avg", "_velocities"),
        Row("momentum_buffer", "_momentums", 1),
        Row("grad_avg", "_average_gradients"),
    ),
}
KINDS = {"Adam": "adam", "AdamW": "adam", "SGD": "sgd", "RMSprop": "rmsprop"}
_MODULES = {"live-torch": ".live_torch_optimizer", "live-keras": ".live_keras_optimizer"}


@dataclass(eq=False)
class LiveOptimizer:
    """An optimizer beside its model.

    kind       adam, sgd or rmsprop
    names      the parameters that it updates, as the model calls them
    slots      slot, as torch calls it → name → the tensor or variable; empty before the first step
    wanted     the slots that its settings ask for
    rates      name → learning rate
    step       how many steps were made; None where it keeps no count
    settings   what decides the update, for telling where two differ
    """

    path: str
    kind: str
    names: list[str] = field(default_factory=list)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    rates: dict[str, Fraction] = field(default_factory=dict)
    step: int | None = None
    settings: dict[str, float] = field(default_factory=dict)
    scheduled: str = ""  # why a learning rate of now says nothing of the steps before

    def factor(self, slot: str, name: str) -> Fraction:
        """What a value of this slot is, over what torch would keep."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the slots, as zeros, where there are none yet."""
        raise NotImplementedError

    def assign(self, slot: str, name: str, values: Any) -> None:
        """Give a slot other values; it stays the same object."""
        raise NotImplementedError

    def count(self, step: int) -> None:
        """Set the number of steps made."""
        raise NotImplementedError


def open_optimizer(optimizer: Any, model: LiveSource) -> LiveOptimizer:
    """The slots of an optimizer of this model.

    Errors: FormatError for another kind of optimizer, for one of other parameters, for settings
    that keep something more.
    """
    kind = KINDS.get(type(optimizer).__name__)
    path = f"optimizer {type(optimizer).__name__} of {model.path}"
    home = "torch." if model.container == "live-torch" else "keras."
    if kind is None or not type(optimizer).__module__.startswith(home):
        what = f"is none of {home[:-1]}'s {', '.join(KINDS)}: its slots have no counterpart"
        raise FormatError(path, "", what)
    found: LiveOptimizer = import_module(_MODULES[model.container], __package__).read(
        optimizer, model, path, kind
    )
    return found


def names_by_object(model: LiveSource) -> dict[Hashable, str]:
    """id of a parameter → its name."""
    return {id(x): name for name, x in model.tensors.items()}
