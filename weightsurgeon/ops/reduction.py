"""Reductions: many blocks in, one small result out.

They fold fixed runs, so that no result depends on blocks or threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Reduce
from ..ranking import all_finite, finite
from ..spec import TensorSpec


class Difference(NamedTuple):
    """How far two tensors are apart.

    count: elements whose bits differ · first: flat index of the first of them ·
    worst: largest |a − b|, NaN against a number counted as inf · at: its flat index
    """

    count: int = 0  # type: ignore[assignment]  # the name of a method of tuples, better here
    first: int | None = None
    worst: float = 0.0
    at: int | None = None


def _infer(specs: tuple[TensorSpec, ...]) -> None:
    a, b = specs
    if a.shape != b.shape or a.dtype != b.dtype:
        raise SpecError(f"cannot be compared: {a} and {b}")


def _fold(state: Difference, start: int, a: Any, b: Any) -> Difference:
    from ..kernels import differences

    count, first, worst, at = differences(a, b)
    if first is None or at is None:
        return state
    found = Difference(count, start + first, worst, start + at)
    return _merge(state, found)


def _merge(state: Difference, later: Difference) -> Difference:
    worst = max((state, later), key=lambda d: d.worst)  # the earlier one where they are equal
    first = state.first if state.first is not None else later.first
    at = worst.at if worst.at is not None else first
    return Difference(state.count + later.count, first, worst.worst, at)


DIFFER = Reduce("differ", _infer, Difference, _fold, _merge, lambda state: state)


class Found(NamedTuple):
    """How many values are as they should not be, and the flat index of the first of them."""

    count: int = 0  # type: ignore[assignment]  # as above
    first: int | None = None


def _fold_not_finite(state: Found, start: int, x: Any) -> Found:
    import numpy as np

    if all_finite(x):
        return state
    good = finite(x)
    found = Found(int(x.size - np.count_nonzero(good)), start + int(good.argmin()))
    return _merge_not_finite(state, found)


def _merge_not_finite(state: Found, later: Found) -> Found:
    first = state.first if state.first is not None else later.first
    return Found(state.count + later.count, first)


NOT_FINITE = Reduce(
    "not_finite", lambda specs: None, Found, _fold_not_finite, _merge_not_finite, lambda s: s
)


def _fold_beyond(state: Found, start: int, x: Any, mask: Any) -> Found:
    import numpy as np

    beyond = np.flatnonzero((mask == 0) & (x != x.dtype.type(0)))
    if not beyond.size:
        return state
    return _merge_not_finite(state, Found(beyond.size, start + int(beyond[0])))


BEYOND = Reduce("beyond", lambda specs: None, Found, _fold_beyond, _merge_not_finite, lambda s: s)
