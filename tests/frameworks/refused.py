"""Pairs of layers that compute different things, though the tensors of one may fit the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import torch
from keras import layers
from torch import nn

MAP, SEQUENCE = (3, 5, 4), (3, 4)


def save(folder: Path) -> dict[str, Any]:
    """Save each pair, as `<name>.keras` and `<name>.pt`."""
    for name, (shape, layer, module) in _pairs().items():
        first = keras.Input(shape)
        keras.Model(first, layer(first)).save(folder / f"{name}.keras")
        torch.save(nn.ModuleDict({"x": module}).state_dict(), folder / f"{name}.pt")
    return {}


def _pairs() -> dict[str, tuple[tuple[int, ...], Any, nn.Module]]:
    linear, heads = nn.Linear(4, 5), nn.Linear(4, 10)
    return {
        "reset_before": (SEQUENCE, layers.GRU(5, reset_after=False, name="x"), nn.GRU(4, 5)),
        "other_activation": (SEQUENCE, layers.LSTM(5, activation="relu", name="x"), nn.LSTM(4, 5)),
        "stack_both_ways": (
            SEQUENCE,
            layers.Bidirectional(layers.RNN([layers.LSTMCell(5), layers.LSTMCell(5)]), name="x"),
            nn.LSTM(4, 5, 2, bidirectional=True),
        ),
        "gate": (
            SEQUENCE,
            _Itself(layers.MultiHeadAttention(2, 2, use_gate=True, name="x")),
            nn.MultiheadAttention(4, 2),
        ),
        "projected": (SEQUENCE, layers.LSTM(5, name="x"), nn.LSTM(4, 5, proj_size=2)),
        "learned_key": (
            SEQUENCE,
            _Itself(layers.MultiHeadAttention(2, 2, name="x")),
            nn.MultiheadAttention(4, 2, add_bias_kv=True),
        ),
        "rms_scaling": (
            SEQUENCE,
            layers.LayerNormalization(rms_scaling=True, name="x"),
            nn.LayerNorm(4, bias=False),
        ),
        "unshared_slopes": (MAP, layers.PReLU(name="x"), nn.PReLU(4)),
        "partly_shared_slopes": (MAP, layers.PReLU(shared_axes=[1], name="x"), nn.PReLU(4)),
        "separable": (MAP, layers.SeparableConv2D(5, 3, name="x"), nn.Conv2d(4, 5, 3)),
        "batch_letter": (SEQUENCE, _einsum("abc,bcd->abd", (3, 5), "d"), linear),
        "bias_of_a_place": (SEQUENCE, _einsum("abc,cd->abd", (3, 5), "bd"), linear),
        "partial_bias": (SEQUENCE, _einsum("abc,cde->abde", (3, 5, 2), "e"), heads),
        "no_statistics": (
            SEQUENCE,
            layers.BatchNormalization(name="x"),
            nn.BatchNorm1d(4, track_running_stats=False),
        ),
        "transpose_groups": (
            MAP,
            layers.Conv2DTranspose(6, 3, name="x"),
            nn.ConvTranspose2d(4, 6, 3, groups=2),
        ),
    }


class _Itself:
    """An attention of a sequence to itself."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return self.layer(x, x)


def _einsum(equation: str, shape: tuple[int, ...], bias_axes: str) -> Any:
    return layers.EinsumDense(equation, shape, bias_axes=bias_axes, name="x")
