"""Rows and blocks as units: a score for each, and what is decided of it spread over its elements.

A unit is a block of `sizes` elements along each axis; a row is one entry of an axis and all of the
others. What lies behind the last whole unit of an axis belongs to none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, Reduce, apply, block_shape
from ..ranking import refuse_unprunable
from ..spec import TensorSpec, dtype_of
from .keeping import magnitudes

SMALL = 4096  # elements of a unit whose score is made whenever it is wanted
NORMS = ("l1", "l2", "linf", "mean", "rms")
Specs = tuple[TensorSpec, ...]


def grid(shape: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    """How many whole units stand along each axis."""
    return tuple(n // size for n, size in zip(shape, sizes, strict=True))


@dataclass
class _State:
    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    norm: str
    scores: Any = None


def _infer(specs: Specs, shape: tuple[int, ...], sizes: tuple[int, ...], norm: str) -> None:
    (x,) = specs
    refuse_unprunable(x.dtype)
    if prod(shape) != x.size or len(sizes) != len(shape) or norm not in NORMS:
        raise SpecError(f"{norm} of units {sizes} of {x}")


def _units(state: _State, start: int, count: int) -> Any:
    """The unit of each element of a run; the number of units where it belongs to none."""
    import numpy as np

    flat = np.arange(start, start + count)
    unit, inside, times = np.zeros(count, np.int64), np.ones(count, bool), 1
    for size, step in zip(reversed(state.shape), reversed(state.sizes), strict=True):
        flat, index = np.divmod(flat, size)
        number = size // step
        index //= step
        inside &= index < number
        unit += index * times
        times *= number
    return np.where(inside, unit, times)


def _fold(state: _State, start: int, values: Any) -> _State:
    import numpy as np

    total = prod(grid(state.shape, state.sizes))
    unit, size = _units(state, start, values.size), magnitudes(values)
    scores: Any
    if state.norm == "linf":
        scores = np.zeros(total + 1)
        with np.errstate(invalid="ignore"):  # a NaN makes its unit one
            np.maximum.at(scores, unit, size)
    else:
        weights = size * size if state.norm in ("l2", "rms") else size
        scores = np.bincount(unit, weights, total + 1)
    return _merge(state, _State(state.shape, state.sizes, state.norm, scores[:total]))


def _merge(state: _State, later: _State) -> _State:
    import numpy as np

    if state.scores is None or later.scores is None:
        state.scores = later.scores if state.scores is None else state.scores
        return state
    join: Callable[..., Any] = np.maximum if state.norm == "linf" else np.add
    with np.errstate(invalid="ignore"):
        join(state.scores, later.scores, out=state.scores)
    return state


def _finish(state: _State) -> Any:
    import numpy as np

    units, scores = grid(state.shape, state.sizes), state.scores
    scores = np.zeros(units) if scores is None else scores.reshape(units)
    if state.norm in ("mean", "rms"):
        scores = scores / max(1, prod(state.sizes))
    return np.sqrt(scores) if state.norm in ("l2", "rms") else scores


UNIT_SCORES = Reduce("unit_scores", _infer, _State, _fold, _merge, _finish)


def unit_scores(x: Expr, sizes: Sequence[int], norm: str) -> Expr:
    """The score of every unit, made of its own elements: for so many small units that their scores
    shall not be held. float64, elements added in C order.

    >>> from weightsurgeon.expr import array
    >>> unit_scores(array([3.0, -4.0, 1.0, 0.0, 9.0]), (2,), "l2").numpy().tolist()
    [5.0, 1.0]
    """
    return apply(UNITS, x, sizes=tuple(sizes), norm=norm)


def _units_infer(specs: Specs, sizes: tuple[int, ...], norm: str) -> TensorSpec:
    (x,) = specs
    _infer(specs, x.shape, sizes, norm)
    return TensorSpec(dtype_of("float64"), grid(x.shape, sizes))


def _units_pull(expr: Expr, block: Block) -> list[Block]:
    sizes = expr.params["sizes"]
    return [tuple((lo * s, hi * s) for (lo, hi), s in zip(block, sizes, strict=True))]


def _units_of(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    sizes, norm = expr.params["sizes"], expr.params["norm"]
    scores = np.zeros(block_shape(block))
    with np.errstate(invalid="ignore"):
        for place in np.ndindex(*sizes):
            part = tuple(slice(at, None, size) for at, size in zip(place, sizes, strict=True))
            size = magnitudes(values[0][part])
            if norm == "linf":
                np.maximum(scores, size, out=scores)
            else:
                scores += size * size if norm in ("l2", "rms") else size
    if norm in ("mean", "rms"):
        scores /= max(1, prod(sizes))
    return np.sqrt(scores) if norm in ("l2", "rms") else scores


UNITS = Op("units", _units_infer, _units_pull, _units_of)


def spread(mask: Expr, shape: tuple[int, ...], sizes: tuple[int, ...], axes: Any = None) -> Expr:
    """What is decided of units, for each of their elements; what belongs to none is kept.

    >>> from weightsurgeon.expr import array
    >>> spread(array([True, False]), (5,), (2,)).numpy().astype(int).tolist()
    [1, 1, 0, 0, 1]
    """
    return apply(SPREAD, mask, shape=tuple(shape), sizes=tuple(sizes), axes=axes)


def _spread_infer(specs: Specs, shape: Any, sizes: Any, axes: Any) -> TensorSpec:
    (mask,) = specs
    if mask.shape != grid(shape, sizes):
        raise SpecError(f"units {sizes} of {shape} are not {mask}")
    return TensorSpec(mask.dtype, shape, axes)


def _spread_pull(expr: Expr, block: Block) -> list[Block]:
    units = zip(block, expr.params["sizes"], expr.inputs[0].spec.shape, strict=True)
    return [tuple((min(lo // s, n), min(-(-hi // s), n)) for (lo, hi), s, n in units)]


def _spread(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    (found,) = values
    for axis, ((lo, hi), size) in enumerate(zip(block, expr.params["sizes"], strict=True)):
        index = np.arange(lo, hi) // size
        inside = index < expr.inputs[0].spec.shape[axis]
        first = min(lo // size, expr.inputs[0].spec.shape[axis])
        wide = np.ones((*found.shape[:axis], hi - lo, *found.shape[axis + 1 :]), bool)
        where = (slice(None),) * axis
        wide[(*where, inside)] = found[(*where, index[inside] - first)]
        found = wide
    return found


SPREAD = Op("spread", _spread_infer, _spread_pull, _spread)
