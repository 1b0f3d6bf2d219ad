"""The mean of the entries along an axis: what new rows of a vocabulary start from.

Sums are in float64, over fixed runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError
from ..expr import Expr, Reduce
from ..spec import TensorSpec
from .affine import computed_with
from .movement import permute

if TYPE_CHECKING:
    from ..expr import Array


class Means(NamedTuple):
    """The mean at each place of an entry."""

    means: Array


@dataclass
class Added:
    """What was added up for each place, and how many entries there are."""

    entries: int
    values: Array


def entries_first(x: Expr, axis: int) -> Expr:
    """The tensor with an axis in front, as `MEANS` wants it."""
    return permute(x, (axis, *(i for i in range(len(x.spec.shape)) if i != axis)))


def _infer(specs: tuple[TensorSpec, ...], entries: int = 1, places: int = 1) -> None:
    (x,) = specs
    computed_with(x, "fill: mean")
    if not entries:
        raise SpecError(f"fill: mean: {x} has no entries of which there were a mean")


def _start(entries: int = 1, places: int = 1) -> Added:
    import numpy as np

    return Added(entries, np.zeros(places, np.float64))


def _fold(state: Added, start: int, x: Any) -> Added:
    import numpy as np

    values, places = x.astype(np.float64), len(state.values)
    state.values += np.bincount((start + np.arange(len(x))) % places, values, places)
    return state


def _merge(state: Added, later: Added) -> Added:
    return Added(state.entries, state.values + later.values)


MEANS = Reduce("means", _infer, _start, _fold, _merge, lambda s: Means(s.values / s.entries))
