"""Norms of slices and inner products, over runs of any length."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon import reducing as engine
from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.ops.norms import INNER, NORMS, slices_along
from weightsurgeon.pending import reduction

A = np.random.default_rng(0).standard_normal((5, 7, 3)).astype("f4")


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("run", [1, 8, 2**16])
def test_norms_of_slices(axis: int | None, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RUN_ELEMENTS", run)
    found = engine.reduce({"x": reduction(NORMS, array(A), **slices_along(A.shape, axis))})["x"]
    others = tuple(i for i in range(3) if i != axis)
    expected = np.sqrt((A.astype("f8") ** 2).sum(others if axis is not None else None))
    np.testing.assert_allclose(found.norms, np.atleast_1d(expected), rtol=1e-14)


@pytest.mark.parametrize("run", [1, 8, 2**16])
def test_inner_products(run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RUN_ELEMENTS", run)
    found = engine.reduce({"x": reduction(INNER, array(A), array(A + 1))})["x"]
    assert found.value == pytest.approx(float((A.astype("f8") * (A + 1).astype("f8")).sum()))
    with pytest.raises(SpecError, match="no inner product"):
        reduction(INNER, array(A), array(A[:1]))
    with pytest.raises(SpecError, match="never computed with"):
        reduction(NORMS, array(np.ones(3, "i4")), **slices_along((3,), None))
