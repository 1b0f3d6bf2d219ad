"""Hashes of bits that find what moved: of each slice of an axis, and of the bag of all elements.

A hash only proposes: whatever is said to be equal was compared bit by bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SpecError
from ..expr import Expr, Reduce
from ..ops.movement import permute
from ..pending import Reduction, reduction
from ..spec import TensorSpec

if TYPE_CHECKING:
    from ..expr import Array

Specs = tuple[TensorSpec, ...]


def _mixed(words: Array) -> Array:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit moves half the others."""
    import numpy as np

    x = words + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _words(values: Array) -> Array:
    import numpy as np

    if values.itemsize == 16:
        pairs = values.view("u8").reshape(-1, 2)
        return np.asarray(pairs[:, 0] ^ _mixed(pairs[:, 1]))
    return values.view(f"u{values.itemsize}").astype(np.uint64)


def _rows(state: tuple[int, Array], start: int, values: Array) -> tuple[int, Array]:
    import numpy as np

    width, hashes = state
    flat = np.arange(start, start + values.size, dtype=np.uint64)
    rows = slice(start // width, (start + values.size - 1) // width + 1)
    cuts = np.maximum(np.arange(rows.start, rows.stop) * width - start, 0)
    hashes[rows] += np.add.reduceat(_mixed(_words(values) ^ _mixed(flat % np.uint64(width))), cuts)
    return state


def _empty(rows: int, width: int) -> tuple[int, Array]:
    import numpy as np

    return width, np.zeros(rows, np.uint64)


def _both(state: tuple[int, Array], later: tuple[int, Array]) -> tuple[int, Array]:
    return state[0], state[1] + later[1]


def _size(specs: Specs, rows: int, width: int) -> None:
    if rows * width != specs[0].size:
        raise SpecError(f"{specs[0]} does not have {rows} rows of {width}")


ROWS = Reduce("rows", _size, _empty, _rows, _both, lambda state: state[1])


def row_hashes(x: Expr, axis: int) -> Reduction:
    """A hash of the bits of each slice of an axis."""
    order = [axis, *(i for i in range(len(x.spec.shape)) if i != axis)]
    front, rows = permute(x.named(None), order), x.spec.shape[axis]
    return reduction(ROWS, front, rows=rows, width=x.spec.size // rows if rows else 0)


def _bag(state: int, start: int, values: Array) -> int:
    return (state + int(_mixed(_words(values)).sum())) % 2**64


BAG = Reduce(
    "bag", lambda specs: None, lambda: 0, _bag, lambda a, b: (a + b) % 2**64, lambda state: state
)
"""A hash of the bits of all elements, whatever their order."""
