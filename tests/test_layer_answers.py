"""Known answers of the rows: small numbers worked out by hand, for each way a layer may lie."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from weightsurgeon.arrange import rearrange
from weightsurgeon.conventions import SUMS, side_of, sizes_of
from weightsurgeon.expr import array
from weightsurgeon.notation import Side, atoms


def count(*shape: int, start: int = 0) -> Any:
    return np.arange(start, start + int(np.prod(shape))).astype("f4").reshape(shape)


def names(side: Side) -> set[str]:
    return {a.name for a in (*side.over, *atoms(side.axes))}


def moved(row: str, here: str, there: str, *given: Any, **options: Any) -> Any:
    """What the tensors of a role are in another dialect: as lists, one for each tensor."""
    kind, role = row.split(".")
    tensors = [np.asarray(x, "f4") for x in given]
    have = side_of(kind, role, here, tensors[0].ndim, options)
    assert have is not None
    want = side_of(kind, role, there, None, options, have.axes)
    assert want is not None
    once = names(have) ^ names(want)
    sums = [SUMS[row]] if SUMS.get(row) in once else []
    places = list(product(*(range(len(a.letters)) for a in have.over)))
    cells = {place: array(x) for place, x in zip(places, tensors, strict=True)}
    found = rearrange(cells, have, want, sizes_of(kind, options), sums=sums).cells
    return [found[place].numpy().tolist() for place in sorted(found)]


ANSWERS: list[tuple[str, str, str, list[Any], list[Any], dict[str, Any]]] = [
    ("linear.kernel", "keras", "torch", [count(2, 3)], [[[0, 3], [1, 4], [2, 5]]], {}),
    ("linear.kernel", "keras", "onnx", [count(2, 3)], [count(2, 3).tolist()], {}),
    ("conv.kernel", "keras", "torch", [count(1, 2, 1, 2)], [[[[[0, 2]]], [[[1, 3]]]]], {}),
    (
        "depthwise.kernel", "keras", "torch", [count(1, 1, 2, 3)],
        [count(6, 1, 1, 1).tolist()], {"groups": 2},
    ),
    ("conv_transpose.kernel", "flax", "torch", [count(2, 1, 1)], [[[[1, 0]]]], {}),
    ("conv_transpose.kernel", "flax", "keras", [count(2, 1, 1)], [[[[1]], [[0]]]], {}),
    (
        "conv_transpose.kernel", "flax", "keras", [count(2, 1, 1)], [[[[0]], [[1]]]],
        {"transpose_kernel": True},
    ),
    ("gru.kernel", "keras", "torch", [[[1, 2, 3]]], [[[2], [1], [3]]], {}),
    ("gru.kernel", "keras", "onnx", [[[1, 2, 3]]], [[[[1], [2], [3]]]], {}),
    ("gru.kernel", "keras", "flax", [[[1, 2, 3]]], [[[2]], [[1]], [[3]]], {}),
    (
        "gru.bias", "keras", "torch", [[[1, 2, 3], [4, 5, 6]]], [[2, 1, 3], [5, 4, 6]], {},
    ),
    ("gru.bias", "keras", "onnx", [[[1, 2, 3], [4, 5, 6]]], [[[1, 2, 3, 4, 5, 6]]], {}),
    ("lstm.kernel", "keras", "torch", [[[1, 2, 3, 4]]], [[[1], [2], [3], [4]]], {}),
    ("lstm.kernel", "keras", "onnx", [[[1, 2, 3, 4]]], [[[[1], [4], [2], [3]]]], {}),
    ("lstm.kernel", "keras", "flax", [[[1, 2, 3, 4]]], [[[1]], [[2]], [[3]], [[4]]], {}),
    ("lstm.bias", "keras", "torch", [[1, 2, 3, 4]], [[1, 2, 3, 4], [0, 0, 0, 0]], {}),
    ("lstm.bias", "keras", "onnx", [[1, 2, 3, 4]], [[[1, 4, 2, 3, 0, 0, 0, 0]]], {}),
    (
        "lstm.bias", "torch", "keras", [[1, 2, 3, 4], [10, 20, 30, 40]], [[11, 22, 33, 44]], {},
    ),
    ("lstm.bias", "flax", "torch", [[1], [2], [3], [4]], [[1, 2, 3, 4], [0, 0, 0, 0]], {}),
    ("rnn.bias", "torch", "keras", [[1], [2]], [[3]], {}),
    ("rnn.kernel", "keras", "onnx", [count(2, 3)], [[[[0, 3], [1, 4], [2, 5]]]], {}),
    (
        "mha.qkv_kernel", "keras", "torch",
        [[[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]], [[[8, 9], [10, 11]]]],
        [count(12, 1).tolist()], {"heads": 2},
    ),
    ("mha.out_kernel", "keras", "torch", [count(2, 2, 1)], [[[0, 1, 2, 3]]], {"heads": 2}),
    (
        "gqa.key_kernel", "torch", "keras", [count(4, 1)], [[[[0, 1], [2, 3]]]], {"kv_heads": 2},
    ),
    (
        "linear.kernel", "keras", "torch", [count(4, 1)], [[[0, 2, 1, 3]]],
        {"flatten_from": [1, 2, 2]},
    ),
    ("conv.kernel", "keras", "flax", [count(1, 2, 1, 2)], [count(1, 2, 1, 2).tolist()], {}),
    ("conv.kernel", "keras", "onnx", [count(1, 2, 1, 2)], [[[[[0, 2]]], [[[1, 3]]]]], {}),
    (
        "depthwise.kernel", "keras", "flax", [count(1, 1, 2, 3)],
        [count(1, 1, 1, 6).tolist()], {"groups": 2},
    ),
    (
        "depthwise.kernel", "keras", "onnx", [count(1, 1, 2, 3)],
        [count(6, 1, 1, 1).tolist()], {"groups": 2},
    ),
    ("linear.kernel", "torch", "flax", [[[0, 3], [1, 4], [2, 5]]], [count(2, 3).tolist()], {}),
    (
        "linear.kernel", "keras", "onnx", [count(2, 3)], [[[0, 3], [1, 4], [2, 5]]],
        {"transposed": True},
    ),
    ("gru.recurrent_kernel", "keras", "onnx", [[[1, 2, 3]]], [[[[1], [2], [3]]]], {}),
    ("gru.recurrent_kernel", "torch", "flax", [[[2], [1], [3]]], [[[2]], [[1]], [[3]]], {}),
    (
        "lstm.recurrent_kernel", "torch", "onnx", [[[1], [2], [3], [4]]],
        [[[[1], [4], [2], [3]]]], {},
    ),
    ("lstm.bias", "keras", "flax", [[1, 2, 3, 4]], [[1], [2], [3], [4]], {}),
    ("rnn.kernel", "keras", "flax", [count(2, 3)], [count(2, 3).tolist()], {}),
    (
        "mha.qkv_kernel", "torch", "flax", [count(12, 1)],
        [[[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]], [[[8, 9], [10, 11]]]], {"heads": 2},
    ),
    ("mha.out_kernel", "flax", "torch", [count(2, 2, 1)], [[[0, 1, 2, 3]]], {"heads": 2}),
    ("embedding.output_embedding", "keras", "torch", [count(2, 3)], [count(2, 3).T.tolist()], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "here", "there", "given", "expected", "options"), ANSWERS,
    ids=[f"{row}-{here}-{there}-{i}" for i, (row, here, there, *_) in enumerate(ANSWERS)],
)  # fmt: skip
def test_a_role_lies_so_in_another_dialect(
    row: str, here: str, there: str, given: list[Any], expected: list[Any], options: dict[str, Any]
) -> None:
    found = moved(row, here, there, *given, **options)
    assert found == expected
    back = moved(row, there, here, *found, **options)
    if not (row in SUMS and here == "torch"):  # whose sum cannot be parted again
        assert back == [np.asarray(x).tolist() for x in given]


@pytest.mark.parametrize("there", ["torch", "flax"])
def test_no_row_lays_the_bias_of_a_gru_that_resets_before(there: str) -> None:
    options = {"reset_after": False}
    assert side_of("gru", "bias", "keras", 1, options) is not None
    assert side_of("gru", "bias", there, 1, options) is None
    assert moved("gru.bias", "keras", "onnx", [1, 2, 3], **options) == [[[1, 2, 3, 0, 0, 0]]]


def test_the_slopes_of_onnx_stand_before_the_places_of_a_map() -> None:
    axes = [side_of("prelu", "alpha", d, rank) for d, rank in (("keras", 3), ("onnx", 3))]
    assert [str(side.axes) for side in axes if side] == ["1 1 feature", "feature 1 1"]
    assert side_of("prelu", "alpha", "onnx", None) is None


def test_no_row_lays_the_bias_of_a_gru_in_flax() -> None:
    """It has one bias for r and z, the sum of both, and two for n: no one layout says that."""
    assert side_of("gru", "bias", "flax", None) is None
