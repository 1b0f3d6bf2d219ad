"""Where a Flatten finds the channels of a map: last as Keras has them, first, or in between."""

from __future__ import annotations

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
