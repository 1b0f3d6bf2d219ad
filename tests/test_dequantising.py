"""Quantised layers of Keras: as they are within Keras, decoded where that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import Memory, layer, model, tensor
from porting import Array, lines_of, mapping
from safetensors.numpy import load_file

from weightsurgeon.api import port, run
from weightsurgeon.conventions import describe
from weightsurgeon.errors import PlanError
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.mapping.invert import invert

Q8 = np.array([[127, 1], [2, -3]], "i1")
SCALE = np.array([254, 2], "f4")
FIRST = [0.5, 2 / np.float32(254)]  # what the first output weighs
BIAS = np.array([1, 2], "f4")
INT8 = {"fc/kernel": Q8, "fc/bias": BIAS, "fc/kernel_scale": SCALE}


def policy(mode: str) -> dict[str, Any]:
    config = {"mode": mode, "source_name": "float32"}
    return {"class_name": "QuantizedDTypePolicy", "config": config}


def checkpoint(
    kind: str, values: dict[str, Array], mode: str = "int8", **config: Any
) -> Checkpoint:
    """A model of one quantised layer, named fc, in memory."""
    found = layer(kind, "fc", [tensor("in")], dtype=policy(mode), **config)
    whole = model([layer("InputLayer", "in"), found], [["in", 0, 0]], [["fc", 0, 0]])
    source = Memory(whole, values)
    return Checkpoint(source, describe("keras", source.slots, source.specs), "keras", "file")


def ported(source: Checkpoint, folder: Path, **how: Any) -> dict[str, Array]:
    port(source, folder / "out.safetensors", to="torch", **how)
    return load_file(folder / "out.safetensors")


def test_int8_is_divided_by_its_scale(tmp_path: Path) -> None:
    out = ported(checkpoint("Dense", INT8, use_bias=True), tmp_path, dequantise=True)
    assert out["fc.weight"].dtype == np.float32
    np.testing.assert_array_equal(out["fc.weight"], (Q8.astype("f4") / SCALE).T)
    assert out["fc.bias"].tolist() == [1, 2]
    assert out.keys() == {"fc.weight", "fc.bias"}


def test_without_being_asked_it_is_refused_elsewhere_and_kept_within_keras(tmp_path: Path) -> None:
    source = checkpoint("Dense", INT8, use_bias=True)
    with pytest.raises(PlanError) as caught:
        ported(source, tmp_path)
    assert any(
        "a linear of torch has no scale: --dequantise it" in x for x in lines_of(caught.value)
    )
    port(source, tmp_path / "same.safetensors", to="keras")
    kept = load_file(tmp_path / "same.safetensors")
    assert {n: x.tobytes() for n, x in kept.items()} == {n: x.tobytes() for n, x in INT8.items()}


def test_a_rule_moves_a_quantised_layer_within_keras(tmp_path: Path) -> None:
    rules = mapping("- {layer: fc, to: head, kind: linear}", "keras", "keras")
    port(checkpoint("Dense", INT8, use_bias=True), tmp_path / "x.safetensors", rules)
    out = load_file(tmp_path / "x.safetensors")
    assert out["head/kernel"].tolist() == Q8.tolist()
    assert out["head/kernel_scale"].tolist() == SCALE.tolist()


def test_a_mapping_and_a_plan_may_ask_for_it(tmp_path: Path) -> None:
    source = checkpoint("Dense", INT8, use_bias=True)
    rules = mapping(
        "- {layer: fc, to: head, kind: linear}", "keras", "torch", more="dequantise: true"
    )
    port(source, tmp_path / "x.safetensors", rules)
    assert load_file(tmp_path / "x.safetensors")["head.weight"][0].tolist() == FIRST
    step = {"transfer": {"from": "q", "to": "torch", "dequantise": True, "as": "made"}}
    output = {"from": "made", "path": str(tmp_path / "y.safetensors")}
    run({"weightsurgeon": 1, "steps": [step], "output": output}, q=source)
    assert load_file(tmp_path / "y.safetensors")["fc.weight"][0].tolist() == FIRST
    text = (
        "{weightsurgeon: 1, source: {dialect: keras}, target: {dialect: torch}, dequantise: true,"
        " rules: [{layer: fc, to: fc, kind: linear}]}"
    )
    with pytest.raises(PlanError, match="nothing quantises again"):
        invert(text)
    assert "dequantise" not in invert(text, lossy=True).value


def test_four_bits_have_blocks(tmp_path: Path) -> None:
    values = {  # 3 outputs: a half of the second byte is left over
        "fc/kernel": np.array([[0x21, 0x03], [0xF8, 0x0F]], "u1").view("i1"),
        "fc/kernel_scale": np.array([[1, 2, 3], [0.5, 1, 2]], "f4"),
        "fc/kernel_zero": np.array([[1, 0, 0], [0, -1, 0]], "i1"),
        "fc/g_idx": np.array([0, 1], "f4"),
    }
    source = checkpoint("Dense", values, "int4/1", use_bias=False)
    assert str(source["fc/kernel"].spec.axes) == "in pair"
    assert ported(source, tmp_path, dequantise=True)["fc.weight"].T.tolist() == [
        [0, 4, 9],
        [-4, 0, -2],
    ]


def test_an_einsum_gets_its_shape_back(tmp_path: Path) -> None:
    values = {
        "fc/kernel": np.array([[0x21, 0x43]], "u1").view("i1"),
        "fc/bias": np.zeros((2, 2), "f4"),
        "fc/kernel_scale": np.ones((1, 4), "f4"),
        "fc/kernel_zero": np.zeros((1, 4), "i1"),
        "fc/g_idx": np.zeros(1, "f4"),
    }
    how = {"equation": "abc,cde->abde", "bias_axes": "de"}
    source = checkpoint("EinsumDense", values, "int4/128", **how)
    port(source, tmp_path / "k.safetensors", to="keras", dequantise=True)
    assert load_file(tmp_path / "k.safetensors")["fc/kernel"].tolist() == [[[1, 2], [3, 4]]]
    del values["fc/bias"]
    unknown = checkpoint("EinsumDense", values, "int4/128", equation="abc,cde->abde")
    with pytest.raises(PlanError, match="the shape of its kernel is told by nothing"):
        ported(unknown, tmp_path, dequantise=True)


def test_embeddings_have_a_scale_for_each_word(tmp_path: Path) -> None:
    values = {"fc/embeddings": Q8, "fc/embeddings_scale": SCALE}
    out = ported(checkpoint("Embedding", values), tmp_path, dequantise=True)
    np.testing.assert_array_equal(out["fc.weight"], Q8.astype("f4") / SCALE[:, None])


def test_what_is_not_quantised_or_not_known_is_refused(tmp_path: Path) -> None:
    plain = {"fc/kernel": np.ones((2, 2), "f4")}
    found = layer("Dense", "fc", [tensor("in")], use_bias=False)
    whole = model([layer("InputLayer", "in"), found], [["in", 0, 0]], [["fc", 0, 0]])
    source = Memory(whole, plain)
    known = Checkpoint(source, describe("keras", source.slots, source.specs), "keras", "file")
    with pytest.raises(PlanError, match="holds no layer that is known to be quantised"):
        ported(known, tmp_path, dequantise=True)
    with pytest.raises(PlanError, match="fc cannot be dequantised: which of its tensors is what"):
        ported(checkpoint("Dense", plain, "gptq/4"), tmp_path, dequantise=True)
