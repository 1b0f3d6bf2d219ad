"""Merges of one tensor: the known answers, and the bits of the definition in float64."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Array, blocks_of, noise, same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate, slices
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.mixing import mix
from weightsurgeon.ops.slerping import slerp
from weightsurgeon.random_bits import key_of

BF16 = ml_dtypes.bfloat16
FLOATS = ["float16", "bfloat16", "float32", "float64"]
D = Decimal


def mixed(*values: Any, weights: list[Any], base: Any = None, **how: Any) -> Array:
    start = None if base is None else array(np.asarray(base))
    return mix([array(np.asarray(v)) for v in values], weights, base=start, **how).numpy()


def finite(dtype: str, seed: int, size: int = 4096) -> Array:
    """Random bits without NaN and Inf, small enough for sums."""
    x = noise((size,), dtype, seed)
    with np.errstate(all="ignore"):
        wide = x.astype("f8")
    x[~(np.abs(wide) < np.sqrt(np.finfo("f4").max if dtype != "float16" else 1e8))] = 1
    return x


@pytest.mark.parametrize("dtype", FLOATS)
def test_50_equal_tensors_stay_what_they_are(dtype: str) -> None:
    x = finite(dtype, 1)
    weights = [D("0.1"), D("0.2"), D("0.7")]
    assert same(mixed(x, x, x, weights=weights, normalize=True), x)
    x[:3] = -0.0
    assert same(mixed(x, x, weights=[1, 1], normalize=True), x)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_mean_of_two_has_the_bits_of_float64(dtype: str, normalize: bool) -> None:
    a, b = finite(dtype, 1, 2**16), finite(dtype, 2, 2**16)
    x, y = a.astype("f8"), b.astype("f8")
    exact = x + 0.5 * (y - x) if normalize else 0.5 * x + 0.5 * y
    found = mixed(a, b, weights=[D("0.5"), D("0.5")], normalize=normalize)
    assert same(found, cast(array(exact), dtype).numpy())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("weights", [("0.3", "0.7"), ("0.1", "0.9"), ("1", "-0.25")])
def test_a_sum_is_that_of_float64_rounded_once(dtype: str, weights: tuple[str, str]) -> None:
    a, b = finite(dtype, 3), finite(dtype, 4)
    exact = float(weights[0]) * a.astype("f8") + float(weights[1]) * b.astype("f8")
    wanted = cast(array(exact), dtype, overflow="inf").numpy()
    assert same(mixed(a, b, weights=[D(w) for w in weights]), wanted)


def test_52_a_weight_of_0_is_a_value_and_a_sum_of_0_is_refused() -> None:
    assert mixed([1.0], [5.0], weights=[1, 0]).tolist() == [1.0]
    with pytest.raises(SpecError, match="sum to 0"):
        mixed([1.0], [2.0], weights=[1, -1], normalize=True)


def test_task_vectors_are_added_to_the_base() -> None:
    found = mixed([2.0, 1.0], [1.0, 4.0], weights=[1, 1], base=[1.0, 1.0], scale=D("0.5"))
    assert found.tolist() == [1.5, 2.5]
    found = mixed([2.0], [5.0], weights=[1, 3], base=[1.0], normalize=True)
    assert found.tolist() == [1 + 0.25 * 1 + 0.75 * 4]
    still = np.array([-0.0], "f4")
    assert same(mixed(still, weights=[1], base=still), still)


@pytest.mark.parametrize(
    ("deltas", "wanted"),
    [([1, -1], 1), ([1, 3, -2], 2), ([0, -2, 0], -2), ([0, 0], 0), ([-1, -3, 2], -2)],
)
def test_54_signs_are_elected(deltas: list[float], wanted: float) -> None:
    values = [np.array([float(d)]) for d in deltas]
    found = mixed(*values, weights=[1] * len(deltas), base=np.zeros(1), elect=True)
    assert found.tolist() == [wanted]


def test_55_what_dare_drops_is_the_seeds_and_right_on_average() -> None:
    n = 10**6
    x, zero = np.ones(n, "f4"), np.zeros(n, "f4")
    how: dict[str, Any] = {"density": D("0.3"), "keys": [key_of("dare:a", 7, 0, "w")]}
    found = mixed(x, weights=[1], base=zero, **how)
    assert set(np.unique(found).tolist()) == {0.0, float(np.float32(1 / 0.3))}
    sigma = np.sqrt(0.3 * 0.7 / n) / 0.3
    assert abs(found.astype("f8").mean() - 1) < 4 * sigma
    assert same(mixed(x, weights=[1], base=zero, density=1, keys=[5]), x)


@given(st.data(), st.sampled_from(["float32", "bfloat16"]))
def test_a_block_is_the_block_of_the_whole(data: st.DataObject, dtype: str) -> None:
    shape = data.draw(st.sampled_from([(), (7,), (3, 5), (2, 3, 4)]))
    size = int(np.prod(shape, dtype=int))
    a, b, c = (finite(dtype, i, size).reshape(shape) for i in (1, 2, 3))
    how: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"normalize": True}, {"base": array(c)},
                         {"base": array(c), "density": D("0.5"), "keys": [1, 2], "elect": True}])
    )  # fmt: skip
    x = mix([array(a), array(b)], [D("0.3"), D("0.6")], **how)
    block = data.draw(blocks_of(shape))
    where: Any = (*slices(block), ...)
    assert same(evaluate(x, block).copy(), x.numpy()[where].copy())


def test_66_a_merge_is_rounded_once_to_bfloat16() -> None:
    parts = [np.array([1 + 2**-8]), np.array([2**-40])]
    found = mixed(*parts, weights=[1, 1], dtype=array(np.zeros(1, BF16)).spec.dtype)
    assert found.tolist() == [1.0078125]


def test_what_cannot_be_merged_is_refused() -> None:
    with pytest.raises(SpecError, match="shapes must be equal"):
        mixed(np.ones(4), np.ones(1), weights=[1, 1])
    with pytest.raises(SpecError, match="never merged"):
        mixed(np.ones(4, int), weights=[1])
    with pytest.raises(SpecError, match=r"nan at \(1,\) in array is not finite"):
        mixed(np.array([1, np.nan]), weights=[1])
    with pytest.raises(SpecError, match=r"inf at \(0,\) in array is not finite"):
        mixed(np.array([np.inf], BF16), np.ones(1, BF16), weights=[D("0.5"), D("0.5")])
    with pytest.raises(SpecError, match="has no finite place in float16"):
        mixed(np.array([6e4], "f2"), weights=[2])


@pytest.mark.parametrize(
    ("a", "b", "t", "wanted"),
    [
        ([1, 0], [0, 1], "0.5", [0.70710678, 0.70710678]),
        ([2, 0], [0, 1], "0.25", [1.84775907, 0.38268343]),
        ([1, 0], [2, 0], "0.25", [1.25, 0]),  # one direction
        ([1, 0], [-1, 0], "0.25", [0.5, 0]),  # opposite ones
        ([0, 0], [0, 1], "0.25", [0, 0.25]),
        ([3], [5], "0.5", [4]),
    ],
)
def test_53_slerp(a: list[float], b: list[float], t: str, wanted: list[float]) -> None:
    x, y = np.array(a, "f8"), np.array(b, "f8")
    squares = [array(np.array(v)) for v in (x @ x, y @ y, x @ y)]
    found = slerp(array(x), array(y), squares, D(t)).numpy()
    assert found == pytest.approx(wanted, abs=1e-8)


def test_shares_are_exact() -> None:
    x = mix([array(np.ones(1))] * 3, [D("0.1")] * 3, normalize=True)
    assert x.params["weights"] == (float(Fraction(1, 3)),) * 3
