"""Layers of torch with a weight norm or a spectral norm, old keys and new, folded for Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import torch
from frameworks.judge import RANDOM, by_keras, by_torch, difference
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import weightsurgeon as ws

LAYERS: dict[str, tuple[tuple[int, ...], Any, Any]] = {  # square, so that a wrong axis would fit
    "linear": ((4,), lambda: keras.layers.Dense(4, name="x"), lambda: nn.Linear(4, 4)),
    "conv": (
        (5, 5, 4),
        lambda: keras.layers.Conv2D(4, 3, name="x"),
        lambda: nn.Conv2d(4, 4, 3),
    ),
    "conv_transpose": (
        (5, 5, 4),
        lambda: keras.layers.Conv2DTranspose(4, 3, name="x"),
        lambda: nn.ConvTranspose2d(4, 4, 3),
    ),
}
NORMS: dict[str, Callable[[Any], Any]] = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm_of_all": partial(parametrizations.weight_norm, dim=None),  # type: ignore[arg-type]
    "weight_norm_old": weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "spectral_norm_old": spectral_norm,
}


def judged(layer: str, norm: str, folder: Path) -> dict[str, Any]:
    """The difference of the outputs before and after the port."""
    shape, build, make = LAYERS[layer]
    first = keras.Input(shape)
    model = keras.Model(first, build()(first))
    model.save(folder / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old forms are what is tested
        module = nn.Sequential()
        module.add_module("x", NORMS[norm](make()))
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -1, 1)
    module.eval()
    torch.save(module.state_dict(), folder / "module.pt")
    ws.port(folder / "module.pt", folder / "back.keras", template=folder / "model.keras")
    x = RANDOM.standard_normal((2, *shape)).astype("float32")
    expected = by_torch(module, x, len(shape) > 1)
    before = difference(by_keras(model, x), expected)
    return {
        "before": before,
        "to_torch": None if norm.startswith("spectral") else back(module, model, x, folder),
        "to_keras": difference(
            by_keras(keras.models.load_model(folder / "back.keras"), x), expected
        ),
    }


def back(module: Any, model: Any, x: Any, folder: Path) -> float:
    """The plain kernel of Keras as a direction and a length; the difference of the outputs."""
    ws.port(folder / "model.keras", folder / "there.pt", template=folder / "module.pt")
    module.load_state_dict(torch.load(folder / "there.pt", weights_only=True), strict=True)
    return difference(by_torch(module, x, x.ndim > 2), by_keras(model, x))


CASES: dict[str, Callable[[Path], Any]] = {
    f"{layer}-{norm}": partial(judged, layer, norm) for layer in LAYERS for norm in NORMS
}
