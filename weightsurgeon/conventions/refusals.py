"""What a dialect cannot hold, though the tensors would fit: options and roles, with the reason.

A row names a kind, one of its options, the values that are refused, the dialect that cannot hold
them, and why. Most of these fit by shape, so that nothing later would notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class But(NamedTuple):
    """Every value but these."""

    values: tuple[object, ...]


class Refused(NamedTuple):
    """An option of a kind that a dialect cannot hold."""

    kind: str
    option: str
    value: object
    dialect: str
    why: str

    def meets(self, kind: str, options: Mapping[str, Any], dialect: str) -> bool:
        """Whether a layer with these options is what the row speaks of."""
        if (kind, dialect) != (self.kind, self.dialect) or options.get(self.option) is None:
            return False
        value = options[self.option]
        if isinstance(self.value, But):
            return value not in self.value.values
        return bool(value == self.value)


_GATE = "it multiplies its output by a gate of its own; no attention of torch does that"
_FIXED = "the module computes with another function, and the same weights"
_EARLY = (
    "it resets the state before the product with the recurrent kernel, torch behind it; no weights "
    "make up for that"
)

REFUSED: tuple[Refused, ...] = (
    Refused(
        "layernorm",
        "rms_scaling",
        True,
        "torch",
        "it divides by the deviation about the mean without centring; no RMSNorm does that",
    ),
    *(Refused("gru", "reset_after", False, dialect, _EARLY) for dialect in ("torch", "flax")),
    Refused("rnn", "activation", But(("tanh", "relu")), "torch", _FIXED),
    Refused("lstm", "activation", But(("tanh",)), "torch", _FIXED),
    Refused("gru", "activation", But(("tanh",)), "torch", _FIXED),
    Refused("lstm", "recurrent_activation", But(("sigmoid",)), "torch", _FIXED),
    Refused("gru", "recurrent_activation", But(("sigmoid",)), "torch", _FIXED),
    *(Refused("mha", "use_gate", True, dialect, _GATE) for dialect in ("torch", "flax", "onnx")),
    *(Refused("gqa", "use_gate", True, dialect, _GATE) for dialect in ("torch", "flax", "onnx")),
)

# (kind, role, dialect that lacks it) → why a layer that has it cannot be held there
UNHELD: dict[tuple[str, str, str], str] = {
    ("instancenorm", "mean", "keras"): "with running statistics it is another function: it "
    "normalises by them, GroupNormalization by each input's own",
    ("instancenorm", "variance", "keras"): "with running statistics it is another function: it "
    "normalises by them, GroupNormalization by each input's own",
    ("lstm", "projection", "keras"): "the state is projected (proj_size); no LSTM of Keras does "
    "that",
    ("mha", "bias_key", "keras"): "a learned key is appended to all others (add_bias_kv); no "
    "attention of Keras does that",
    ("mha", "bias_value", "keras"): "a learned value is appended to all others (add_bias_kv); no "
    "attention of Keras does that",
}


def refusal(kind: str, options: Mapping[str, Any], dialect: str) -> str | None:
    """Why a layer with these options cannot be held by a dialect, though its tensors would fit.

    >>> refusal("gru", {"reset_after": False}, "torch").partition(":")[0]
    'reset_after=False'
    """
    dialect = "keras" if dialect == "tf" else dialect
    if options.get("quantized") and dialect != "keras":
        return f"it is quantised, and a {kind} of {dialect} has no scale: --dequantise it"
    if dialect == "torch" and _crossed(options):
        what = f"go_backwards={options['go_backwards']} of the {options['direction']} layer"
        return f"{what}: it reads against its name; no module of torch joins directions like that"
    for row in REFUSED:
        if row.meets(kind, options, dialect):
            return f"{row.option}={options[row.option]}: {row.why}"
    return None


def _crossed(options: Mapping[str, Any]) -> bool:
    """Whether a direction of a Bidirectional reads against its name."""
    way, backwards = options.get("direction"), options.get("go_backwards")
    return way in ("forward", "backward") and backwards is (way == "forward")


def unheld(kind: str, role: str, dialect: str) -> str | None:
    """Why no layer of this kind in a dialect has such a tensor, where that changes what it does."""
    return UNHELD.get((kind, role, "keras" if dialect == "tf" else dialect))
