"""Narrowing by integers has the bits of the definition: nearest, half to even, once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from strategies import same

from weightsurgeon.packed import PIECE, narrowed, to_odd, widened, within

BF16 = ml_dtypes.bfloat16
HIGH = np.arange(2**16, dtype="u4") << 16


@pytest.mark.parametrize("low", [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_float32_to_bfloat16_is_that_of_ml_dtypes(low: int) -> None:
    for part in np.split(HIGH, len(HIGH) // PIECE):
        values = (part | np.uint32(low)).view("f4")
        out = np.empty(values.size, BF16)
        narrowed(values.copy(), out)
        number = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            expected = values.astype(BF16)
        assert same(out[number], expected[number])
        with np.errstate(invalid="ignore"):
            assert np.isnan(out[~number].astype("f4")).all()


@pytest.mark.parametrize("low", [0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF, 0x2000, 0x3000, 0xFFFF])
def test_float32_to_float16_is_that_of_numpy(low: int) -> None:
    for part in np.split(HIGH, len(HIGH) // PIECE):
        values = (part | np.uint32(low)).view("f4")
        values = values[np.abs(values) <= 65504]
        out = np.empty(values.size, "f2")
        narrowed(values.copy(), out, finite=True)
        assert same(out, values.astype("f2"))
    mixed = np.concatenate([np.linspace(-2, 2, 4000), np.linspace(-1e-5, 1e-5, 401)])
    values = (mixed + low * 2.0**-40).astype("f4")
    out = np.empty(values.size, "f2")
    narrowed(values.copy(), out, finite=True)
    assert same(out, values.astype("f2"))


def test_float64_to_bfloat16_is_rounded_once() -> None:
    x = np.array([1 + 2**-8 + 2**-40, 1 + 2**-8 - 2**-40, 1 + 2**-8, 1 + 3 * 2**-8])
    out = np.empty(4, BF16)
    narrowed(x.copy(), out)
    assert out.astype("f8").tolist() == [1.0078125, 1.0, 1.0, 1.015625]  # 66
    random = np.random.default_rng(0)
    middle = random.integers(0x3000, 0x5000, PIECE).astype("u4") << 16 | 0x8000
    off = random.choice([0, 2**-40, -(2**-40), 2**-30, -(2**-50)], PIECE)
    values = middle.view("f4").astype("f8") * (1 + off)
    out = np.empty(PIECE, BF16)
    narrowed(values.copy(), out)
    assert same(out, to_odd(values).astype(BF16))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("wide", ["f4", "f8"])
def test_wide_and_back_is_the_same_bits(dtype: str, wide: str) -> None:
    from weightsurgeon.spec import dtype_of

    to = dtype_of(dtype).numpy()
    words = np.arange(2 ** (8 * to.itemsize), dtype=f"u{to.itemsize}")
    for part in np.array_split(words, 3):
        values = part.view(to)
        with np.errstate(invalid="ignore"):
            values = values[~np.isnan(values.astype("f4"))]
        out = np.empty(values.size, to)
        narrowed(widened(values, wide, "x").copy(), out)
        assert same(out, values)


def test_what_lies_within() -> None:
    assert within(np.array([]), 1)
    assert within(np.array([-1.0, 1.0]), 1)
    assert not within(np.array([-1.0, np.nan]), np.inf)
    assert not within(np.array([-np.inf]), 1e300)
