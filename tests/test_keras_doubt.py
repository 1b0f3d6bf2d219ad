"""What a Flatten or a Reshape leaves in doubt, and that a mapping settles it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_models import values_of
from test_keras_weights import Shapes, make

from weightsurgeon.api import port
from weightsurgeon.errors import SurgeryError
from weightsurgeon.expr import whole
from weightsurgeon.formats import open_source

CONV: Shapes = {"layers/conv2d": [(3, 3, 3, 4)], "layers/flatten": []}


@pytest.mark.parametrize(
    ("groups", "doubtful"),
    [
        ({**CONV, "layers/dense": [(12, 3)], "layers/dense_1": [(3, 8)]}, {"dense"}),
        ({**CONV, "layers/dense": [(12, 8)], "layers/dense_1": [(8, 4)]}, {"dense"}),
        ({**CONV, "layers/dense": [(12, 8)], "layers/dense_1": [(6, 4)]}, {"dense", "dense_1"}),
        (
            {**CONV, "layers/dense": [(12, 8)], "layers/dense_1": [(8, 4)], "layers/reshape": []},
            {"dense", "dense_1"},
        ),
        (
            {
                **CONV,
                "layers/dense": [(12, 8)],
                "layers/dense_1": [(8, 4)],
                "layers/input_layer": [],
            },
            {"dense", "dense_1"},
        ),
        (
            {
                **CONV,
                "layers/dense": [(12, 8)],
                "layers/batch_normalization": [(12,)] * 4,
                "layers/batch_normalization_1": [(4,)] * 4,
            },
            {"dense", "batch_normalization"},
        ),
        ({**CONV, "layers/dense": [(7, 3)]}, set()),
        ({"layers/conv2d": CONV["layers/conv2d"], "layers/dense": [(12, 3)]}, set()),
    ],
)
def test_what_may_stand_behind_a_flatten_is_in_doubt(
    tmp_path: Path, groups: Shapes, doubtful: set[str]
) -> None:
    source = make(tmp_path / "x.weights.h5", groups)
    found = {slot.layer for slot in source.slots.values() if not slot.kind}
    assert found == {f"layers/{name}" for name in doubtful}
    assert len(source.remarks) == bool(doubtful)
    assert all(name in source.remarks[0] for name in found)
    assert all("flatten_from: [h, w, c]" in remark for remark in source.remarks)


def test_an_attribute_that_holds_a_flatten_is_one(tmp_path: Path) -> None:
    groups: Shapes = {"blocks/dense": [(12, 3)], "flat": []}
    source = make(tmp_path / "x.weights.h5", groups, {"flat": "flatten_3"})
    assert source.slots["blocks/dense/kernel"].kind == ""


# -- files that Keras writes -----------------------------------------------------------------


def refused(path: Path, **options: Any) -> None:
    with pytest.raises(SurgeryError, match="kind"):
        port(path, path.with_name("x.safetensors"), to="torch", **options)


def ported(path: Path, rules: str, name: str) -> Any:
    mapping, out = path.with_name("m.yaml"), path.with_name("x.safetensors")
    mapping.write_text(f"weightsurgeon: 1\nrules:\n{rules}")
    port(path, out, mapping, to="torch")
    source = open_source(str(out))
    return source.read(name, whole(source.specs[name])).copy()


@pytest.mark.frameworks
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_behind_a_flatten_are_refused_until_a_mapping_tells(
    tmp_path: Path, suffix: str
) -> None:
    from keras import Input, Sequential, layers

    body = [layers.Conv2D(2, 2, name="c"), layers.Flatten(name="f"), layers.Dense(3, name="d")]
    model = Sequential([Input((5, 4, 2)), *body])
    path = tmp_path / f"m{suffix}"
    if suffix == ".h5":
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group as save

        with h5py.File(path, "w") as file:
            save(file, model)
    else:
        model.save_weights(path)
    assert open_source(str(path)).slots["d/kernel"].kind == ""
    refused(path)
    rules = (
        "- {layer: c, to: c, kind: conv}\n"
        "- {layer: d, to: d, kind: linear, options: {flatten_from: [4, 3, 2]}}\n"
    )
    kernel = values_of(model)["d/kernel"].reshape(4, 3, 2, 3)
    wanted = kernel.transpose(3, 2, 0, 1).reshape(3, 24)
    assert np.array_equal(ported(path, rules, "d.weight"), wanted)


@pytest.mark.frameworks
def test_without_a_flatten_nothing_is_in_doubt(tmp_path: Path) -> None:
    from keras import Input, Sequential, layers

    body = [layers.Conv2D(4, 2), layers.GlobalAveragePooling2D(), layers.Dense(4), layers.Dense(2)]
    Sequential([Input((5, 4, 2)), *body]).save_weights(tmp_path / "m.weights.h5")
    source = open_source(str(tmp_path / "m.weights.h5"))
    assert {slot.kind for slot in source.slots.values()} == {"Conv2D", "Dense"}
    assert not source.remarks


def saved(path: Path, *body: Any) -> Any:
    """A generator: a Dense whose output becomes a map."""
    from keras import Input, Sequential, layers

    model = Sequential([Input((5,)), layers.Dense(24, name="d"), *body])
    model.save(path)
    return model


@pytest.mark.frameworks
def test_a_dense_whose_output_becomes_a_map_is_refused_until_a_mapping_tells(
    tmp_path: Path,
) -> None:
    from keras import layers

    path = tmp_path / "m.keras"
    norm, end = layers.BatchNormalization(name="b"), layers.Conv2DTranspose(3, 2, name="t")
    model = saved(path, norm, layers.LeakyReLU(), layers.Reshape((2, 3, 4)), end)
    source = open_source(str(path))
    assert {slot.layer for slot in source.slots.values() if not slot.kind} == {"d", "b"}
    assert all("in (h w c) -> (c h w) in" in remark for remark in source.remarks)
    refused(path)
    rules = (
        '- {from: d/kernel, to: d.weight, layout: "in (h w c) -> (c h w) in",'
        " sizes: {h: 2, w: 3}}\n"
        '- {from: d/bias, to: d.bias, layout: "(h w c) -> (c h w)", sizes: {h: 2, w: 3}}\n'
        "- {layer: t, to: t, kind: conv_transpose}\n- drop: b/*\n"
    )
    kernel = values_of(model)["d/kernel"].reshape(5, 2, 3, 4)
    wanted = kernel.transpose(3, 1, 2, 0).reshape(24, 5)
    assert np.array_equal(ported(path, rules, "d.weight"), wanted)


@pytest.mark.frameworks
@pytest.mark.parametrize("shape", [(1, 1, 24), (4, 6, 1)])
def test_a_map_of_one_place_or_channel_lies_alike(tmp_path: Path, shape: list[int]) -> None:
    from keras import layers

    saved(tmp_path / "m.keras", layers.Reshape(shape), layers.Conv2D(3, 1))
    assert all(slot.kind for slot in open_source(str(tmp_path / "m.keras")).slots.values())


@pytest.mark.frameworks
def test_a_map_that_no_convolution_takes_lies_alike(tmp_path: Path) -> None:
    from keras import layers

    saved(tmp_path / "m.keras", layers.Reshape((2, 3, 4)), layers.Softmax())
    assert all(slot.kind for slot in open_source(str(tmp_path / "m.keras")).slots.values())
