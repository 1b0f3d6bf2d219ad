"""The one reduction so far: how far two tensors are apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from weightsurgeon import reducing as engine
from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.ops.movement import permute
from weightsurgeon.ops.reduction import DIFFER, Difference
from weightsurgeon.pending import reduction

A = np.arange(35, dtype="f4").reshape(5, 7)


def differ(a: object, b: object) -> Difference:
    found: Difference = engine.reduce({"x": reduction(DIFFER, array(a), array(b))})["x"]
    return found


@pytest.mark.parametrize("run", [1, 10, 2**16])
def test_known_differences(run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RUN_ELEMENTS", run)
    monkeypatch.setattr(engine, "SCRATCH_BYTES", 8)
    assert differ(A, A) == Difference(0, None, 0.0, None)
    b = A.copy()
    b[1, 2], b[3, 3], b[4, 6] = 9.5, 21, 31
    assert differ(A, b) == Difference(3, 9, 3.0, 24)
    b[0, 1] = np.nan
    assert differ(A, b) == Difference(4, 1, math.inf, 1)
    assert differ(np.array([0.0]), np.array([-0.0])) == Difference(1, 0, 0.0, 0)
    assert differ(np.zeros((0, 3)), np.zeros((0, 3))) == Difference()
    assert differ(np.zeros(()), np.ones(())) == Difference(1, 0, 1.0, 0)


def test_the_place_is_counted_in_the_tensor_as_it_is_compared() -> None:
    b = A.T.copy()
    b[6, 0] += 1
    found = engine.reduce({"x": reduction(DIFFER, permute(array(A), (1, 0)), array(b))})["x"]
    assert found == Difference(1, 30, 1.0, 30)


def test_only_alike_tensors_are_compared() -> None:
    with pytest.raises(
        SpecError, match=r"cannot be compared: float32 \(5, 7\) and float32 \(7, 5\)"
    ):
        reduction(DIFFER, array(A), array(A.T))
    with pytest.raises(SpecError, match="cannot be compared"):
        reduction(DIFFER, array(A), array(A.astype("f8")))
