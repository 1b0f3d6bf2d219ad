"""Wide and narrow floats: the conversions that arithmetic on 16-bit and 8-bit tensors consists of.

A bfloat16 is the upper half of a float32, so widening is a shift and narrowing an addition that
carries, many times faster than the loops of ml_dtypes, with the same bits. float64 goes to a
narrow float without a second rounding. All work on pieces that stay in the cache, in buffers that
a thread keeps.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PIECE = 2**15  # items at a time: a handful of float64 buffers of it stay in the cache
_thread = threading.local()


def buffer(slot: str, size: int, dtype: str) -> Array:
    """This thread's array under that name, of at most PIECE items; what it held is gone."""
    import numpy as np

    memory: dict[str, Array] = _thread.__dict__
    if slot not in memory:
        memory[slot] = np.empty(PIECE * 8, "u1")
    found: Array = memory[slot].view(dtype)[:size]
    return found


def words(values: Array) -> Array:
    """The bits of a flat contiguous array of floats, as unsigned words."""
    found: Array = values.view(f"u{values.itemsize}")
    return found


def limit(dtype: np.dtype[Any]) -> float:
    """The largest finite value of a float dtype.

    >>> import ml_dtypes, numpy
    >>> limit(numpy.dtype("float16")), limit(numpy.dtype(ml_dtypes.float8_e4m3fn))
    (65504.0, 448.0)
    """
    import ml_dtypes
    import numpy as np

    finfo: Any = np.finfo if dtype.name in ("float16", "float32", "float64") else ml_dtypes.finfo
    return float(finfo(dtype).max)


def within(values: Array, most: float) -> bool:
    """Whether all values are finite and at most `most` in magnitude; a NaN is not."""
    return not values.size or bool(values.max() <= most and values.min() >= -most)


# -- widen -----------------------------------------------------------------------------------


def widened(values: Array, wide: str, slot: str) -> Array:
    """Values of a narrower float as float32 or float64 (`wide`: f4, f8), exactly, in a buffer.

    What is that wide already comes back as it is.
    """
    import numpy as np

    if values.dtype == np.dtype(wide):
        return values
    out = buffer(slot, values.size, wide)
    if values.dtype.name not in _WIDENED or (wide, values.dtype.name) == ("f8", "float16"):
        np.copyto(out, values, casting="unsafe")
        return out
    narrow = out if wide == "f4" else buffer("widened", values.size, "f4")
    _WIDENED[values.dtype.name](values, narrow)
    if narrow is not out:
        np.copyto(out, narrow)
    return out


def _bfloat16_widened(values: Array, out: Array) -> None:
    """The 16 bits are the upper half."""
    import numpy as np

    bits = words(out)
    np.copyto(bits, words(values))
    bits <<= 16


def _float16_widened(values: Array, out: Array) -> None:
    """The bits without the sign, moved to where float32 has them, are the number by 2^112 too
    small: three times faster than numpy's cast. Inf and NaN are left to numpy."""
    import numpy as np

    bits = words(out)
    np.copyto(bits, words(values))
    sign = buffer("upper", values.size, "u4")
    np.bitwise_and(bits, 0x8000, out=sign)
    bits &= 0x7FFF
    if values.size and bits.max() >= 0x7C00:
        np.copyto(out, values)
        return
    bits <<= 13
    out *= np.float32(2.0**112)  # exact, for subnormal numbers too
    sign <<= 16
    bits |= sign


_WIDENED = {"bfloat16": _bfloat16_widened, "float16": _float16_widened}


# -- narrow ----------------------------------------------------------------------------------


def narrowed(values: Array, out: Array, finite: bool = False) -> None:
    """Round float32 or float64 to the dtype of `out`, to nearest even, once; `values` is spent.

    `finite` says that every value has a finite place: nobody looks for NaN then.
    Errors: none; what has no finite place becomes Inf, or NaN where the dtype has no Inf.
    """
    import numpy as np

    if values.dtype == out.dtype:
        np.copyto(out, values)
    elif out.dtype.name == "bfloat16":
        _to_bfloat16(single(values), words(out), finite)
    elif values.itemsize == 8 and out.itemsize == 1:  # ml_dtypes would go through float32
        np.copyto(out, to_odd(values), casting="unsafe")
    elif finite and values.itemsize == 4 and out.dtype == np.float16:
        _to_float16(values, out)
    else:
        np.copyto(out, values, casting="unsafe")


def _to_float16(values: Array, out: Array) -> None:
    """Half to even by integers, as for bfloat16; what is subnormal there is left to numpy."""
    import numpy as np

    bits = words(values)
    sign, upper = buffer("sign", bits.size, "u4"), buffer("upper", bits.size, "u4")
    np.bitwise_and(bits, 0x8000_0000, out=sign)
    bits &= 0x7FFF_FFFF
    small = np.flatnonzero(bits < 0x3880_0000)  # 2^-14
    if 8 * small.size > bits.size:
        bits |= sign
        np.copyto(out, values, casting="unsafe")
        return
    few = values[small].astype(np.float16)
    np.right_shift(bits, 13, out=upper)
    upper &= 1
    bits += upper
    bits += np.uint32(0xFFF - (112 << 23) & 0xFFFF_FFFF)  # just under half; the other exponent
    bits >>= 13
    sign >>= 16
    few.view("u2")[...] |= sign[small].astype("u2")
    bits |= sign
    np.copyto(words(out), bits, casting="unsafe")
    out[small] = few


def _to_bfloat16(values: Array, out: Array, finite: bool) -> None:
    """Half to even by integers: add just under half, and the last bit that stays; cut."""
    import numpy as np

    bits = words(values)
    upper = buffer("upper", bits.size, "u4")
    unknown = None if finite or within(values, np.inf) else np.isnan(values)
    quiet = None if unknown is None else (bits[unknown] >> 16) | 0x40  # else a payload may carry
    np.right_shift(bits, 16, out=upper)
    upper &= 1
    upper += 0x7FFF
    bits += upper
    bits >>= 16
    np.copyto(out, bits, casting="unsafe")
    if unknown is not None:
        out[unknown] = quiet


def single(values: Array) -> Array:
    """float32, such that bfloat16 rounded from it is what it would be rounded from `values`.

    Only where float32 comes to lie in the middle of two bfloat16 does it matter to which side it
    was rounded: there a step is made towards the true value.
    """
    import numpy as np

    if values.itemsize == 4:
        return values
    out = buffer("single", values.size, "f4")
    np.copyto(out, values, casting="unsafe")
    bits = words(out)
    lower = buffer("upper", bits.size, "u4")
    np.bitwise_and(bits, 0xFFFF, out=lower)
    at = np.flatnonzero(lower == 0x8000)
    true, here = np.abs(values[at]), np.abs(out[at])
    bits[at] += (true > here).astype("u4")
    bits[at] -= (true < here).astype("u4")
    return out


def to_odd(values: Array) -> Array:
    """Round float64 to float32 so that a second rounding, to fewer digits, is the only one.

    Truncates, and sets the last bit where anything was cut off (Boldo and Melquiond 2008).
    """
    import numpy as np

    y = values.astype(np.float32)
    bits = y.view(np.uint32)
    back = y.astype(np.float64)
    finite = np.isfinite(y)
    bits -= (finite & (np.abs(back) > np.abs(values))).astype(np.uint32)  # rounded away: back
    bits |= (finite & (back != values)).astype(np.uint32)
    return y
