"""A wave shares a pass; results depend on neither blocks nor workers; passes as often as asked."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import Array, Memory

from weightsurgeon import reducing
from weightsurgeon.errors import SpecError
from weightsurgeon.expr import Again, Block, Reduce, array
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.pending import reduction, reduction_over
from weightsurgeon.reducing import reduce

# the state tells how it came to be: the runs, in order, and where one span ends
RUNS = Reduce(
    "runs",
    lambda specs: None,
    list,
    lambda state, at, *values: [*state, (at, *(float(v.sum()) for v in values))],
    lambda state, later: [*state, "|", *later],
    lambda state: state,
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducing, "RUN_ELEMENTS", 4)
    monkeypatch.setattr(reducing, "SPAN_RUNS", 2)


def test_parts_are_one_long_tensor_cut_in_fixed_runs() -> None:
    parts = [[array(np.arange(10.0))], [array(np.zeros((0, 3)))], [array(np.ones((2, 3)))]]
    found = reduce({"x": reduction_over(RUNS, parts)})["x"]
    assert found == [(0, 6.0), (4, 22.0), "|", (8, 17.0), "|", (10, 4.0), (14, 2.0)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    workers=st.integers(1, 3),
    scratch=st.sampled_from([16, 300, 2**20]),
    slow=st.integers(0, 5),
)
def test_neither_workers_nor_memory_show(
    sizes: list[int], workers: int, scratch: int, slow: int
) -> None:
    tensors = {f"t{i}": np.arange(n, dtype="f8") + i for i, n in enumerate(sizes)}

    class Slow(Memory):
        def read(self, name: str, block: Block, out: Array | None = None) -> Array:
            time.sleep(0.0005 if name == f"t{slow}" else 0)
            return super().read(name, block, out)

    def wave(source: Memory) -> dict[str, Any]:
        x = Checkpoint(source, {}, None, "")
        each = {name: reduction(RUNS, x[name], x[name]) for name in x}
        return {**each, "all": reduction_over(RUNS, [(x[name],) for name in x])}

    expected = reduce(wave(Memory(tensors)), workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "SCRATCH_BYTES", scratch)
        assert reduce(wave(Slow(tensors)), workers=workers) == expected
    assert [sum(run[1] for run in expected[n] if run != "|") for n in tensors] == [
        float(values.sum()) for values in tensors.values()
    ]


def test_what_several_read_is_read_once() -> None:
    class Counted(Memory):
        reads = 0

        def read(self, name: str, block: Block, out: Array | None = None) -> Array:
            Counted.reads += 1
            return super().read(name, block, out)

    x = Checkpoint(Counted({n: np.ones((3, 2)) for n in "abc"}), {}, None, "")
    wave = {
        "a": reduction(RUNS, x["a"]),
        "b": reduction(RUNS, x["b"]),
        "ab": reduction(RUNS, x["a"], x["b"]),  # makes one group of the two
        "all": reduction_over(RUNS, [(x[n],) for n in "cba"]),
    }
    found = reduce(wave)
    assert Counted.reads == 3
    assert found["all"] == [(0, 4.0), (4, 2.0), "|", (6, 4.0), (10, 2.0), "|", (12, 4.0), (16, 2.0)]
    assert found["ab"] == [(0, 4.0, 4.0), (4, 2.0, 2.0)]


def test_as_many_passes_as_a_reduction_asks_for() -> None:
    def fold(state: list[float], at: int, values: Array) -> list[float]:
        return [state[0], state[1] + float(values[values > state[0]].sum())]

    def merge(state: list[float], later: list[float]) -> list[float]:
        return [state[0], state[1] + later[1]]

    def finish(state: list[float]) -> Any:
        return state[1] if state[0] else Again([state[1] / 20, 0.0])

    row = Reduce("above", lambda specs: None, lambda: [0, 0.0], fold, merge, finish)
    x = np.arange(20.0)
    wave = {"x": reduction(row, array(x)), "once": reduction(RUNS, array(x))}
    assert reduce(wave)["x"] == x[x > 9.5].sum()
    empty = Reduce("none", lambda specs: None, lambda: [1, 0.0], fold, merge, finish)
    assert reduce({"x": reduction(empty, array(np.zeros(0)))}) == {"x": 0.0}


def test_an_error_of_one_span_ends_it_all() -> None:
    def fold(state: Any, at: int, values: Array) -> Any:
        if at == 8:
            raise SpecError("no")
        return state

    row = Reduce("no", lambda specs: None, list, fold, lambda a, b: a, lambda state: state)
    with pytest.raises(SpecError, match="no"):
        reduce({"x": reduction(row, array(np.zeros(400)))})
