"""What is known of a tensor before its data: dtype, shape, and the names of its axes.

A dtype is a row: name, bits, kind. Names are those of numpy and ml_dtypes; each container spells
them its own way and keeps that spelling in its own file. numpy itself is imported only where the
first value is touched.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SpecError

if TYPE_CHECKING:
    import numpy as np

MAX_RANK = 64  # numpy's own limit


class DType(NamedTuple):
    """An element type: `kind` is one of float, int, uint, bool, complex."""

    name: str
    bits: int
    kind: str

    @property
    def itemsize(self) -> int:
        """Bytes an element; refuses what is stored in less than a byte."""
        if self.bits % 8:
            raise SpecError(f"{self.name} is packed: its elements have no address of their own")
        return self.bits // 8

    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype (of ml_dtypes where numpy has none)."""
        return _numpy(self)

    def __str__(self) -> str:
        return self.name


DTYPES = {
    row.name: row
    for row in (
        DType("float64", 64, "float"),
        DType("float32", 32, "float"),
        DType("float16", 16, "float"),
        DType("bfloat16", 16, "float"),
        DType("float8_e4m3fn", 8, "float"),
        DType("float8_e5m2", 8, "float"),
        DType("float8_e4m3fnuz", 8, "float"),
        DType("float8_e5m2fnuz", 8, "float"),
        DType("float8_e8m0fnu", 8, "float"),
        DType("float6_e2m3fn", 6, "float"),
        DType("float6_e3m2fn", 6, "float"),
        DType("float4_e2m1fn", 4, "float"),
        DType("int64", 64, "int"),
        DType("int32", 32, "int"),
        DType("int16", 16, "int"),
        DType("int8", 8, "int"),
        DType("uint64", 64, "uint"),
        DType("uint32", 32, "uint"),
        DType("uint16", 16, "uint"),
        DType("uint8", 8, "uint"),
        DType("bool", 8, "bool"),
        DType("complex64", 64, "complex"),
        DType("complex128", 128, "complex"),
    )
}


@lru_cache
def dtype_of(name: object) -> DType:
    """The row of a dtype by its name, or by a numpy dtype.

    >>> dtype_of("bfloat16").bits
    16
    """
    found = DTYPES.get(getattr(name, "name", None) or str(name))
    if found is None:
        raise SpecError(f"unknown dtype {name}; known: {', '.join(DTYPES)}")
    return found


@lru_cache
def _numpy(dtype: DType) -> np.dtype[Any]:
    import numpy as np

    if dtype.bits < 8:
        raise SpecError(f"{dtype.name} is packed: it can be copied, not computed with")
    if dtype.name in np.sctypeDict:
        return np.dtype(dtype.name)
    import ml_dtypes

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, dtype.name))
    return found


class Axis(NamedTuple):
    """A named axis. `letters` name its entries in order (gates, projections); "" where none do."""

    name: str
    letters: str = ""
    backwards: bool = False

    def __str__(self) -> str:
        sign = "-" if self.backwards else ""
        return f"{sign}{self.name}:{self.letters}" if self.letters else sign + self.name


class Axes(tuple[tuple[Axis, ...], ...]):
    """The axes of a tensor, outermost first: a group of axes (slow to fast) for each dimension.

    A plain axis is a group of one, `1` is an empty group. `layout.parse` reads the notation,
    `str` writes it: `kh kw in out`, `(head dim) in`, `in (g:ifgo unit)`, `feature 1 1`.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return " ".join(_term(group) for group in self)

    def __repr__(self) -> str:
        return f"Axes('{self}')"


def _term(group: tuple[Axis, ...]) -> str:
    if len(group) == 1 and not group[0].letters:
        return str(group[0])
    return f"({' '.join(map(str, group))})" if group else "1"


class TensorSpec(NamedTuple):
    """The dtype, shape and (where they are known) named axes of a tensor."""

    dtype: DType
    shape: tuple[int, ...]
    axes: Axes | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the dense tensor; packed types fill whole bytes."""
        return -(-self.size * self.dtype.bits // 8)

    def __str__(self) -> str:
        if self.axes is None or len(self.axes) != len(self.shape):
            return f"{self.dtype} {self.shape}"
        sizes = [f"{_term(g)}={n}" for g, n in zip(self.axes, self.shape, strict=True)]
        return f"{self.dtype} [{' '.join(sizes)}]"


def checked_shape(dims: object) -> tuple[int, ...]:
    """The dims as a shape, or `SpecError`: whole numbers ≥ 0 (no bool), rank ≤ 64, size < 2⁵⁹.

    >>> checked_shape([2, 3])
    (2, 3)
    """
    if not isinstance(dims, list | tuple) or len(dims) > MAX_RANK:
        raise SpecError(f"a shape is a list of at most {MAX_RANK} sizes, not {str(dims)[:80]}")
    if not all(type(n) is int and 0 <= n < 2**63 for n in dims):
        raise SpecError(f"sizes are whole numbers from 0, not {str(dims)[:80]}")
    if prod(n for n in dims if n) >= 2**59:  # 16 bytes each: more than numpy can address
        raise SpecError(f"shape {str(dims)[:80]} has more elements than can be addressed")
    return tuple(dims)
