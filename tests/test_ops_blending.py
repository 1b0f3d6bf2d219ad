"""Soft updates of one tensor: the known answers, judged by exact fractions and by float64."""

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
from weightsurgeon.ops.blending import fractions, lerp, unrounded
from weightsurgeon.ops.movement import permute
from weightsurgeon.random_bits import key_of
from weightsurgeon.tally import Tally

BF16 = ml_dtypes.bfloat16
SMALL = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
TAUS = ["0.005", "0.1", "0.4999", "0.5", "0.9", "0.999"]


def at(values: Array, block: Any) -> Array:
    """A block of an array, 0-d ones too."""
    where: Any = (*slices(block), ...)
    found: Array = values[where].copy()
    return found


def update(target: Any, online: Any, tau: str, **how: Any) -> Array:
    return lerp(array(target), array(online), Decimal(tau), **how).numpy()


def some(dtype: Any, seed: int, size: int = 999) -> Array:
    return np.random.default_rng(seed).normal(size=size).astype(dtype)


class Forbidden:
    """A side that must not be read."""

    def read(self, name: str, block: Any, out: Any = None) -> Any:
        raise AssertionError("read")


def test_32_33_at_the_ends_of_the_way_one_side_is_not_read() -> None:
    from weightsurgeon.expr import leaf

    x = np.array([1.5, np.nan, -0.0, np.inf], BF16)
    unread = leaf(Forbidden(), "unread", array(x).spec)
    assert same(lerp(array(x), unread, Decimal(0)).numpy(), x)
    assert same(lerp(unread, array(x), Decimal(1)).numpy(), x)
    wide = leaf(Forbidden(), "unread", array(x.astype("f4")).spec)
    assert same(lerp(wide, array(x), Decimal(1)).numpy(), x.astype("f4"))


def test_34_the_nearest_float_and_within_an_ulp() -> None:
    assert update(np.ones(1, "f4"), np.full(1, 2, "f4"), "0.005")[0] == 1.0049999952316284
    for tau in ("0.005", "0.1", "0.5", "0.9"):
        t, s = some("f4", 1, 20_000), some("f4", 2, 20_000)
        exact = t.astype("f8") + float(tau) * (s.astype("f8") - t)
        ulp = np.spacing(np.maximum(np.abs(t), np.abs(s)))
        assert (np.abs(update(t, s, tau) - exact) <= ulp).all()


@given(st.sampled_from(TAUS), st.sampled_from([*SMALL, "float32", "float64", "complex64"]),
       st.integers(0, 9))  # fmt: skip
def test_35_equal_bits_stay_equal(tau: str, dtype: str, seed: int) -> None:
    x = noise((40,), dtype, seed)
    for _ in range(3):
        y = update(x, x, tau, nonfinite="propagate")
        assert same(y, x)


def test_37_a_step_under_half_an_ulp_is_lost_and_counted() -> None:
    x, one = np.ones(4096, BF16), np.full(4096, 2, BF16)
    tally = Tally()
    assert same(update(x, one, "0.001", tally=tally), x)
    assert tally.counts == {"changed": 0, "stalled": 4096}
    wide = np.ones(1, "f4")
    for step in range(3000):
        key = key_of("round", 7, step, "w")
        x = update(x, one, "0.001", key=key)
        wide = update(wide, one[:1], "0.001")
    assert abs(float(x.astype("f8").mean()) - 1.950) < 0.01
    assert abs(float(wide[0]) - 1.95029) < 1e-4


@pytest.mark.parametrize("dtype", SMALL)
def test_what_is_rounded_at_random_is_right_on_average_and_never_far(dtype: str) -> None:
    t, s = some(dtype, 1, 200), some(dtype, 2, 200)
    wide = lerp(array(t), array(s), Decimal("0.3"), dtype="float32").numpy().astype("f8")
    near = [update(t, s, "0.3", key=key_of("round", 1, i, "w")).astype("f8") for i in range(600)]
    finfo: Any = ml_dtypes.finfo
    digits = int(-np.log2(float(finfo(t.dtype).eps)))
    least = int(np.log2(float(finfo(t.dtype).tiny)))
    gap = 2.0 ** (np.maximum(np.floor(np.log2(np.abs(wide))), least) - digits)
    assert (np.abs(np.array(near) - wide) < gap).all()
    up = np.abs(wide) / gap % 1  # the chance that the magnitude is rounded up
    sigma = gap * np.sqrt(up * (1 - up) / 600)
    assert (np.abs(np.mean(near, 0) - wide) <= 6 * sigma + gap * 12 / 600).all()


def test_38_many_updates_at_once() -> None:
    x = np.array([1.0])
    assert update(x, [2.0], "0.005", steps=600)[0] == pytest.approx(1.950586177890, abs=1e-12)
    y = 1.0
    for _ in range(600):
        y += 0.005 * (2 - y)
    assert update(x, [2.0], "0.005", steps=600)[0] == pytest.approx(y, abs=1e-12)
    assert same(update(x, [np.nan], "0.005", steps=0), x)
    assert fractions(Decimal("1e-12"))[0] == 1e-12
    assert fractions(Decimal(1), 5) == (1.0, 0.0)


def test_39_dtypes_meet_and_are_rounded_once() -> None:
    t, s = some("f4", 1), some(BF16, 2)
    assert same(update(t, s, "0.25"), update(t, s.astype("f4"), "0.25"))
    back = update(s, t, "0.25")
    exact = update(s.astype("f4"), t, "0.25")
    assert same(back, cast(array(exact), "bfloat16").numpy())


def test_48_the_difference_may_be_larger_than_the_dtype() -> None:
    big = np.array([60000], "f2")
    assert update(big, -big, "0.5")[0] == 0
    top = np.finfo("f4").max
    for t, s, tau in ((top, -top, "0.25"), (-top, top, "0.75")):
        found = update(np.array([t]), np.array([s]), tau)[0]
        assert found == np.float32(0.5 * top)
    most = np.finfo("f8").max
    assert np.isfinite(update([most], [-most], "0.3")).all()


def test_49_complex_numbers_move_part_by_part() -> None:
    t, s = some("c8", 1), some("c8", 2) * 1j
    found = update(t, s, "0.3")
    assert same(found.real.copy(), update(t.real.copy(), s.real.copy(), "0.3"))
    assert same(found.imag.copy(), update(t.imag.copy(), s.imag.copy(), "0.3"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["target", "online"])
def test_what_is_not_finite_is_refused_with_its_place(value: float, side: str) -> None:
    x, y = np.ones((3, 4), BF16), np.ones((3, 4), BF16) * 2
    (x if side == "target" else y)[1, 2] = value
    with pytest.raises(SpecError, match=r"at \(1, 2\) in array is not finite") as caught:
        update(x, y, "0.5")
    assert caught.value.id == "nonfinite"
    assert update(x, y, "0.5", nonfinite="propagate").shape == (3, 4)


def test_what_has_no_place_in_the_dtype_is_refused() -> None:
    with pytest.raises(SpecError, match="has no finite place in float16"):
        update(np.ones(3, "f2"), np.full(3, 1e6, "f4"), "0.5")


@pytest.mark.parametrize(
    ("t", "s", "text"),
    [
        (np.ones(4), np.ones(1), "shapes must be equal"),  # 45
        (np.ones(4), np.ones((4, 1)), "shapes must be equal"),
        (np.ones(4, int), np.ones(4, int), "integers and bools are copied or kept"),
        (np.ones(4, bool), np.ones(4), "integers and bools are copied or kept"),
        (np.ones(4, "c8"), np.ones(4, "f4"), "one is complex"),
    ],
)
def test_45_what_cannot_be_interpolated_is_refused_at_once(t: Any, s: Any, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        lerp(array(t), array(s), Decimal("0.5"))


@given(st.data(), st.sampled_from(["float32", "bfloat16"]), st.booleans())
def test_a_block_is_the_block_of_the_whole(data: st.DataObject, dtype: str, random: bool) -> None:
    shape = data.draw(st.sampled_from([(), (7,), (3, 5), (2, 3, 4)]))
    t, s = noise(shape, dtype, 1), noise(shape, dtype, 2)
    key = 99 if random else None
    x = lerp(array(t), array(s), Decimal("0.3"), key=key, nonfinite="propagate")
    block = data.draw(blocks_of(shape))
    assert same(evaluate(x, block).copy(), at(x.numpy(), block))
    assert same(array(t).numpy(), t)  # what is given is never written to


@pytest.mark.parametrize("dtype", SMALL)
def test_narrow_results_are_the_nearest_of_the_wide_ones(dtype: str) -> None:
    t, s = some(dtype, 3), some(dtype, 4)
    x = lerp(array(t), array(s), Decimal("0.1"))
    wide = unrounded(x)
    assert wide.spec.dtype.name == "float32"
    assert same(cast(wide, dtype).numpy(), x.numpy())
    turned = unrounded(permute(lerp(array(t[None]), array(s[None]), Decimal("0.1")), (1, 0)))
    assert same(turned.numpy()[:, 0].copy(), wide.numpy())
    assert unrounded(array(t)).spec.dtype.name == dtype


def test_tau_is_held_in_float64_and_its_rest_comes_from_the_decimal() -> None:
    assert fractions(1 - Decimal("0.995")) == (0.005, 0.995)  # 36
    tau, rest = fractions(Decimal("0.1"), 7)
    assert rest == pytest.approx(float(Fraction(9, 10) ** 7), rel=1e-15)
    assert tau == pytest.approx(float(1 - Fraction(9, 10) ** 7), rel=1e-15)
