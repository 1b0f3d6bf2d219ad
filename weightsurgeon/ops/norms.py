"""Norms of the slices of a tensor, and the inner product of two: what reparametrisations divide by.

Sums are in float64, over fixed runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError
from ..expr import Reduce
from ..spec import TensorSpec
from .affine import computed_with

if TYPE_CHECKING:
    from ..expr import Array


@dataclass
class Sums:
    """What was added up: a number for each of `count` slices that lie `inner` elements apart."""

    count: int
    inner: int
    values: Array


class Norms(NamedTuple):
    """The Euclidean norm of each slice."""

    norms: Array


class Inner(NamedTuple):
    """The inner product of two tensors."""

    value: float


def slices_along(shape: tuple[int, ...], axis: int | None) -> dict[str, int]:
    """The parameters of `NORMS` for the slices along an axis; without one, for the whole tensor.

    >>> slices_along((4, 3, 2), 1)
    {'count': 3, 'inner': 2}
    """
    if axis is None:
        return {"count": 1, "inner": 1}
    return {"count": shape[axis], "inner": prod(shape[axis + 1 :])}


def _infer(specs: tuple[TensorSpec, ...], **_: int) -> None:
    for x in specs:
        computed_with(x, "a norm")
    if len({x.shape for x in specs}) > 1:
        raise SpecError(f"no inner product: {specs[0]} and {specs[1]}")


def _start(count: int = 1, inner: int = 1) -> Sums:
    import numpy as np

    return Sums(count, inner, np.zeros(count, np.float64))


def _squares(state: Sums, start: int, x: Any) -> Sums:
    import numpy as np

    squares = np.square(x.astype(np.float64).reshape(-1))
    if state.count == 1:
        state.values[0] += squares.sum()
    else:
        at = (np.arange(start, start + squares.size) // state.inner) % state.count
        state.values += np.bincount(at, squares, state.count)
    return state


def _products(state: Sums, start: int, a: Any, b: Any) -> Sums:
    import numpy as np

    state.values[0] += (a.astype(np.float64) * b.astype(np.float64)).sum()
    return state


def _merge(state: Sums, later: Sums) -> Sums:
    return Sums(state.count, state.inner, state.values + later.values)


def _norms(state: Sums) -> Norms:
    import numpy as np

    return Norms(np.sqrt(state.values))


NORMS = Reduce("norms", _infer, _start, _squares, _merge, _norms)
INNER = Reduce("inner", _infer, _start, _products, _merge, lambda s: Inner(float(s.values[0])))
