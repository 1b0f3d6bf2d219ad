"""a·x + b: judged by exact fractions, rounded once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.ops.affine import Factor, affine
from weightsurgeon.ops.arithmetic import cast

numbers = st.fractions(-1000, 1000, max_denominator=999)


def nearest(exact: Fraction, dtype: str) -> float:
    """The float32 or float16 nearest to an exact number, of two the even one."""
    bits = {"float32": 24, "float16": 11}[dtype]
    if not exact:
        return 0.0
    e = 0
    while abs(exact) * Fraction(2) ** -e >= 2**bits:
        e += 1
    while abs(exact) * Fraction(2) ** -e < 2 ** (bits - 1):
        e -= 1
    e = max(e, {"float32": -149, "float16": -24}[dtype])
    return float(round(exact * Fraction(2) ** -e) * Fraction(2) ** e)  # round() is half to even


@given(numbers.filter(bool), st.sampled_from(["float32", "float16"]), st.integers(0, 999))
def test_a_scaled_value_is_rounded_once(scale: Fraction, dtype: str, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0.5, 30, 50).astype(dtype)
    found = cast(affine(array(x), scale), dtype).numpy()
    assert found.tolist() == [nearest(Fraction(float(v)) * scale, dtype) for v in x]


@given(numbers, st.integers(0, 999))
def test_a_shifted_value_is_rounded_once(shift: Fraction, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-30, 30, 50).astype("float16")
    found = cast(affine(array(x), 1, shift), "float16").numpy()
    assert found.tolist() == [nearest(Fraction(float(v)) + shift, "float16") for v in x]


def test_a_third_and_back_is_within_one_rounding() -> None:
    x = np.linspace(-5, 5, 1001, dtype="float32")
    third = cast(affine(array(x), Fraction(1, 3)), "float32")
    back = cast(affine(third, 3), "float32").numpy()
    assert np.abs(back - x).max() <= np.spacing(np.float32(5))


def test_a_power_of_two_there_and_back_is_exact() -> None:
    x = np.random.default_rng(0).standard_normal(1000).astype("float32")
    half = cast(affine(array(x), Fraction(1, 2)), "float32")
    assert same(cast(affine(half, 2), "float32").numpy(), x)


@pytest.mark.parametrize(
    ("factor", "number"),
    [
        (Factor.root_of(64), 8.0),
        (Factor.root_of(64).inverse(), 0.125),
        (Factor.root_of(2), 2**0.5),
        (Factor.root_of(2).inverse(), 0.5**0.5),
        (Factor.of(Fraction(-1, 3)), -1 / 3),
        (Factor.of(Fraction(-1, 3)).inverse(), -3.0),
    ],
)
def test_a_factor_is_its_number(factor: Factor, number: float) -> None:
    assert float(factor) == number
    assert factor.inverse().inverse() == factor
    assert affine(array([1.0]), factor).numpy().tolist() == [number]


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8", "complex64"])
def test_what_is_no_float_is_never_computed_with(dtype: str) -> None:
    with pytest.raises(SpecError, match=rf"affine: {dtype} \(2,\) is copied or refused"):
        affine(array(np.zeros(2, dtype)), 2)


def test_what_becomes_infinite_is_refused_unless_allowed() -> None:
    x = array([1e308, np.inf])
    with pytest.raises(SpecError, match="1 finite values have no place in float64") as caught:
        affine(x, 10).numpy()
    assert caught.value.id == "nonfinite"
    assert affine(x, 10, overflow="inf").numpy().tolist() == [np.inf, np.inf]


def test_a_block_is_the_block_of_the_whole() -> None:
    x = affine(array(np.arange(12.0).reshape(3, 4)), 2, 1)
    assert evaluate(x, ((1, 3), (0, 2))).tolist() == x.numpy()[1:3, :2].tolist()
