"""Padding and pasting: movement, so every bit of every dtype comes through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Array, arrays, noise, same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.ops.movement import crop
from weightsurgeon.ops.placing import pad, paste
from weightsurgeon.spec import dtype_of


@given(arrays(), st.data())
def test_a_crop_of_a_pad_is_the_tensor(x: Array, data: st.DataObject) -> None:
    if not x.ndim or x.dtype == "float8_e8m0fnu":
        return
    axis = data.draw(st.integers(0, x.ndim - 1))
    at, more = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    n = x.shape[axis]
    grown = pad(array(x), axis, at, at + n + more)
    values = grown.numpy()
    around = np.delete(values, np.s_[at : at + n], axis)
    assert not around.view("u1" if around.size and around.ndim else around.dtype).any()
    assert same(crop(grown, axis, at, at + n).numpy(), x)


@given(arrays(), st.data())
def test_what_is_pasted_is_there_and_the_rest_is_the_target_s(
    x: Array, data: st.DataObject
) -> None:
    if not x.ndim:
        return
    axis = data.draw(st.integers(0, x.ndim - 1))
    at, n = data.draw(st.integers(0, 3)), x.shape[axis]
    shape = (*x.shape[:axis], at + n + data.draw(st.integers(0, 3)), *x.shape[axis + 1 :])
    target = noise(shape, dtype_of(x.dtype), 5)
    expected = target.copy()
    expected[(slice(None),) * axis + (slice(at, at + n),)] = x
    assert same(paste(array(target), array(x), axis, at).numpy(), expected)


def test_a_pad_may_be_filled_with_what_is_given() -> None:
    x = array([[1, 2], [3, 4]])
    assert pad(x, 0, 1, 4, array([[8, 9]])).numpy().tolist() == [[8, 9], [1, 2], [3, 4], [8, 9]]


def test_a_dtype_without_a_zero_is_not_padded_with_it() -> None:
    with pytest.raises(SpecError, match="float8_e8m0fnu has no zero"):
        pad(array(np.ones(2, "float8_e8m0fnu")), 0, 0, 3)


def test_what_does_not_lie_in_it_is_refused() -> None:
    with pytest.raises(SpecError, match=r"pad: int64 \(2,\) at 3 does not lie in 4 entries"):
        pad(array([1, 2]), 0, 3, 4)
    with pytest.raises(SpecError, match=r"paste: int64 \(2,\) at 1 does not lie in axis 0"):
        paste(array([1, 2]), array([1, 2]), 0, 1)
