"""Small Keras models, built from code: one for each way names and places come about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightsurgeon.expr import whole
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Order
from weightsurgeon.formats.keras_source import KerasSource, specs_of
from weightsurgeon.spec import TensorSpec

Values = dict[str, np.ndarray[Any, Any]]
SUFFIXES = {"keras": ".keras", "keras-weights": ".weights.h5", "keras-h5": ".h5"}


def _images() -> Any:
    from keras import Input, Model, Sequential, layers

    x = at = Input((8, 8, 3), name="inp")
    x = layers.Conv2D(4, 3, name="conv1")(x)
    x = layers.BatchNormalization(name="bn", scale=False)(x)
    x = layers.PReLU(shared_axes=[1, 2], name="pr")(x)
    x = layers.SeparableConv2D(5, 3, name="sep")(x)
    x = layers.DepthwiseConv2D(3, name="dw", depth_multiplier=2)(x)
    x = layers.Conv2DTranspose(3, 2, name="up", use_bias=False)(x)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    x = layers.BatchNormalization(name="flat_bn")(x)
    inner = [
        layers.Dense(3, name="a"),
        layers.BatchNormalization(name="b"),
        layers.Dense(2, name="c"),
    ]
    x = Sequential([*inner, layers.LayerNormalization(name="ln")], name="inner")(x)
    return Model(at, x, name="root")


def _sequences() -> Any:
    from keras import Input, Model, layers

    x = at = Input((6,))
    x = layers.Embedding(10, 8, name="emb")(x)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, name="lstm"), name="bi")(x)
    x = layers.GRU(4, return_sequences=True, name="g")(x)
    x = layers.MultiHeadAttention(2, 4, name="mha")(x, x)
    x = layers.GroupQueryAttention(4, 4, 2, name="gqa")(x, x)
    x = layers.TimeDistributed(layers.Dense(4, name="tdd"), name="td")(x)
    x = layers.RNN(
        [layers.LSTMCell(3), layers.GRUCell(3, name="gc")], name="st", return_sequences=True
    )(x)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d", name="ein")(x)
    x = layers.RMSNormalization(name="rms")(x)
    x = layers.SpectralNormalization(layers.Dense(4), name="sn")(x)
    x = layers.AdditiveAttention(name="aa")([x, x])
    return Model(at, x)


def _sequential() -> Any:
    from keras import Input, Sequential, layers

    body = [layers.Conv2D(2, 2, name="c"), layers.Permute((2, 1, 3)), layers.Flatten()]
    return Sequential([Input((4, 5, 2)), *body, layers.Dense(2, name="d")], name="seq")


def _many() -> Any:
    from keras import Input, Sequential, layers

    return Sequential([Input((3,)), *(layers.Dense(3, name=f"z{11 - i:02}") for i in range(12))])


MODELS: Mapping[str, Callable[[], Any]] = {
    "images": _images,
    "sequences": _sequences,
    "sequential": _sequential,
    "many": _many,
}


def saved(folder: Path) -> dict[str, Any]:
    """Each model with its values at random, saved in all three containers as `<name><suffix>`."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    models = {}
    for name, make in MODELS.items():
        model = models[name] = make()
        for variable in model.weights:
            variable.assign(rng.standard_normal(variable.shape).astype("float32"))
        model.compile("adam", "mse")
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        model.save(folder / f"{name}.h5")
    assert keras.config.backend() == "torch"
    return models


def values_of(model: Any) -> Values:
    """The values of a model by canonical name."""
    from keras import Sequential, ops

    root = f"{model.name}/" if isinstance(model, Sequential) else ""
    return {v.path.removeprefix(root): ops.convert_to_numpy(v) for v in model.weights}


def read_all(source: Any) -> Values:
    """All values of a source, the optimizer's left out."""
    return {n: source.read(n, whole(s)).copy() for n, s in specs_of(source).items()}


def rewrite(template: Path, target: Path, container: str, seed: int = 1) -> Values:
    """Write random values through a template; the values."""
    source = open_source(str(template))
    assert isinstance(source, KerasSource)
    specs: dict[str, TensorSpec] = specs_of(source)
    rng = np.random.default_rng(seed)
    made = {n: rng.standard_normal(s.shape).astype(s.dtype.numpy()) for n, s in specs.items()}
    order = Order(specs, metadata={"weightsurgeon.version": "1"}, template=source)
    sink = create_sink(container, str(target), order)
    for name in reversed(made):
        sink.write(name, whole(specs[name]), made[name])
    sink.commit()
    return made
