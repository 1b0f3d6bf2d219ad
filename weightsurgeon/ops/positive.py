"""Reductions that count what is not greater than 0, and what is below 0: no variance is."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..expr import Reduce
from ..spec import TensorSpec
from .affine import computed_with


class Nonpositive(NamedTuple):
    """count: elements that are not > 0, NaN among them · first: flat index of the first."""

    count: int = 0  # type: ignore[assignment]  # the name of a method of tuples, better here
    first: int | None = None


def _infer(specs: tuple[TensorSpec, ...]) -> None:
    (x,) = specs
    computed_with(x, "nonpositive")


def _fold(state: Nonpositive, start: int, values: Any) -> Nonpositive:
    import numpy as np

    at = np.flatnonzero(~(values.astype(np.float64) > 0))
    return _merge(state, Nonpositive(len(at), start + int(at[0]))) if len(at) else state


def _merge(state: Nonpositive, later: Nonpositive) -> Nonpositive:
    first = state.first if state.first is not None else later.first
    return Nonpositive(state.count + later.count, first)


NONPOSITIVE = Reduce("nonpositive", _infer, Nonpositive, _fold, _merge, lambda state: state)


def _fold_negative(state: Nonpositive, start: int, values: Any) -> Nonpositive:
    import numpy as np

    at = np.flatnonzero(values.astype(np.float64) < 0)
    return _merge(state, Nonpositive(len(at), start + int(at[0]))) if len(at) else state


NEGATIVE = Reduce("negative", _infer, Nonpositive, _fold_negative, _merge, lambda state: state)
