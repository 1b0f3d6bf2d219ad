"""What a torch module says of its tensors: its class, and its attributes under Keras' names.

A module of a subclass is what the class of torch's own is that it stems from. Parts that have a
module of their own (the output projection of an attention) are told as parts of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .base import Slot

_CONV = {"stride": "strides", "padding": "padding", "dilation": "dilation_rate", "groups": "groups"}
_CONV |= {"padding_mode": "padding_mode"}
_UP = {**_CONV, "output_padding": "output_padding"}
_NORM = {"eps": "epsilon"}
_BATCHNORM = {**_NORM, "momentum": "momentum"}
_RECURRENT = {"num_layers": "levels", "batch_first": "batch_first", "nonlinearity": "activation"}
_CELL = {"nonlinearity": "activation"}
_HEADS = {"num_heads": "heads", "batch_first": "batch_first"}

# class of torch.nn → attribute: the option's name
ATTRIBUTES: dict[str, Mapping[str, str]] = {
    "Linear": {},
    "Embedding": {"padding_idx": "padding_idx"},
    "EmbeddingBag": {"padding_idx": "padding_idx"},
    **{f"Conv{n}d": _CONV for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _UP for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _BATCHNORM for n in (1, 2, 3)},
    "SyncBatchNorm": _BATCHNORM,
    **{f"InstanceNorm{n}d": _NORM for n in (1, 2, 3)},
    "LayerNorm": _NORM,
    "RMSNorm": _NORM,
    "GroupNorm": {**_NORM, "num_groups": "groups"},
    "PReLU": {},
    **dict.fromkeys(("RNN", "LSTM", "GRU"), _RECURRENT),
    **dict.fromkeys(("RNNCell", "LSTMCell", "GRUCell"), _CELL),
    "MultiheadAttention": _HEADS,
}
_FOREIGN = {("transformers.pytorch_utils", "Conv1D"): "transformers.Conv1D"}
_FLAT = {"Linear", "BatchNorm1d", "SyncBatchNorm", "LayerNorm", "RMSNorm", "PReLU"}
_CONVOLUTIONS = {f"Conv{n}d" for n in (1, 2, 3)}
_LEVEL = re.compile(r".*_l([0-9]+)(_reverse)?")
_OUT = "out_proj"


def slot_of(module: Any, name: str) -> Slot:
    """The place of a tensor of the state dict, as its module says."""
    layer, _, leaf = name.rpartition(".")
    above, _, part = layer.rpartition(".")
    if part == _OUT and kind_of(_inside(module, above)) == "MultiheadAttention":
        layer, leaf = above, f"{_OUT}.{leaf}"
    owner = _inside(module, layer)
    kind = kind_of(owner)
    options = _options(owner, kind, leaf)
    return Slot(layer, "" if _by_channel(owner, kind) else kind, options, leaf)


def _by_channel(module: Any, kind: str) -> bool:
    """A convolution of each channel by itself: whether it is a grouped or a depthwise one in
    other dialects, the other side has to tell."""
    return kind in _CONVOLUTIONS and 1 < module.groups == module.in_channels


def _inside(module: Any, path: str) -> Any:
    """The module at a path; None where a name of the state dict is none."""
    for part in path.split(".") if path else ():
        module = getattr(module, "_modules", {}).get(part)
    return module


def kind_of(module: object) -> str:
    """The class of torch's own that a module is an instance of, "" where rows know none."""
    for stem in type(module).__mro__:
        if stem.__module__.startswith("torch.nn.") and stem.__name__ in ATTRIBUTES:
            return stem.__name__
        if found := _FOREIGN.get((stem.__module__, stem.__name__)):
            return found
    return ""


def _options(module: Any, kind: str, leaf: str) -> dict[str, Any]:
    """The attributes that rows and notes ask for, as plain values."""
    options = {
        name: _plain(value)
        for attribute, name in ATTRIBUTES.get(kind, {}).items()
        if (value := getattr(module, attribute, None)) is not None
    }
    if "momentum" in options:  # Keras' is the share that is kept
        options["momentum"] = round(1 - options["momentum"], 12)
    if kind == "RMSNorm" and "epsilon" not in options:
        options["epsilon"] = _smallest(module)
    if kind in _FLAT:
        options["flatten_from"] = None  # a module does not tell what is done before it
    if found := _LEVEL.fullmatch(leaf):
        way = "backward" if found[2] else "forward"
        options |= {"level": int(found[1]), "direction": way}
    if kind == "MultiheadAttention" and getattr(module, "in_proj_weight", None) is None:
        options["packed"] = False
    return options


def _smallest(module: Any) -> float:
    """What an RMSNorm without an epsilon adds: that of its dtype."""
    import torch

    weight = module.weight
    return float(torch.finfo(torch.float32 if weight is None else weight.dtype).eps)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
