"""The fast paths against numpy's own copy, with thresholds so low that every path is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon import kernels
from weightsurgeon.errors import SpecError

Array = np.ndarray[Any, Any]

DTYPES = [
    np.dtype(name)
    for name in ("float32", "float16", "float64", "int8", "uint16", "int64", "bool", "complex64")
] + [
    np.dtype(np.complex128),
    np.dtype(ml_dtypes.bfloat16),
    np.dtype(ml_dtypes.float8_e4m3fn),
    np.dtype(ml_dtypes.float8_e5m2),
]


@pytest.fixture(scope="module", autouse=True)
def low_thresholds() -> Iterator[None]:
    """Blocks of a few items: what takes megabytes in earnest is met here with a few bytes."""
    low = {"PLAIN_BYTES": 1, "CLASH_BYTES": 1, "SIDE": 3, "RUN_BYTES": 16, "SCRATCH_BYTES": 192}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in low.items():
            patch.setattr(kernels, name, value)
        patch.setattr(kernels, "COMPARED_ITEMS", 8)
        yield


def noise(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0) -> Array:
    """Random bytes: for floats that is every kind of NaN, for bools 0 and 1."""
    data = np.random.default_rng(seed).bytes(prod(shape) * dtype.itemsize)
    array = np.frombuffer(bytearray(data), "u1")
    return (array & 1 if dtype.kind == "b" else array).view(dtype).reshape(shape)


def bits(array: Array) -> bytes:
    return array.tobytes()


@st.composite
def views(draw: st.DrawFn) -> Array:
    """Any strided view: axes in any order, reversed, with gaps, of size 0 and 1, broadcast."""
    rank = draw(st.integers(0, 5))
    sizes = st.integers(0, 9 if rank < 4 else 4)
    shape = tuple(draw(st.lists(sizes, min_size=rank, max_size=rank)))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, -1]), min_size=rank, max_size=rank))
    base = noise(tuple(n * abs(s) for n, s in zip(shape, steps, strict=True)), draw_dtype(draw))
    view: Array = base[tuple(slice(None, None, step) for step in steps)] if rank else base
    view = view.transpose(draw(st.permutations(range(rank))))
    if rank and draw(st.integers(0, 5)) == 0:
        axis = draw(st.integers(0, rank - 1))
        view = np.broadcast_to(view.take([0], axis), view.shape) if view.size else view
    return view


def draw_dtype(draw: st.DrawFn) -> np.dtype[Any]:
    return draw(st.sampled_from(DTYPES))


@given(views(), st.data())
def test_a_copy_is_numpys_copy_bit_for_bit(values: Array, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(values.ndim)))
    step = data.draw(st.sampled_from([1, 2, -1]))
    shape = [values.shape[axis] for axis in order]
    room = noise((*shape[:-1], shape[-1] * abs(step)) if shape else (), values.dtype, seed=1)
    around = room.copy()
    for target, copier in ((room, kernels.copy), (around, np.copyto)):
        view = target[..., ::step] if shape else target
        copier(view.transpose(np.argsort(order)), values)
    assert bits(room) == bits(around)  # what lies between the items is untouched as well


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(7, 11), (2, 9, 13), (9, 13, 2), (2, 5, 2, 7), (4, 1, 4, 4)])
def test_every_order_of_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    for order in permutations(range(len(shape))):
        values = noise(shape, dtype).transpose(order)
        out = np.empty(values.shape, dtype)
        kernels.copy(out, values)
        assert bits(out) == bits(values), order


def plan(out: Array, values: Array) -> kernels._Job | None:
    return kernels._plan(kernels._joined(out, values), values.itemsize)


SHAPES: dict[str, Any] = {
    "one copy": ((6, 7), (0, 1), None),
    "rows": ((6, 7, 8), (1, 0, 2), None),
    "dense": ((6, 7), (1, 0), ([], [], [])),
    "attention: (e h d) → (h d) e": ((6, 2, 5), (1, 2, 0), ([], [], [])),
    "conv: kh kw in out → out in kh kw": ((1, 2, 6, 7), (3, 2, 0, 1), ([], [2], [])),
    "and back": ((7, 6, 1, 2), (2, 3, 1, 0), ([], [], [2])),
    "a batch": ((2, 6, 7), (0, 2, 1), ([2], [], [])),
    "no long axis": ((2, 2, 2), (2, 1, 0), None),
}


@pytest.mark.parametrize(("shape", "order", "expected"), SHAPES.values(), ids=SHAPES)
def test_the_strides_alone_tell_what_a_copy_is(
    shape: tuple[int, ...], order: tuple[int, ...], expected: tuple[list[int], ...] | None
) -> None:
    values = np.zeros(shape, "f4").transpose(order)
    job = plan(np.empty(values.shape, "f4"), values)
    batches = job and tuple([axis.size for axis in batch] for batch in job[:3])
    assert batches == expected


def test_backward_axes_are_joined_as_forward_ones() -> None:
    values, out = np.zeros((4, 5, 6), "f4")[::-1, ::-1, ::-1], np.zeros((4, 5, 6), "f4")
    assert kernels._joined(out[::-1, ::-1, ::-1], values) == [kernels._Axis(120, -4, -4)]
    job = plan(out.transpose(2, 0, 1)[::-1], values.transpose(2, 0, 1).copy())
    assert job is not None
    assert job.down.size == 6


def test_broadcast_axes_are_neither_runs_nor_fetched() -> None:
    rows = np.broadcast_to(np.zeros(6, "f4"), (5, 6))
    assert plan(np.zeros((5, 6), "f4"), rows) is None  # numpy repeats rows at full speed
    values = np.broadcast_to(np.zeros((6, 7), "f4").T[:, None], (7, 5, 6))
    job = plan(np.zeros((7, 5, 6), "f4"), values)
    assert job is not None
    assert (job.across.size, job.under, job.outer) == (7, [], [kernels._Axis(5, 24, 0)])


def test_what_is_fetched_together_fits_the_scratch() -> None:
    values = np.zeros((7, 20, 2), "f4")
    job = plan(np.zeros((2, 20, 7), "f4"), values.T)
    assert job is not None
    assert job.block == (4, 192 // (4 * 2 * 4))
    assert plan(np.zeros((2, 2, 2, 2, 2, 20, 7), "f8"), np.zeros((7, 20, 2, 2, 2, 2, 2)).T) is None


def test_small_transpositions_are_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "PLAIN_BYTES", 4 * 200 * 200)
    monkeypatch.setattr(kernels, "CLASH_BYTES", 4 * 128 * 128)

    def by_blocks(*shape: int) -> bool:
        return plan(np.empty(shape[::-1], "f4"), np.zeros(shape, "f4").T) is not None

    assert by_blocks(200, 200)
    assert not by_blocks(200, 199)
    assert by_blocks(128, 128)  # 512 bytes a row
    assert not by_blocks(127, 128)


def test_scratch_rows_lie_an_odd_number_of_lines_apart_and_memory_is_reused() -> None:
    for columns in (1, 15, 16, 17, 31, 32, 33, 1008, 1024):
        down, across = kernels._Axis(8, 4, 4 * columns), kernels._Axis(columns, 32, 4)
        job = kernels._Job([], [], [], down, across, (8, columns))
        scratch = kernels._scratch(job, np.dtype("f4"))
        assert scratch.shape == (8, columns)
        assert scratch.strides[0] % 128 == 64
        assert columns * 4 <= scratch.strides[0] <= columns * 4 + 2 * 64
    assert np.shares_memory(scratch, kernels._scratch(job, np.dtype("f4")))


def test_a_huge_copy_keeps_a_small_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SCRATCH_BYTES", 2**19)
    monkeypatch.setattr(kernels, "RUN_BYTES", 512)
    for itemsize in (1, 2, 4, 8, 16):
        down, across = kernels._Axis(4096, itemsize, 2**20), kernels._Axis(2**20, 4096, itemsize)
        job = kernels._plan([across, down], itemsize)
        assert job is not None
        kernels._thread.__dict__.clear()
        kernels._scratch(job, np.dtype(f"V{itemsize}"))
        assert 0 < kernels._thread.memory.nbytes <= 2**20


def test_payloads_of_nans_survive() -> None:
    payloads = np.arange(49, dtype="u4").reshape(7, 7) | 0x7F800000  # signalling ones among them
    out = np.empty((7, 7), "f4")
    kernels.copy(out, payloads.view("f4").T)
    assert np.array_equal(out.view("u4"), payloads.T)


def test_overlapping_memory_is_as_if_copied_first() -> None:
    array = np.arange(35.0).reshape(5, 7)[:, :5]
    expected = array.T.copy()
    kernels.copy(array, array.T)
    assert np.array_equal(array, expected)


def memory_after_a_copy() -> Array:
    kernels.copy(np.empty((9, 9)), np.zeros((9, 9)).T)
    memory: Array = kernels._thread.memory
    return memory


def test_threads_do_not_share_a_scratch() -> None:
    arrays = [noise((37, 41, 3), np.dtype("f4"), seed) for seed in range(8)]

    def turned(array: Array) -> bool:
        out = np.empty(array.T.shape, array.dtype)
        for _ in range(20):
            out[...] = 0
            kernels.copy(out, array.T)
        return bits(out) == bits(array.T)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(turned, arrays))
        own, another = memory_after_a_copy(), pool.submit(memory_after_a_copy).result()
    assert own is memory_after_a_copy()
    assert own is not another


@pytest.mark.parametrize("kernel", [kernels.copy, kernels.differences])
def test_neither_casts_nor_reshapes(kernel: Any) -> None:
    ones = np.ones((2, 3), "f4")
    with pytest.raises(SpecError, match="float32 is not float64: cast first"):
        kernel(ones, ones.astype("f8"))
    with pytest.raises(SpecError, match="float32 is not >f4"):
        kernel(ones, ones.astype(">f4"))
    with pytest.raises(SpecError, match=r"shape \(2, 3\) is not \(3, 2\): reshape first"):
        kernel(ones, ones.T)
    with pytest.raises(SpecError, match="shape"):
        kernel(ones, ones[:1])


@given(views(), st.data())
def test_differences_are_those_of_the_bits(a: Array, data: st.DataObject) -> None:
    b = a.copy(order="C")
    raw = b.reshape(-1).view("u1").reshape(-1, b.itemsize)
    changed = data.draw(st.sets(st.integers(0, b.size - 1), max_size=5)) if b.size else set()
    raw[list(changed), 0] ^= 1
    found = kernels.differences(a, b)
    assert found[:2] == (len(changed), min(changed, default=None))
    assert found.largest == largest(a, b, changed)
    assert found.at in changed or not changed
    assert found.at is None or largest(a, b, {found.at}) == found.largest
    assert kernels.differences(b, a) == found


def largest(a: Array, b: Array, places: set[int]) -> float:
    kind: type = complex if a.dtype.kind == "c" else float
    with np.errstate(all="ignore"):
        values = [(kind(a.reshape(-1)[i]), kind(b.reshape(-1)[i])) for i in places]
        apart = [float(abs(np.subtract(x, y))) for x, y in values]
    return max((math.inf if math.isnan(x) else x for x in apart), default=0.0)


def test_differences_known_answers() -> None:
    a = np.array([1.0, 0.0, 3.0, -np.inf, np.nan], "f4")
    assert kernels.differences(a, a) == (0, None, 0.0, None)  # a NaN has the bits of itself
    assert kernels.differences(a, np.array([1, -0.0, 3, -np.inf, np.nan], "f4")) == (1, 1, 0, 1)
    assert kernels.differences(a, np.array([1.5, 0, 3, -np.inf, np.nan], "f4")) == (1, 0, 0.5, 0)
    assert kernels.differences(a, np.array([1, 0, 3, np.inf, np.nan], "f4")) == (1, 3, math.inf, 3)
    assert kernels.differences(a, np.array([1, 0, 3, -np.inf, 0], "f4")) == (1, 4, math.inf, 4)
    top = np.full(3, 3e38, ml_dtypes.bfloat16)
    assert 5.9e38 < kernels.differences(top, -top).largest < 6.1e38  # beyond float32


def test_differences_count_on_over_blocks() -> None:
    a = np.zeros((6, 50), "i2")
    b = a.copy()
    b[2, 3], b[5, 49], b[4, 0] = 7, -9, 1
    assert kernels.differences(a, b) == (3, 103, 9.0, 299)
    assert kernels.differences(a.T, b.T) == (3, 4, 9.0, 299)
