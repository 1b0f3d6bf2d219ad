"""Quantised storage: known bytes, every split into blocks alike, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.ops.decoding import divided, nibbles, scaled_back

RANDOM = np.random.default_rng(0)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1), st.data())
def test_nibbles_are_what_was_packed_in_every_block(
    rows: int, columns: int, axis: int, data: st.DataObject
) -> None:
    shape = (rows, columns)
    q = RANDOM.integers(-8, 8, shape)
    both = np.pad(q, [(0, n % 2 if i == axis else 0) for i, n in enumerate(shape)])
    low, high = (np.take(both, np.arange(k, both.shape[axis], 2), axis) for k in (0, 1))
    packed = ((low & 15) | ((high & 15) << 4)).astype("u1").view("i1")
    x = nibbles(array(packed), axis, shape[axis])
    cuts = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    block = ((cuts[0][0], cuts[0][1]), (cuts[1][0], cuts[1][1]))
    found = evaluate(x, block)
    assert found.dtype == np.int8
    assert found.tolist() == q[slice(*block[0]), slice(*block[1])].tolist()


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_have_a_zero_and_a_scale(axis: int) -> None:
    q = RANDOM.integers(-8, 8, (6, 4)).astype("i1")
    index = np.arange(q.shape[axis]) // 3
    shape = [*q.shape]
    shape[axis] = 2
    scale = RANDOM.uniform(0.5, 1, shape).astype("f4")
    zero = RANDOM.integers(-8, 8, shape).astype("i1")
    blocks = array(index.astype("f4"))
    x = scaled_back(array(q), array(scale), array(zero), blocks, axis)
    wide = (np.take(v.astype("f8"), index, axis) for v in (scale, zero))
    s, z = wide
    expected = (q - z) * s
    assert evaluate(x, ((1, 5), (1, 3))).tolist() == expected[1:5, 1:3].tolist()
    assert x.numpy().tolist() == expected.tolist()


def test_a_scale_meets_every_entry_of_an_axis() -> None:
    q = np.array([[127, -2], [4, 8]], "i1")
    x = divided(array(q), array(np.array([[254, 2]], "f4")))
    assert x.numpy().tolist() == [[0.5, -1], [4 / 254, 4]]
    assert evaluate(x, ((1, 2), (0, 2))).tolist() == [[4 / 254, 4]]


def test_what_is_no_quantised_storage_is_refused() -> None:
    q, scale, zero = array(np.ones((2, 3), "i1")), array(np.ones((1, 3), "f4")), np.zeros((1, 3))
    with pytest.raises(SpecError, match="is no packed storage of 3 entries along axis 1"):
        nibbles(q, 1, 3)
    with pytest.raises(SpecError, match="is no packed storage"):
        nibbles(array(np.ones(2, "f4")), 0, 4)
    with pytest.raises(SpecError, match="is no scale of"):
        divided(q, array(np.ones((2, 2), "f4")))
    with pytest.raises(SpecError, match=r"divided: .* is no quantised storage"):
        divided(scale, scale)
    with pytest.raises(SpecError, match="no scale, zero and blocks of"):
        scaled_back(q, scale, array(zero), array(np.zeros(3, "f4")), 0)
    with pytest.raises(SpecError, match="2 values have a scale that is 0"):
        divided(q, array(np.array([[0, 1, 1]], "f4"))).numpy()
    beyond = array(np.array([0, 1], "f4"))
    with pytest.raises(SpecError, match="1 entries are in a block that is not there"):
        scaled_back(q, scale, array(zero.astype("i1")), beyond, 0).numpy()
