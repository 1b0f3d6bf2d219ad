"""Legacy `.h5`: names as attributes list them, tf_keras' too, and Keras as the judge of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from keras_models import MODELS, read_all, rewrite, saved, values_of

from weightsurgeon.errors import BrokenFile, OutputError, UnsupportedFile
from weightsurgeon.formats import open_source
from weightsurgeon.formats.base import Source
from weightsurgeon.formats.keras_legacy import canonical


def make(
    path: Path,
    layers: dict[str, list[str]],
    config: Any = None,
    root: str = "model_weights",
    values: Any = None,
) -> Source:
    """A legacy file: layer → the names of its weights."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        group = file.require_group(root) if root else file
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, names in layers.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in names]
            for name in names:
                inner[name] = np.zeros((2, 2), "f4") if values is None else values
    return open_source(str(path))


@pytest.mark.parametrize("root", ["model_weights", ""])
def test_names_of_tf_keras(tmp_path: Path, root: str) -> None:
    layers = {"c1": ["c1/kernel:0", "c1/bias:0"], "inner": ["a/kernel:0"], "drop": []}
    source = make(tmp_path / "x.h5", layers, root=root)
    assert source.container == "keras-h5"
    assert list(source.specs) == ["c1/kernel", "c1/bias", "inner/a/kernel"]
    assert {slot.kind for slot in source.slots.values()} == {""}


def test_names_of_a_keras_3_sequential_leave_the_root_out(tmp_path: Path) -> None:
    layers = {"d": ["seq/d/kernel"], "inner": ["seq/inner/a/kernel"]}
    assert list(make(tmp_path / "x.h5", layers).specs) == ["d/kernel", "inner/a/kernel"]


def test_long_lists_in_pieces_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    make(path, {"a": ["a/kernel"], "b": ["b/kernel"]})
    with h5py.File(path, "r+") as file:
        del file["model_weights"].attrs["layer_names"]
        file["model_weights"].attrs["layer_names0"] = [b"b"]
        file["model_weights"].attrs["layer_names1"] = [b"a"]
    assert list(open_source(str(path)).specs) == ["b/kernel", "a/kernel"]


def test_the_config_gives_classes_and_options(tmp_path: Path) -> None:
    dense = {"class_name": "Dense", "config": {"name": "d", "use_bias": False}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [dense]}}
    slot = make(tmp_path / "x.h5", {"d": ["d/kernel:0"]}, config).slots["d/kernel"]
    assert (slot.kind, slot.options, slot.leaf) == ("Dense", {"use_bias": False}, "kernel")


def test_two_opaque_bytes_are_what_the_config_says(tmp_path: Path) -> None:
    values = np.ones((2, 2), ml_dtypes.bfloat16).view("V2")
    dense = {"class_name": "Dense", "config": {"name": "d", "dtype": "bfloat16"}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [dense]}}
    source = make(tmp_path / "x.h5", {"d": ["d/kernel"]}, config, values=values)
    assert source.specs["d/kernel"].dtype.name == "bfloat16"
    with pytest.raises(UnsupportedFile, match="unknown dtype"):
        make(tmp_path / "y.h5", {"d": ["d/kernel"]}, values=values)


def test_what_is_listed_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    make(path, {"d": ["d/kernel"]})
    with h5py.File(path, "r+") as file:
        del file["model_weights/d/d/kernel"]
    with pytest.raises(BrokenFile, match="listed in weight_names"):
        open_source(str(path))


def test_canonical_names() -> None:
    assert canonical("conv", "conv/kernel:0") == "conv/kernel"
    assert canonical("conv", "conv_2/kernel") == "conv/conv_2/kernel"
    assert canonical("", "scale") == "scale"


# -- the judge -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    return saved(folder)


@pytest.mark.frameworks
@pytest.mark.parametrize("name", MODELS)
def test_names_and_values_are_those_of_the_model(
    folder: Path, models: dict[str, Any], name: str
) -> None:
    source = open_source(str(folder / f"{name}.h5"))
    wanted, got = values_of(models[name]), read_all(source)
    assert got.keys() == wanted.keys()
    assert all(np.array_equal(got[n], v) for n, v in wanted.items())
    ours = open_source(str(folder / f"{name}.keras"))
    for key in got:
        assert source.slots[key] == ours.slots[key], key


@pytest.mark.frameworks
@pytest.mark.parametrize("template", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_keras_loads_what_we_write(
    folder: Path, models: dict[str, Any], tmp_path: Path, name: str, template: str
) -> None:
    path, model = tmp_path / "x.h5", models[name]
    kept = model.get_weights()
    made = rewrite(folder / f"{name}{template}", path, "keras-h5")
    model.load_weights(path)
    got = values_of(model)
    model.set_weights(kept)
    assert got.keys() == made.keys()
    assert all(np.array_equal(got[n], v) for n, v in made.items())


@pytest.mark.frameworks
def test_a_frozen_layer_moves_its_weights_back(tmp_path: Path) -> None:
    from keras import Input, Sequential, layers

    head = Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="b")], name="head")
    model = Sequential([Input((2,)), head], name="m")
    head.layers[0].trainable = False
    model.save(tmp_path / "m.keras")
    made = rewrite(tmp_path / "m.keras", tmp_path / "m.h5", "keras-h5")
    model.load_weights(tmp_path / "m.h5")
    assert all(np.array_equal(v, made[n]) for n, v in values_of(model).items())


@pytest.mark.frameworks
def test_keras_loads_a_whole_model_that_we_write(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    made = rewrite(folder / "images.h5", tmp_path / "x.h5", "keras-h5")
    loaded = keras.models.load_model(tmp_path / "x.h5", compile=False)
    for variable, name in zip(loaded.weights, values_of(models["images"]), strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(variable), made[name]), name


@pytest.mark.frameworks
def test_the_order_of_layers_must_be_known(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="order of layers"):
        rewrite(folder / "images.weights.h5", tmp_path / "x.h5", "keras-h5")
