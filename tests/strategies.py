"""What the laws draw from: arrays of any dtype and bits, blocks, and chains of movements.

A chain comes with its values as plain numpy computes them, so that a law compares two answers
that share no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weightsurgeon.expr import Block, Expr, array
from weightsurgeon.formats.base import Source
from weightsurgeon.ops.movement import concat, crop, permute, reshape, take
from weightsurgeon.spec import DTYPES, DType, TensorSpec, dtype_of

Array = np.ndarray[Any, Any]

DENSE = [dtype for dtype in DTYPES.values() if dtype.bits >= 8]
FLOATS = [dtype for dtype in DENSE if dtype.kind == "float" and "fnuz" not in dtype.name][:6]

dtypes = st.sampled_from(DENSE)
shapes = st.lists(st.sampled_from([0, 1, 1, 2, 2, 3, 4, 5]), max_size=4).map(tuple)
filled_shapes = st.lists(st.sampled_from([1, 2, 2, 3, 4, 6]), max_size=4).map(tuple)


def noise(shape: tuple[int, ...], dtype: DType | str, seed: int = 0) -> Array:
    """Random bits: every kind of NaN, both zeros, subnormals; 0 and 1 for bools."""
    dtype = dtype_of(dtype)
    raw = np.random.default_rng(seed).bytes(prod(shape) * dtype.itemsize)
    words = np.frombuffer(bytearray(raw), np.uint8)
    return (words & 1 if dtype.kind == "bool" else words).view(dtype.numpy()).reshape(shape)


def same(a: Array, b: Array) -> bool:
    """Equal in dtype, shape and every bit."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@st.composite
def arrays(draw: st.DrawFn, shape: st.SearchStrategy[tuple[int, ...]] = shapes) -> Array:
    """An array of any dtype and any bits."""
    return noise(draw(shape), draw(dtypes), draw(st.integers(0, 99)))


@st.composite
def blocks_of(draw: st.DrawFn, shape: tuple[int, ...]) -> Block:
    """Any block of a tensor of this shape, empty ones and all of it among them."""
    ranges = (draw(st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted)) for n in shape)
    return tuple((lo, hi) for lo, hi in ranges)


class Case(NamedTuple):
    """An expression and the values that it should have."""

    expr: Expr
    values: Array


@st.composite
def bijections(draw: st.DrawFn, start: Case, steps: int = 4) -> Case:
    """A chain of movements that can be undone, over a given start."""
    case = start
    for _ in range(draw(st.integers(0, steps))):
        case = draw(st.sampled_from([_reshaped, _permuted, _shuffled]))(draw, case)
    return case


@st.composite
def chains(draw: st.DrawFn, steps: int = 5) -> Case:
    """Any movements of any array, each of any block of the one before."""
    values = draw(arrays())
    case = Case(array(values), values)
    moves = [_reshaped, _permuted, _shuffled, _picked, _cropped, _joined, _parted]
    for _ in range(draw(st.integers(0, steps))):
        case = draw(st.sampled_from(moves))(draw, case)
    return case


def _reshaped(draw: st.DrawFn, case: Case) -> Case:
    shape = draw(shapes_of(case.values.size))
    return Case(reshape(case.expr, shape), case.values.reshape(shape))


@st.composite
def shapes_of(draw: st.DrawFn, size: int) -> tuple[int, ...]:
    """A shape of so many elements."""
    if not size:
        return (*draw(filled_shapes)[:2], 0, *draw(filled_shapes)[:1])
    factors = [p for p in (2, 2, 2, 2, 3, 3, 3, 5, 5, 5) if size % p == 0]
    shape = list[int]()
    while size > 1 and draw(st.booleans()):
        factor = draw(st.sampled_from([size, *factors]))
        if size % factor == 0:
            shape.append(factor)
            size //= factor
    if size > 1:
        shape.append(size)
    ones = draw(st.integers(0, 2))
    return tuple(draw(st.permutations([*shape, *[1] * ones])))


def _permuted(draw: st.DrawFn, case: Case) -> Case:
    order = tuple(draw(st.permutations(range(case.values.ndim))))
    return Case(permute(case.expr, order), case.values.transpose(order))


def _axis(draw: st.DrawFn, case: Case) -> int | None:
    return draw(st.integers(0, case.values.ndim - 1)) if case.values.ndim else None


def _taken(case: Case, axis: int, indices: list[int]) -> Case:
    values = case.values.take(np.array(indices, int), axis)
    return Case(take(case.expr, axis, indices), values)


def _shuffled(draw: st.DrawFn, case: Case) -> Case:
    axis = _axis(draw, case)
    if axis is None:
        return case
    return _taken(case, axis, draw(st.permutations(range(case.values.shape[axis]))))


def _picked(draw: st.DrawFn, case: Case) -> Case:
    axis = _axis(draw, case)
    if axis is None:
        return case
    entry = st.integers(0, max(0, case.values.shape[axis] - 1))
    most = 6 if case.values.shape[axis] and case.values.size < 500 else 0
    return _taken(case, axis, draw(st.lists(entry, max_size=most)))


def _cropped(draw: st.DrawFn, case: Case) -> Case:
    axis = _axis(draw, case)
    if axis is None:
        return case
    lo, hi = sorted(draw(st.tuples(*[st.integers(0, case.values.shape[axis])] * 2)))
    index = (slice(None),) * axis + (slice(lo, hi),)
    return Case(crop(case.expr, axis, lo, hi), case.values[index])


def _joined(draw: st.DrawFn, case: Case) -> Case:
    """The tensor between others, itself, and parts of itself."""
    axis = _axis(draw, case)
    if axis is None or case.values.size > 500:
        return case
    other = noise(case.values.shape, dtype_of(case.values.dtype), 7)
    parts = draw(st.permutations([case, case, Case(array(other), other), _cut(draw, case, axis)]))
    parts = parts[: draw(st.integers(1, 4))]
    values = np.concatenate([p.values for p in parts], axis)
    return Case(concat([p.expr for p in parts], axis), values)


def _cut(draw: st.DrawFn, case: Case, axis: int) -> Case:
    at = draw(st.integers(0, case.values.shape[axis]))
    return Case(crop(case.expr, axis, 0, at), case.values[(slice(None),) * axis + (slice(0, at),)])


def _parted(draw: st.DrawFn, case: Case) -> Case:
    """Cut apart and joined again: what fusing and splitting leave behind."""
    axis = _axis(draw, case)
    if axis is None:
        return case
    n = case.values.shape[axis]
    at = draw(st.integers(0, n))
    return Case(
        concat([crop(case.expr, axis, 0, at), crop(case.expr, axis, at, n)], axis), case.values
    )


class Memory(Source):
    """Arrays as a checkpoint: a source without extents, of which every block is computed."""

    def __init__(self, tensors: Mapping[str, Any], **about: Any) -> None:
        self.arrays = {name: np.asarray(values) for name, values in tensors.items()}
        specs = {n: TensorSpec(dtype_of(x.dtype), x.shape) for n, x in self.arrays.items()}
        super().__init__("memory", "memory", specs=specs, **about)

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """The block as a file would give it."""
        where: tuple[Any, ...] = (*(slice(lo, hi) for lo, hi in block), ...)
        part: Array = self.arrays[name][where]
        if out is None:
            return part.copy(order="C")
        assert out.flags.c_contiguous  # what every source may rely on
        out[...] = part
        return out
