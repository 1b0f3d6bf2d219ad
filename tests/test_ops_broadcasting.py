"""Products and quotients where one side has size 1."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.ops.broadcasting import product, quotient

A = np.arange(1, 25, dtype="f4").reshape(2, 3, 4)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 1), (1, 1, 1), (2, 1, 4)])
def test_values_are_those_of_numpy(shape: tuple[int, ...]) -> None:
    b = (np.arange(np.prod(shape)) + 1).astype("f4").reshape(shape)
    for op, expected in ((product, np.multiply), (quotient, np.divide)):
        x = op(array(A), array(b))
        whole = expected(A.astype("f8"), b.astype("f8"))
        np.testing.assert_array_equal(x.numpy(), whole)
        block = ((1, 2), (0, 2), (3, 4))
        np.testing.assert_array_equal(evaluate(x, block), whole[1:2, 0:2, 3:4])


def test_the_larger_size_wins_on_either_side() -> None:
    assert product(array(A[:, :1]), array(A[:1])).spec.shape == (2, 3, 4)


@pytest.mark.parametrize(
    "b", [np.ones((2, 3), "f4"), np.ones((2, 3, 2), "f4"), np.ones((2, 3, 4), "i4")]
)
def test_others_are_refused(b: object) -> None:
    with pytest.raises(SpecError):
        product(array(A), array(b))


def test_a_division_by_nothing_is_refused() -> None:
    zero = np.zeros((1, 1, 1), "f4")
    with pytest.raises(SpecError, match="24 finite values are divided by 0"):
        quotient(array(A), array(zero)).numpy()
    nan = quotient(array(np.full((1,), np.nan, "f4")), array(np.zeros(1, "f4"))).numpy()
    assert np.isnan(nan).all()
