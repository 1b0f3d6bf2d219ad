"""Sums: float32 or wider, one rounding."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from strategies import same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.ops.addition import total


def test_narrow_floats_are_added_wide_and_rounded_once() -> None:
    x = [np.array([v], ml_dtypes.bfloat16) for v in (256.0, 1.0, 1.0)]
    assert total(*map(array, x)).numpy().tolist() == [258.0]  # step by step it would stay 256
    wide = [np.array([v]) for v in (1.0, 2.0**-50)]
    assert total(*map(array, wide)).numpy()[0] == 1.0 + 2.0**-50


def test_blocks_are_parts_of_the_whole() -> None:
    a, b = (np.arange(12, dtype="float32").reshape(3, 4) * n for n in (1, 2))
    x = total(array(a), array(b))
    assert same(x.numpy(), a + b)
    assert same(evaluate(x, ((1, 3), (0, 2))), (a + b)[1:, :2])


def test_what_cannot_be_added() -> None:
    with pytest.raises(SpecError, match="differ"):
        total(array(np.ones(2)), array(np.ones(3)))
    with pytest.raises(SpecError, match="only floats"):
        total(array(np.ones(2, "int8")))
    with pytest.raises(SpecError, match="nothing"):
        total()


def test_a_zero_changes_nothing() -> None:
    values = np.array([-0.0, 0.0, 1.5, np.inf], "float32")
    for zero in (0.0, -0.0):
        assert same(total(array(values), array(np.full(4, zero, "float32"))).numpy(), values)
    x = np.array([-0.0, 2.0], ml_dtypes.bfloat16)
    assert same(total(array(x), array(np.zeros_like(x))).numpy(), x)
