"""Which variables a quantised layer has and how its file numbers them, from its config alone."""

from __future__ import annotations

from typing import Any

import pytest

from weightsurgeon.formats.keras_names import variables
from weightsurgeon.formats.keras_quantised import quantized_options

BLOCKS = "kernel bias kernel_scale kernel_zero g_idx"
UNTIED = (
    "embeddings embeddings_scale embeddings_zero g_idx"
    " reverse_embeddings reverse_embeddings_scale reverse_embeddings_zero"
)


def policy(mode: str) -> dict[str, Any]:
    return {"class_name": "QuantizedDTypePolicy", "config": {"mode": mode}}


@pytest.mark.parametrize(
    ("kind", "mode", "config", "names"),
    [
        ("Dense", "int8", {"use_bias": True}, "kernel bias kernel_scale"),
        ("Dense", "int4/128", {"use_bias": True}, BLOCKS),
        ("Dense", "int4/-1", {}, "kernel kernel_scale"),
        ("EinsumDense", "int8", {"bias_axes": "d"}, "kernel bias kernel_scale"),
        ("Embedding", "int4/64", {}, "embeddings embeddings_scale embeddings_zero g_idx"),
        ("ReversibleEmbedding", "int8", {}, "embeddings embeddings_scale"),
        ("ReversibleEmbedding", "int4/64", {"tie_weights": False, "untied": True}, UNTIED),
    ],
)
def test_variables_stand_as_keras_numbers_them(
    kind: str, mode: str, config: dict[str, Any], names: str
) -> None:
    options = {**config, **quantized_options(kind, {**config, "dtype": policy(mode)})}
    assert variables(kind, options, len(names.split())) == names.split()


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("Dense", {"dtype": policy("gptq/4/128")}),
        ("Dense", {"dtype": policy("int8"), "lora_rank": 4}),
        ("MyLayer", {"dtype": policy("int8")}),
    ],
)
def test_other_storage_is_left_undecided(kind: str, config: dict[str, Any]) -> None:
    assert quantized_options(kind, config) == {"quantized": ["quantized"]}


@pytest.mark.parametrize("dtype", [None, "float32", {"class_name": "DTypePolicy"}, policy("")])
def test_plain_layers_have_no_such_options(dtype: Any) -> None:
    assert quantized_options("Dense", {"dtype": dtype}) == {}
