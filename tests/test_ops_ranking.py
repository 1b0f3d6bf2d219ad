"""The k-th smallest is that of a stable sort, whatever a glance guesses, however little is held."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsurgeon import reducing
from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.ops import windows
from weightsurgeon.ops.keeping import kept
from weightsurgeon.ops.ranking import RANK, Amount
from weightsurgeon.pending import Reduction, reduction_over
from weightsurgeon.ranking import all_finite, keys
from weightsurgeon.reducing import reduce

Array = np.ndarray[Any, Any]
KIND = {"float32": "f4", "bfloat16": ml_dtypes.bfloat16, "float64": "f8", "hash": "u8"}


def ranking(parts: list[Array], kind: str, **amount: Any) -> Reduction:
    n = sum(x.size for x in parts)
    return reduction_over(RANK, [(array(x),) for x in parts], kind=kind, n=n, **amount)


def drawn(kind: str, shape: str, sizes: list[int], seed: int) -> list[Array]:
    """Tensors of one distribution, of another each, of few values, or of one."""
    dice = np.random.default_rng(seed)
    found = []
    for i, n in enumerate(sizes):
        if kind == "hash":
            values = dice.integers(0, 2**64 - 1 if shape != "few" else 5, n, "u8")
        elif shape == "few":
            values = dice.integers(-3, 4, n)
        else:
            values = dice.standard_normal(n) * (10.0 ** (3 * i) if shape == "apart" else 1)
        found.append(np.ones(n, KIND[kind]) if shape == "one" else values.astype(KIND[kind]))
    return found


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(KIND)),
    shape=st.sampled_from(["even", "apart", "few", "one"]),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    share=st.fractions(0, 1, max_denominator=50),
    small=st.sampled_from([0, 10, 10**6]),
    held=st.sampled_from([0, 30, 10**6]),
    bins=st.sampled_from([2, 16, 2**16]),
    workers=st.integers(1, 2),
)
def test_the_rank_is_that_of_a_stable_sort(
    kind: str, shape: str, sizes: list[int], seed: int, share: Any, small: int, held: int,
    bins: int, workers: int,
) -> None:  # fmt: skip
    parts = drawn(kind, shape, sizes, seed)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("SMALL", small), ("HELD", held), ("BINS", bins)):
            patch.setattr(windows, name, value)
        for name, value in (("RUN_ELEMENTS", 16), ("SPAN_RUNS", 2), ("GLANCED", 2)):
            patch.setattr(reducing, name, value)
        rank = reduce({"x": ranking(parts, kind, sparsity=str(share))}, workers=workers)["x"]
    found = np.concatenate([keys(x, kind) for x in parts])
    k = Amount(str(share)).of(found.size, 0)
    assert (rank.n, rank.k, rank.zeros) == (found.size, k, int((found == 0).sum()))
    flat = np.arange(found.size)
    gone = (found < rank.key) | ((found == rank.key) & (flat <= rank.last))
    expected = np.zeros(found.size, bool)
    expected[np.argsort(found, kind="stable")[:k]] = True
    assert (gone == expected).all()
    if 0 < k < found.size:
        assert rank.ties == int((found == rank.key).sum())
        assert rank.taken == k - int((found < rank.key).sum())


@pytest.mark.parametrize("small", [0, 10**6])
def test_what_is_not_finite_is_not_among_them(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SMALL", small)
    x = np.arange(100, dtype="f4")
    x[[3, 50]] = [np.nan, -np.inf]
    assert reduce({"x": ranking([x], "float32", count=98)})["x"].k == 98
    for amount in ({"count": 99}, {"sparsity": "1"}):
        text = f"{amount.get('count', 100)} are to be pruned, but only 98 of 100 values are finite"
        with pytest.raises(SpecError, match=text):
            reduce({"x": ranking([x], "float32", **amount)})


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_finite_is_finite(dtype: Any) -> None:
    x = np.array([0.0, -0.0, 1.5, -3], dtype)
    assert all_finite(x)
    assert all_finite(x[:0])
    for value in (np.nan, -np.nan):
        assert not all_finite(np.append(x, np.array([value], dtype)))
    if np.dtype(dtype).itemsize > 1:
        for value in (np.inf, -np.inf):
            assert not all_finite(np.append(x, np.array([value], dtype)))


def test_one_span_is_read_for_the_last_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 spans with ties: a pass over all, and the one span in which the quota ends."""
    for name, value in (("RUN_ELEMENTS", 16), ("SPAN_RUNS", 2)):
        monkeypatch.setattr(reducing, name, value)
    x, seen = np.tile(np.arange(8, dtype="f4"), 64), list[int]()
    rank = reduce({"x": ranking([x], "float32", count=100)}, seen.append)["x"]
    assert (rank.key, rank.ties, rank.taken) == (int(np.float32(1).view("u4")), 64, 36)
    assert rank.last == 35 * 8 + 1
    assert sum(seen) == x.nbytes + 32 * 4


def test_a_mask_has_the_shape_of_its_scores() -> None:
    for shape in ((), (1,), (2, 3)):
        x = array(np.ones(shape, "f4"))
        mask = kept(x, array(np.uint64(5)), array(np.int64(-1)), "float32")
        assert mask.numpy().shape == shape
