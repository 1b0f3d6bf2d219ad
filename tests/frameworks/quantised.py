"""Quantised Keras layers: read back as they are, and decoded for torch.

Inputs are not quantised here: Keras does that on top of the weights, by default for int8.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from frameworks.judge import RANDOM, by_keras, difference
from keras import layers
from keras.quantizers import Int4QuantizationConfig, Int8QuantizationConfig

import weightsurgeon as ws

LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "linear": ((300,), lambda: layers.Dense(5, name="x")),  # three blocks, half a byte left over
    "einsum": (
        (3, 6),
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de", name="x"),
    ),
    "embedding": ((3,), lambda: layers.Embedding(7, 5, name="x")),
}
MODES: dict[str, Callable[[], Any]] = {
    "int8": lambda: Int8QuantizationConfig(activation_quantizer=None),
    "int4": lambda: Int4QuantizationConfig(activation_quantizer=None),
    "int4_whole": lambda: Int4QuantizationConfig(activation_quantizer=None, block_size=-1),
}


def judged(layer: str, mode: str, folder: Path) -> dict[str, Any]:
    """The differences of outputs: decoded for torch, and copied within Keras."""
    shape, build = LAYERS[layer]
    words = layer == "embedding"
    first = keras.Input(shape, dtype="int32" if words else "float32")
    model = keras.Model(first, build()(first))
    for variable in model.weights:
        variable.assign(RANDOM.uniform(-1, 1, tuple(variable.shape)))
    x = RANDOM.integers(0, 7, (2, *shape)) if words else RANDOM.standard_normal((2, *shape))
    x = x.astype("int32" if words else "float32")
    float_output = by_keras(model, x)
    model.quantize(config=MODES[mode]())
    model.save(folder / "model.keras")
    expected = by_keras(keras.models.load_model(folder / "model.keras"), x)
    ws.port(folder / "model.keras", folder / "module.pt", dequantise=True)
    ws.port(folder / "model.keras", folder / "same.keras")
    state = {k: v.numpy() for k, v in torch.load(folder / "module.pt").items()}
    found = state["x.weight"][x] if words else x @ state["x.weight"].T + state["x.bias"]
    return {
        "before": difference(float_output, expected),
        "to_torch": difference([np.reshape(found, expected[0].shape)], expected),
        "within": difference(by_keras(keras.models.load_model(folder / "same.keras"), x), expected),
        "paths": sorted(v.path for v in model.weights),
        "names": sorted(ws.open(folder / "model.keras")),
    }


CASES: dict[str, Callable[[Path], Any]] = {
    f"{layer}-{mode}": partial(judged, layer, mode) for layer in LAYERS for mode in MODES
}
