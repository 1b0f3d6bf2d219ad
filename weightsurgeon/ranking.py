"""Numbers as keys: unsigned integers that are ordered as the numbers are.

The bits of an IEEE number without its sign grow with its magnitude, so the k-th smallest of any
number of values is found by comparing integers: exactly, bfloat16 beside float64 (`KINDS`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SpecError
from .spec import DType

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Kind(NamedTuple):
    """How values become keys: of how many bits; from which key on they are not finite (None: all
    are)."""

    bits: int
    infinite: int | None = None


KINDS = {
    "bfloat16": Kind(15, 0x7F80),
    "float16": Kind(15, 0x7C00),
    "float32": Kind(31, 0x7F80_0000),
    "float64": Kind(63, 0x7FF0_0000_0000_0000),
    "square": Kind(63, 0x7FF0_0000_0000_0000),  # |z|² of complex64
    "signed32": Kind(32),
    "signed64": Kind(64),
    "hash": Kind(64),
}
_NARROW = ("bfloat16", "float16", "float32")


def magnitude_kind(dtypes: Iterable[DType]) -> str:
    """The kind in which magnitudes of all these dtypes are compared as the real numbers they are.

    >>> from weightsurgeon.spec import dtype_of
    >>> magnitude_kind([dtype_of("bfloat16"), dtype_of("float16")])
    'float32'
    """
    names = {dtype.name for dtype in dtypes}
    if names == {"complex64"}:
        return "square"
    if names & {"float64", "complex64", "complex128"}:
        return "float64"
    return names.pop() if len(names) == 1 and names <= {*_NARROW} else "float32"


def refuse_unprunable(dtype: DType) -> None:
    """Raise `SpecError` for a dtype that has no zero, no address, or no business being zeroed."""
    if dtype.kind not in ("float", "complex"):
        raise SpecError(f"{dtype} is not pruned: integers and bools are copied", "integer")
    if dtype.name == "float8_e8m0fnu":
        raise SpecError(f"{dtype} has no zero: it cannot be pruned", "integer")
    _ = dtype.itemsize  # a packed float has none, and says so


def keys(values: Array, kind: str) -> Array:
    """The key of each value, in the same shape.

    Magnitudes are exact across dtypes; both zeros are 0; NaN lies above inf. Signed kinds order
    numbers from −inf to inf, −0 as 0. Hashes are keys already.
    """
    import numpy as np

    if kind == "hash":
        return values
    if kind in ("bfloat16", "float16"):
        return values.view("u2") & np.uint16(0x7FFF)
    if kind == "float32":
        return _magnitudes32(values)
    if kind in ("float64", "square"):
        return _magnitudes64(values, kind == "square")
    return _signed(values, "f4" if kind == "signed32" else "f8")


def keys_of_run(values: Array, kind: str) -> Array:
    """As `keys`, of at most `packed.PIECE` values, in a buffer of the thread where that pays."""
    import numpy as np

    from .packed import buffer

    if kind == "float32" and values.dtype.name == "float32":
        out = buffer("keys", values.size, "u4")
        np.bitwise_and(values.view("u4"), np.uint32(0x7FFF_FFFF), out=out)
        return out
    if kind in ("bfloat16", "float16"):
        out = buffer("keys", values.size, "u2")
        np.bitwise_and(values.view("u2"), np.uint16(0x7FFF), out=out)
        return out
    return keys(values, kind)


def _magnitudes32(values: Array) -> Array:
    import numpy as np

    if values.dtype.name == "bfloat16":
        return (values.view("u2") & np.uint16(0x7FFF)).astype("u4") << np.uint32(16)
    return values.astype("f4", copy=False).view("u4") & np.uint32(0x7FFF_FFFF)


def _magnitudes64(values: Array, square: bool) -> Array:
    import numpy as np

    if values.dtype.kind == "c":
        wide = values.astype("c16", copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            size = wide.real**2 + wide.imag**2 if square else np.hypot(wide.real, wide.imag)
    else:
        size = values.astype("f8")
    return np.asarray(size).view("u8") & np.uint64(0x7FFF_FFFF_FFFF_FFFF)


def _signed(values: Array, wide: str) -> Array:
    import numpy as np

    words = np.asarray(values.astype(wide) + np.array(0, wide)).view(wide.replace("f", "u"))
    top = words.dtype.type(1 << (words.itemsize * 8 - 1))
    found: Array = np.where(words & top, ~words, words | top)
    return found


def finite(values: Array) -> Array:
    """True where a value is neither NaN nor infinite."""
    import numpy as np

    kind = KINDS.get(values.dtype.name)
    if values.dtype.itemsize == 2 and kind is not None and kind.infinite is not None:
        return keys(values, values.dtype.name) < np.uint16(kind.infinite)
    found: Array = np.isfinite(values)
    return found


def all_finite(values: Array) -> bool:
    """Whether no value is NaN or infinite: by their bits, both signs, without a copy of them."""
    name = values.dtype.name
    if name not in _NARROW or not values.flags.c_contiguous:
        return bool(finite(values).all())
    first, top = KINDS[name].infinite or 0, 1 << (8 * values.itemsize - 1)
    size = values.itemsize
    positive, negative = (
        values.view(f"i{size}").max(initial=0),
        values.view(f"u{size}").max(initial=0),
    )
    return int(positive) < first and int(negative) < top + first


def ranks_below(found: Array, at_least: int) -> Array:
    """True where fewer than `at_least` of the last axis stay below: what an N:M pattern prunes.

    The rank of an entry is the number of smaller ones, and of equal ones before it.
    """
    import numpy as np

    size = found.shape[-1]
    rank = np.zeros(found.shape, np.uint16)
    for i in range(size):
        for j in range(size):
            if i != j:
                a, b = found[..., j], found[..., i]
                rank[..., i] += (a <= b) if j < i else (a < b)
    below: Array = rank < at_least
    return below
