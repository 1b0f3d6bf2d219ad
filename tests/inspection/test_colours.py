"""Zero is white, the limits are the anchors, and no value breaks a picture."""

from __future__ import annotations

import numpy as np

from weightsurgeon.inspection.colours import around_grey, diverging, limit_of, rgb, spread


def test_the_anchors_of_the_diverging_scale() -> None:
    pixels = diverging([-2, -1, 0, 1, 2], limit=2)
    wanted = ["#0571b0", "#92c5de", "#f7f7f7", "#f4a582", "#ca0020"]
    assert pixels.tolist() == [list(rgb(c)) for c in wanted]


def test_beyond_the_limit_stays_the_limit_and_nothing_breaks() -> None:
    assert diverging([9.0], 1).tolist() == diverging([1.0], 1).tolist()
    assert diverging([np.nan, np.inf], 1).tolist() == [[0, 0, 0]] * 2
    assert diverging([0.0, 0.0], 0).tolist() == [list(rgb("#f7f7f7"))] * 2


def test_zero_is_mid_grey() -> None:
    assert around_grey([-1, 0, 1], 1).tolist() == [0, 128, 255]
    assert around_grey([0, 0], 0).tolist() == [128, 128]


def test_spread_reaches_both_ends() -> None:
    assert spread([3, 4, 5], 3, 5).tolist() == [0, 128, 255]
    assert spread([3, 3], 3, 3).tolist() == [128, 128]


def test_limits_are_of_finite_values() -> None:
    assert limit_of(np.array([np.nan, -3.0, np.inf, 2.0])) == 3
    assert limit_of(np.array([])) == 0
