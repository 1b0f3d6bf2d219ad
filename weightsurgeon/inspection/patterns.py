"""The leading bits of a number as an index: one `bincount` tells a tensor's whole distribution.

Dtypes of at most 16 bits are counted exactly, value by value. Of float32 and float64 the sign, the
exponent and the first 7 (or 4) bits of the mantissa are counted: a quantile is then known within
half a bin, 2⁻⁸ (or 2⁻⁵) of itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..spec import DType

if TYPE_CHECKING:
    from ..expr import Array

WIDTH = 16


def has_patterns(dtype: DType) -> bool:
    """Whether the values are counted by their bits: floats, and all that fits a byte."""
    return dtype.kind == "float" or dtype.bits == 8


def is_exact(dtype: DType) -> bool:
    """Whether a pattern is one value."""
    return has_patterns(dtype) and dtype.bits <= WIDTH


def count(values: Array) -> Array:
    """How often each pattern occurs; ≈ 1 ns an element, and a table of int64 for all patterns."""
    import numpy as np

    bits = 8 * values.itemsize
    words = values.view(f"u{values.itemsize}")
    index = np.empty(words.shape, np.int64)  # else bincount converts, four times as slowly
    if bits > WIDTH:
        np.right_shift(words, bits - WIDTH, out=index, casting="unsafe")
    else:
        np.copyto(index, words)
    counts: Array = np.bincount(index, minlength=1 << min(bits, WIDTH))
    return counts


class Table(NamedTuple):
    """What the patterns of a dtype mean.

    centres    the value in the middle of each pattern's bin; the value itself where it is exact
    order      the finite patterns by magnitude
    bad        the patterns that are not finite
    nan        of these, the ones that are NaN (of float32: may be NaN)
    tiny       finite patterns below the smallest normal number, zeros among them
    exponents  floor(log2) of each pattern's magnitude; below the normal numbers one less than them
    """

    centres: Array
    order: Array
    bad: Array
    nan: Array
    tiny: Array
    exponents: Array


@lru_cache
def table(dtype: DType) -> Table:
    """The table of a dtype."""
    import numpy as np

    centres = _centres(dtype)
    finite = np.isfinite(centres)
    magnitude = np.where(finite, np.abs(centres), np.inf)
    order = np.argsort(magnitude, kind="stable")[: int(finite.sum())]
    normal = smallest_normal(dtype)
    with np.errstate(invalid="ignore"):
        small = finite & (magnitude < normal)
    floor = np.frexp(np.maximum(magnitude, normal))[1] - 1
    exponents = np.where(small, np.frexp(normal)[1] - 2, floor)
    bad = np.flatnonzero(~finite)
    return Table(centres, order, bad, bad[np.isnan(centres[bad])], np.flatnonzero(small), exponents)


def _centres(dtype: DType) -> Array:
    import numpy as np

    shift = max(0, dtype.bits - WIDTH)
    words = np.arange(1 << (dtype.bits - shift), dtype=f"u{dtype.itemsize}") << shift
    if shift:
        words |= 1 << (shift - 1)
    kind = dtype.numpy()
    if dtype.kind == "bool":
        words, kind = (words != 0).view(np.uint8), np.dtype(np.uint8)
    with np.errstate(invalid="ignore"):
        values: Array = words.view(kind).astype(np.float64)
    return values


def smallest_normal(dtype: DType) -> float:
    """Below it a number has lost bits; 1 for integers, whose only smaller magnitude is 0."""
    if dtype.kind != "float":
        return 1.0
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype.numpy()).smallest_normal)  # type: ignore[no-untyped-call]


def relative_bound(dtype: DType) -> float:
    """How far a quantile read from the counts may lie from the true one, relative to it."""
    mantissa = {64: 4, 32: 7}.get(dtype.bits)
    return 0.0 if mantissa is None or dtype.kind != "float" else 2.0 ** -(mantissa + 1)
