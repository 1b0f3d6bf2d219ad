"""Dtypes, shapes and the words for them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from weightsurgeon.errors import SpecError
from weightsurgeon.notation import parse
from weightsurgeon.spec import DTYPES, DType, TensorSpec, checked_shape, dtype_of


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_a_dtype_is_its_numpy_dtype(dtype: DType) -> None:
    assert dtype_of(dtype.name) is dtype_of(dtype) is dtype
    if dtype.bits < 8:
        for refused in (dtype.numpy, lambda: dtype.itemsize):
            with pytest.raises(SpecError, match=f"{dtype.name} is packed"):
                refused()
    else:
        assert dtype.numpy().itemsize == dtype.itemsize
        assert dtype.numpy().name == dtype.name
        assert dtype_of(dtype.numpy()) is dtype


def test_dtypes_of_numpy_are_found() -> None:
    assert dtype_of(np.dtype(">f4")).name == "float32"
    assert dtype_of(np.dtype(ml_dtypes.bfloat16)).name == "bfloat16"
    with pytest.raises(SpecError, match="unknown dtype <U3; known: float64"):
        dtype_of("<U3")


def test_bytes_of_a_tensor() -> None:
    assert TensorSpec(DTYPES["float32"], (2, 3)).nbytes == 24
    assert TensorSpec(DTYPES["float32"], ()).nbytes == 4
    assert TensorSpec(DTYPES["float32"], (0, 3)).nbytes == 0
    assert TensorSpec(DTYPES["float4_e2m1fn"], (3,)).nbytes == 2
    assert TensorSpec(DTYPES["float6_e2m3fn"], (4,)).nbytes == 3


def test_a_spec_in_words() -> None:
    spec = TensorSpec(DTYPES["float32"], (1, 6, 1), parse("kw (head dim) 1"))
    assert str(spec) == "float32 [kw=1 (head dim)=6 1=1]"
    assert str(spec._replace(axes=None)) == "float32 (1, 6, 1)"
    assert str(spec._replace(axes=parse("a"))) == "float32 (1, 6, 1)"
    assert repr(parse("(g:if unit) -kh")) == "Axes('(g:if unit) -kh')"


@pytest.mark.parametrize("dims", [[], [0], (2, 3), [1] * 64, [0, 2**58], [2**58]])
def test_shapes(dims: Any) -> None:
    assert checked_shape(dims) == tuple(dims)


@pytest.mark.parametrize(
    "dims",
    [None, 3, "3", {}, [-1], [True], [1.0], ["1"], [None], [1] * 65, [2**63], [2**40, 2**40],
     [0, 2**62, 2], [0, 2**60]],
    ids=str,
)  # fmt: skip
def test_no_shapes(dims: Any) -> None:
    with pytest.raises(SpecError, match=r"sizes|elements"):
        checked_shape(dims)


def test_every_checked_shape_can_be_held_by_numpy() -> None:
    assert np.empty(checked_shape([0, 2**58]), np.complex128).size == 0
