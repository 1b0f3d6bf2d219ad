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


def _einsum(equation: str, shape: tuple[int, ...], bias_axes: str) -> Any:
    return layers.EinsumDense(equation, shape, bias_axes=bias_axes, name="x")
