"""Casts round once, to nearest even: judged by exact fractions, not by another cast."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from strategies import DENSE, FLOATS, Array, noise, same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.ops.arithmetic import cast, full, loses
from weightsurgeon.ops.movement import reshape
from weightsurgeon.spec import DTYPES, DType, dtype_of


def wide(values: Array) -> Array:
    """As float64; a signalling NaN may become a quiet one."""
    with np.errstate(invalid="ignore"):
        return values.astype("f8")


def table(dtype: DType) -> tuple[list[Fraction], list[int]]:
    """Every finite value ≥ 0 of a small float in order, and its bits."""
    words = np.arange(2 ** (dtype.bits - 1), dtype=f"u{dtype.itemsize}")
    values = wide(words.view(dtype.numpy()))
    pairs = [(Fraction(float(v)), int(w)) for v, w in zip(values, words, strict=True) if v < np.inf]
    return [p[0] for p in pairs], [p[1] for p in pairs]


class Oracle:
    """Rounds an exact number to the nearest value, of two to the one with even bits."""

    def __init__(self, dtype: DType) -> None:
        self.values, self.bits = table(dtype)
        top, below = self.values[-1], self.values[-2]
        self.beyond = top + (top - below) / 2  # from here on there is no finite place
        self.top_is_even = self.bits[-1] % 2 == 0
        self.floats = np.array([float(v) for v in self.values])

    def __call__(self, x: float) -> int | None:
        exact = abs(Fraction(x))
        if exact > self.beyond or (exact == self.beyond and not self.top_is_even):
            return None
        at = int(np.searchsorted(self.floats, abs(x)))
        near = range(max(0, at - 2), min(len(self.values), at + 2))
        return self.bits[min(near, key=lambda i: (abs(self.values[i] - exact), self.bits[i] % 2))]


def samples(oracle: Oracle, count: int) -> Array:
    """Values near the middle of two neighbours, and over the whole range."""
    random = np.random.default_rng(1)
    at = random.integers(0, len(oracle.floats) - 1, count)
    middles = (oracle.floats[at] + oracle.floats[at + 1]) / 2
    off = random.choice([0, 2**-52, -(2**-52), 2**-40, -(2**-40), 2**-25, -(2**-25)], count)
    spread = oracle.floats[at] * random.uniform(0.5, 1.5, count)
    values = np.concatenate([middles * (1 + off), spread])
    signed: Array = values * random.choice([1, -1], len(values))
    return signed


@pytest.mark.parametrize("target", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("source", ["float64", "float32"])
def test_a_cast_is_the_nearest_value(source: str, target: str) -> None:
    oracle = Oracle(dtype_of(target))
    with np.errstate(over="ignore"):
        values = samples(oracle, 5000).astype(source)
    values = values[np.isfinite(values)]
    with np.errstate(all="ignore"):
        expected = [oracle(float(x)) for x in values]
    held = np.array([x is not None for x in expected])
    assert held.sum() > 9000
    found = cast(array(values[held]), target).numpy()
    words = found.view(f"u{found.itemsize}")
    sign = np.signbit(values[held]).astype(words.dtype) << (8 * found.itemsize - 1)
    assert words.tolist() == [
        int(x) | int(s) for x, s in zip(np.array(expected)[held], sign, strict=True)
    ]
    for x in values[~held][:50]:
        with pytest.raises(SpecError, match=f"1 finite values have no place in {target}"):
            cast(array([x]), target).numpy()


KNOWN = 1 + 2**-8 + 2**-40


def test_a_cast_rounds_once() -> None:
    assert cast(array([KNOWN]), "bfloat16").numpy().tolist() == [1.0078125]
    assert cast(array([np.float32(KNOWN)]), "bfloat16").numpy().tolist() == [1.0]


def test_a_scalar_is_rounded_as_its_kin() -> None:
    for x in (array(KNOWN), reshape(array(KNOWN), ()), reshape(array([KNOWN]), ())):
        assert float(cast(x, "bfloat16").numpy()) == 1.0078125
        assert float(evaluate(cast(x, "bfloat16"))) == 1.0078125


@pytest.mark.parametrize(
    "target", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float32", "float16"]
)
@pytest.mark.parametrize("value", [1e39, -1e300, 3.5e38])
def test_what_has_no_finite_place_is_refused(target: str, value: float) -> None:
    if target == "float8_e4m3fn":
        assert np.isnan(cast(array([value]), target, "inf").numpy().astype("f4")).all()
    else:
        found = cast(array([1.0, value]), target, overflow="inf").numpy().astype("f8")
        assert found.tolist() == [1.0, np.copysign(np.inf, value)]
    with pytest.raises(SpecError, match="1 finite values have no place") as caught:
        cast(array([1.0, value]), target).numpy()
    assert caught.value.id == "nonfinite"


def test_what_is_not_finite_stays_so() -> None:
    x = array([np.inf, -np.inf, np.nan, -0.0, 1e-300])
    for target in ("float32", "bfloat16", "float16", "float8_e5m2"):
        found = cast(x, target).numpy().astype("f8")
        assert found[:2].tolist() == [np.inf, -np.inf]
        assert np.isnan(found[2])
        assert found[3:].tolist() == [0, 0]
        assert np.signbit(found[3])


@pytest.mark.parametrize(("a", "b"), list(product(FLOATS, FLOATS)), ids=str)
def test_a_cast_that_loses_nothing_leads_back(a: DType, b: DType) -> None:
    values = noise((4096,), a, 5)
    values = values[np.isfinite(wide(values))]
    there = cast(array(values), b, overflow="inf").numpy()
    back = cast(array(there), a, overflow="inf").numpy()
    if not loses(a, b):
        assert same(back, values)
    elif a.itemsize == 1:
        every = np.arange(256, dtype="u1").view(a.numpy())
        every = every[np.isfinite(wide(every))]
        there = cast(array(every), b, overflow="inf").numpy()
        assert not same(cast(array(there), a, overflow="inf").numpy(), every)
    else:
        assert not same(back, values)


def test_only_floats_are_cast() -> None:
    for a, b in (("int64", "float32"), ("float32", "int8"), ("bool", "float16"), ("int8", "int16"),
                 ("complex64", "complex128"), ("float32", "complex64")):  # fmt: skip
        with pytest.raises(SpecError, match="only floats are cast"):
            cast(array(noise((2,), a)), b)
        assert loses(DTYPES[a], DTYPES[b])
    with pytest.raises(SpecError, match="packed floats are copied"):
        cast(array([1.0]), "float4_e2m1fn")
    assert cast(array([1, 2]), "int64").numpy().tolist() == [1, 2]


@pytest.mark.parametrize("dtype", DENSE, ids=str)
def test_full_is_the_same_value_everywhere(dtype: DType) -> None:
    x = full((2, 3), dtype, 1)
    assert x.spec.dtype is dtype
    assert evaluate(x, ((0, 2), (1, 2))).astype("c16").tolist() == [[1], [1]]
    assert full((), dtype, 1).numpy().shape == ()


def test_full_refuses_what_it_cannot_hold() -> None:
    for dtype, value in (("int8", 200), ("uint8", -1), ("bool", 2), ("int32", 0.5)):
        with pytest.raises(SpecError, match=f"full: {value} is no {dtype}"):
            full((2,), dtype, value)
    with pytest.raises(SpecError, match="whole numbers from 0"):
        full((-1,), "int8")
    with pytest.raises(SpecError, match="is packed"):
        full((2,), "float4_e2m1fn")
