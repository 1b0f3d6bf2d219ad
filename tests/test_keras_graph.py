"""Where a Flatten finds the channels of a map: last as Keras has them, first, or in between."""

from __future__ import annotations

from typing import Any

import pytest
from test_keras_config import CONV, DENSE, FLATTEN, Json, flat, layer, sequential

SIZE = [4, 5, 3]
FIRST = {"data_format": "channels_first"}


def test_channels_that_a_permute_puts_first_lie_as_torch_has_them() -> None:
    config = sequential(CONV, layer("Permute", dims=[3, 1, 2]), FLATTEN, DENSE, size=SIZE)
    assert flat(config) == (None, "")


def test_channels_that_a_permute_puts_amid_are_in_doubt() -> None:
    config = sequential(CONV, layer("Permute", dims=[1, 3, 2]), FLATTEN, DENSE, size=SIZE)
    assert "amid" in flat(config)[1]


def test_two_permutes_that_undo_each_other() -> None:
    there, back = layer("Permute", dims=[3, 1, 2]), layer("Permute", dims=[2, 3, 1])
    assert flat(sequential(CONV, there, back, FLATTEN, DENSE, size=SIZE)) == ([4, 5, 7], "")


def built(item: Json, *shape: int) -> Json:
    return {**item, "build_config": {"input_shape": [None, *shape]}}


@pytest.mark.parametrize(
    ("conv", "flatten", "found"),
    [
        (FIRST, {}, (None, "")),  # c h w, as in torch
        (FIRST, FIRST, ([4, 5, 7], "")),  # moved last, then flattened
        ({}, FIRST, (None, "a channels_first Flatten takes a map whose channels are last")),
    ],
)
def test_a_channels_first_map(conv: Json, flatten: Json, found: tuple[object, str]) -> None:
    shape = (7, 4, 5) if conv else (4, 5, 7)
    seen = built(layer("Flatten", **flatten), *shape)
    got = flat(sequential(layer("Conv2D", filters=7, kernel_size=3, **conv), seen, DENSE))
    assert got[0] == found[0]
    assert found[1] in got[1]
    assert bool(got[1]) == bool(found[1])


def operation(kind: str, **config: Any) -> Json:
    """An operation of `keras.ops` in a model, as Keras writes it."""
    return layer(kind, **config) | {"module": "keras.src.ops.numpy", "registered_name": kind}


def test_an_operation_that_makes_a_vector_of_a_map_is_no_layer_that_keeps_it() -> None:
    reshape = operation("Reshape", newshape=[-1, 140])
    assert "a vector of a map" in flat(sequential(CONV, reshape, DENSE, size=SIZE))[1]


def test_a_transpose_is_a_permute_that_counts_the_batch() -> None:
    there = operation("Transpose", axes=[0, 3, 1, 2])
    assert flat(sequential(CONV, there, built(FLATTEN, 7, 4, 5), DENSE, size=SIZE)) == (None, "")


def test_operations_on_each_element_keep_a_map() -> None:
    conv, relu = layer("Conv1D", filters=7, kernel_size=1), operation("Relu")
    seen = built(FLATTEN, 4, 7)
    assert flat(sequential(conv, relu, seen, DENSE, size=[4, 3])) == ([4, 7], "")


@pytest.mark.parametrize(
    "own",
    [
        layer("Mine") | {"module": "my.layers"},
        layer("Mine") | {"module": None, "registered_name": "Mine"},
        layer("Lambda"),
        operation("Swapaxes", axis1=1, axis2=3),
    ],
)
def test_what_may_stir_a_map_leaves_in_doubt_what_is_made_a_vector_of_it(own: Json) -> None:
    assert "in any way" in flat(sequential(CONV, own, built(FLATTEN, 4, 5, 7), DENSE))[1]
    assert "in any way" in flat(sequential(CONV, own, built(DENSE, 140)))[1]
    assert flat(sequential(CONV, own, built(DENSE, 4, 5, 7))) == (None, "")
    pooled = layer("GlobalAveragePooling2D")
    assert flat(sequential(CONV, own, pooled, built(DENSE, 7))) == (None, "")


def test_a_dense_whose_vector_an_operation_makes_a_map_is_in_doubt() -> None:
    unfold = operation("Reshape", newshape=[-1, 4, 5, 7])
    doubt = flat(sequential(built(DENSE, 9), unfold, CONV, size=[9]))[1]
    assert "makes a map" in doubt
