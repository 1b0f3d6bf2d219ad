"""Kinds that the leaves of a layer tell beyond doubt, where a torch state dict names none.

A batch norm has running statistics; the recurrent kernel of an LSTM, a GRU or an RNN has four,
three or one rows for each column; an attention has an `in_proj`. What else there is looks like
another layer: a Linear like an Embedding, a convolution like a transposed one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..formats.base import Slot
from ..spec import TensorSpec

_RECURRENT = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)(?:_l([0-9]{1,9})(_reverse)?)?")
_GATES = {4: "lstm", 3: "gru", 1: "rnn"}
_PACKED = "in_proj_weight"
_APART = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
_OF_ATTENTION = (_PACKED, *_APART, "in_proj_bias", "bias_k", "bias_v")
Shapes = Mapping[str, tuple[int, ...]]
Layers = dict[str, dict[str, str]]  # layer → leaf → name


class Told(NamedTuple):
    """A kind of the rows, and the tensor's place in such a layer."""

    kind: str
    slot: Slot


def told_by_siblings(
    dialect: str, slots: Mapping[str, Slot], specs: Mapping[str, TensorSpec]
) -> dict[str, Told]:
    """Name → what its siblings tell of it.

    >>> from weightsurgeon.spec import dtype_of
    >>> names = ("weight_ih_l0", "weight_hh_l0")
    >>> slots = {f"r.{n}": Slot("r", "", {}, n) for n in names}
    >>> specs = dict.fromkeys(slots, TensorSpec(dtype_of("float32"), (12, 4)))
    >>> told_by_siblings("torch", slots, specs)["r.weight_hh_l0"].kind
    'gru'
    """
    if dialect != "torch":
        return {}
    layers: Layers = {}
    for name, slot in slots.items():
        if not slot.kind:
            layers.setdefault(slot.layer, {})[slot.leaf] = name
    found: dict[str, Told] = {}
    for layer, names in layers.items():
        found |= _told(layer, names, {leaf: specs[n].shape for leaf, n in names.items()}, layers)
    return found


def _told(layer: str, names: Mapping[str, str], shapes: Shapes, layers: Layers) -> dict[str, Told]:
    """What the leaves of one layer are."""
    if "running_mean" in names:
        return {n: Told("batchnorm", Slot(layer, "", {}, leaf)) for leaf, n in names.items()}
    if _PACKED in names or names.keys() >= set(_APART):
        options = {} if _PACKED in names else {"packed": False}
        own = {leaf: n for leaf, n in names.items() if leaf in _OF_ATTENTION}
        below = layers.get(f"{layer}.out_proj" if layer else "out_proj", {})
        leaves = own | {f"out_proj.{leaf}": n for leaf, n in below.items()}
        return {n: Told("mha", Slot(layer, "", options, leaf)) for leaf, n in leaves.items()}
    kind = _recurrent(shapes)
    return {
        n: Told(kind, Slot(layer, "", _place(at), leaf))
        for leaf, n in names.items()
        if kind and (at := _RECURRENT.fullmatch(leaf))
    }


def _recurrent(shapes: Shapes) -> str:
    """The kind of a recurrent layer by its recurrent kernels; "" where it is none."""
    if any(leaf.startswith("weight_hr") and _RECURRENT.fullmatch(leaf) for leaf in shapes):
        return "lstm"  # with a projection, which no other kind has
    kernels = [s for leaf, s in shapes.items() if re.fullmatch(r"weight_hh(_l[0-9].*)?", leaf)]
    kinds = {
        _GATES.get(s[0] // s[1], "") if len(s) == 2 and s[1] and s[0] % s[1] == 0 else ""
        for s in kernels
    }
    return kinds.pop() if len(kinds) == 1 else ""


def _place(at: re.Match[str]) -> dict[str, Any]:
    """The level and direction that a leaf names; a cell has neither."""
    if at[1] is None:
        return {}
    return {"level": int(at[1]), "direction": "backward" if at[2] else "forward"}
