"""The fast paths that ops call: moving items between layouts, and comparing bits.

A copy between two layouts is, once axes that stay neighbours are joined, a batch of
transpositions. They go block by block through a small scratch that stays in the cache and whose
rows lie an odd number of cache lines apart: rows a power of two apart would all fall into the
same few cache sets (there numpy's own copy is six to forty times slower than memcpy).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SpecError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Measured with 1 MiB of L2 cache: see benchmarks/kernels.py.
PLAIN_BYTES = 2**22  # a smaller transposition is as fast in numpy's own copy …
CLASH_BYTES = 2**19  # … unless its rows fall into the same cache sets
SIDE = 32  # a shorter axis does not pay for a transposition of its own
RUN_BYTES = 512  # what is written to one row of the destination at a time
SCRATCH_BYTES = 2**19
LINE = 64  # bytes of a cache line
CLASH = 512  # rows a multiple of this apart share few cache sets
COMPARED_ITEMS = 2**16

_WORDS = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}
_thread = threading.local()


def copy(out: Array, values: Array) -> None:
    """Copy `values` into `out`, bit for bit, whatever the strides of either.

    Memory: a scratch of about SCRATCH_BYTES a thread, which is kept.
    Errors: SpecError if dtypes or shapes differ: casting is an op, and reshape is never implied.
    """
    import numpy as np

    _check_alike(out, values)
    out, values = _words(out), _words(values)
    job = None
    if values.nbytes >= CLASH_BYTES and not np.may_share_memory(out, values):
        job = _plan(_joined(out, values), values.itemsize)
    if job is None:
        np.copyto(out, values)  # which looks after an overlap
    else:
        _transpose(job, out, values)


def _check_alike(a: Array, b: Array) -> None:
    if a.dtype != b.dtype:
        raise SpecError(f"{a.dtype} is not {b.dtype}: cast first")
    if a.shape != b.shape:
        raise SpecError(f"shape {a.shape} is not {b.shape}: reshape first")


def _words(array: Array) -> Array:
    """The items as unsigned words: numpy has no fast loops for the dtypes of ml_dtypes."""
    word = _WORDS.get(array.itemsize)
    return array.view(word) if word else array


# -- what a copy is --------------------------------------------------------------------------


class _Axis(NamedTuple):
    size: int
    out: int  # strides, in bytes
    values: int


class _Job(NamedTuple):
    """A batch of transpositions, `down` (in runs of `out`) by `across` (in runs of `values`).

    outer   batch axes around it all
    around  batch axes finer than `down` in `out`: looped over within a block, while its
            destination is in the cache
    under   batch axes finer than `across` in `values`: fetched together with a block
    block   how much of `down` and of `across` is done at a time
    """

    outer: list[_Axis]
    around: list[_Axis]
    under: list[_Axis]
    down: _Axis
    across: _Axis
    block: tuple[int, int]


def _joined(out: Array, values: Array) -> list[_Axis]:
    """The axes, outermost of `out` first, those joined that are neighbours on both sides."""
    triples = zip(out.shape, out.strides, values.strides, strict=True)
    axes = sorted((_Axis(*t) for t in triples if t[0] != 1), key=lambda axis: -abs(axis.out))
    joined = axes[:1]
    for axis in axes[1:]:
        size, *strides = joined[-1]
        if strides == [axis.size * axis.out, axis.size * axis.values]:
            joined[-1] = axis._replace(size=size * axis.size)
        else:
            joined.append(axis)
    return joined


def _plan(axes: list[_Axis], itemsize: int) -> _Job | None:
    """The transpositions that a copy along these axes is; None where it is none worth the care."""
    long = [axis for axis in axes if axis.size >= SIDE]
    down = min(long, key=lambda axis: abs(axis.out), default=None)
    across = min((a for a in long if a.values), key=lambda axis: abs(axis.values), default=down)
    if down is None or across is None or down is across:
        return None
    rest = [axis for axis in axes if axis is not down and axis is not across]
    under = [a for a in rest if 0 < abs(a.values) < abs(across.values)]
    around = [a for a in rest if a not in under and abs(a.out) < abs(down.out)]
    outer = [a for a in rest if a not in under and a not in around]
    nbytes = itemsize * prod(axis.size for axis in axes if axis not in outer)
    if nbytes < (PLAIN_BYTES if down.values % CLASH else CLASH_BYTES):
        return None
    rows = min(down.size, RUN_BYTES // itemsize)
    columns = SCRATCH_BYTES // (rows * itemsize * prod(a.size for a in under))
    if not columns:
        return None
    return _Job(outer, around, under, down, across, (rows, min(across.size, columns)))


# -- and how it is done ----------------------------------------------------------------------


def _transpose(job: _Job, out: Array, values: Array) -> None:
    """Fetch each block into the scratch in runs of `values`, write it in runs of `out`."""
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    axes = [*job.outer, *job.around, job.down, job.across, *job.under]
    source = as_strided(values, [a.size for a in axes], [a.values for a in axes])
    axes = [*job.outer, *job.around, *job.under, job.across, job.down]
    target = as_strided(out, [a.size for a in axes], [a.out for a in axes])
    scratch = _scratch(job, values.dtype)
    turned = scratch.transpose(*range(2, scratch.ndim), 1, 0)
    for outer in _indices(job.outer):
        for rows, columns in _blocks(job):
            for around in _indices(job.around):
                fetched = source[outer + around][rows, columns]
                here, there = (slice(n) for n in fetched.shape[:2])
                np.copyto(scratch[here, there], fetched)
                for under in _indices(job.under):
                    place = target[outer + around + under][columns, rows]
                    np.copyto(place, turned[under][there, here])


def _indices(axes: Iterable[_Axis]) -> Iterator[tuple[int, ...]]:
    return product(*(range(axis.size) for axis in axes))


def _blocks(job: _Job) -> Iterator[tuple[slice, slice]]:
    rows, columns = job.block
    for row in range(0, job.down.size, rows):
        for column in range(0, job.across.size, columns):
            yield slice(row, row + rows), slice(column, column + columns)


def _scratch(job: _Job, dtype: np.dtype[Any]) -> Array:
    """This thread's scratch as (rows, columns, *under), rows an odd number of lines apart."""
    import numpy as np

    shape = (*job.block, *(axis.size for axis in job.under))
    row = (-(-prod(shape[1:]) * dtype.itemsize // LINE) | 1) * LINE
    strides = [row] + [prod(shape[i:]) * dtype.itemsize for i in range(2, len(shape) + 1)]
    memory = getattr(_thread, "memory", None)
    if memory is None or memory.nbytes < row * shape[0]:
        memory = _thread.memory = np.empty(row * shape[0], "u1")
    return np.ndarray(shape, dtype, memory, strides=strides)


# -- comparing -------------------------------------------------------------------------------


class Differences(NamedTuple):
    """How many `items` differ in their bits, and the flat index of the `first` of them; the
    `largest` |a − b|, and the flat index `at` which it is first reached."""

    items: int
    first: int | None
    largest: float
    at: int | None


def differences(a: Array, b: Array) -> Differences:
    """Where the bits of two arrays differ, and by how much.

    `largest` is over the items that differ, in float64; a NaN on either side counts as inf.
    Equal arrays are read at the speed of memory. Memory: one block of COMPARED_ITEMS.
    Errors: SpecError if dtypes or shapes differ.
    """
    import numpy as np

    _check_alike(a, b)
    found, done = Differences(0, None, 0.0, None), 0
    for x, y in _runs(a, b):
        differ = _differing(x, y)
        if differ.any():
            places = np.flatnonzero(differ)
            apart = _distances(x[differ].view(a.dtype), y[differ].view(a.dtype))
            worst = int(apart.argmax())
            first = done + int(places[0]) if found.first is None else found.first
            if found.at is None or apart[worst] > found.largest:
                found = found._replace(largest=float(apart[worst]), at=done + int(places[worst]))
            found = found._replace(items=found.items + places.size, first=first)
        done += x.size
    return found


def _runs(a: Array, b: Array) -> Iterator[tuple[Array, Array]]:
    """Both arrays in C order, as contiguous runs of words."""
    import numpy as np

    yield from np.nditer(  # type: ignore[call-overload]  # numpy's stub does not know "contig"
        [_words(a), _words(b)],
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly", "contig"], ["readonly", "contig"]],
        order="C",
        buffersize=COMPARED_ITEMS,
    )


def _differing(x: Array, y: Array) -> Array:
    if x.itemsize in _WORDS:
        different: Array = x != y
    else:
        different = (x.view("u8") != y.view("u8")).reshape(-1, 2).any(axis=1)
    return different


def _distances(x: Array, y: Array) -> Array:
    """Each |x − y|; inf where either is NaN."""
    import numpy as np

    wide = "c16" if x.dtype.kind == "c" else "f8"
    with np.errstate(all="ignore"):
        apart: Array = np.abs(x.astype(wide) - y.astype(wide))
    apart[np.isnan(apart)] = np.inf
    return apart
