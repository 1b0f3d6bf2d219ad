"""The statistics of one tensor, from what its runs add up to: a reduction row of one pass."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isfinite, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError
from ..expr import Reduce
from ..spec import TensorSpec, dtype_of
from . import patterns
from .moments import SMALL, Partial, measured, merge

if TYPE_CHECKING:
    from ..expr import Array

LEVELS = (0.01, 0.05, 0.25, 0.3, 0.5, 0.75, 0.95, 0.99, 0.999)
RESOLVED = 4  # bins that a standard deviation must span for higher moments to mean anything


class Summary(NamedTuple):
    """Statistics of a tensor's finite values; None where there is none to tell.

    std        of the population · l1, l2 norms · min, max (of complex numbers: of the modulus)
    tiny       non-zero values below the smallest normal number of the dtype
    first_bad  flat index of the first NaN or Inf
    quantiles  level → |w| such that at least this share is not larger; order statistics
    bound      how far they may be off, relative to themselves; 0 is exact
    low        exponent of the first entry of `counts`: how many |w| lie in [2^e, 2^(e+1))
    unique     how many different integers, None where more than 256 or no integers
    """

    n: int = 0
    nan: int = 0
    inf: int = 0
    first_bad: int | None = None
    zeros: int = 0
    tiny: int = 0
    mean: float | None = None
    std: float | None = None
    l1: float | None = None
    l2: float | None = None
    min: float | int | None = None
    max: float | int | None = None
    skew: float | None = None
    kurtosis: float | None = None
    quantiles: Mapping[float, float] | None = None
    bound: float | None = None
    low: int | None = None
    counts: tuple[int, ...] = ()
    unique: int | None = None

    @property
    def largest(self) -> float | None:
        """max |w|."""
        if self.min is None or self.max is None:
            return None
        return float(max(abs(self.min), abs(self.max)))


def _infer(specs: tuple[TensorSpec, ...], dtype: str, size: int) -> None:
    if specs[0].dtype.name != dtype or specs[0].size != size:
        raise SpecError(f"statistics of {dtype}, {size} elements, asked of {specs[0]}")


def _start(dtype: str, size: int) -> Partial:
    return Partial(dtype_of(dtype), size)


def _fold(state: Partial, start: int, values: Array) -> Partial:
    return merge(state, measured(state.dtype, state.size, start, values))


def summarized(state: Partial) -> Summary:
    """The statistics of what was seen."""
    if patterns.is_exact(state.dtype) and state.counts is not None:
        _from_counts(state)
    found = Summary(nan=state.nan, inf=state.inf, first_bad=state.first_bad)
    if not state.n:
        return found
    std = sqrt(state.m2 / state.n)
    found = found._replace(
        n=state.n,
        zeros=state.zeros,
        mean=state.mean,
        std=std,
        l1=state.l1,
        l2=sqrt(state.m2 + state.n * state.mean * state.mean),
        min=state.low,
        max=state.high,
        unique=len(state.unique) if state.unique is not None else None,
    )
    if state.counts is not None:
        found = found._replace(**_of_counts(state, std))
    if state.kept is not None:
        found = found._replace(**_of_kept(state, state.kept))
    return found


def _from_counts(state: Partial) -> None:
    """Moments of values whose every pattern was counted."""
    import numpy as np

    rows, counts = patterns.table(state.dtype), state.counts
    assert counts is not None  # noqa: S101  # for the type checker; the caller looked
    state.nan = int(counts[rows.nan].sum())
    state.inf = int(counts[rows.bad].sum()) - state.nan
    held = rows.order[counts[rows.order] > 0]
    values, times = rows.centres[held], counts[held].astype("f8")
    state.n = int(counts[held].sum())
    if not state.n:
        return
    state.zeros = int(counts[held][values == 0].sum())
    state.low, state.high = float(values.min()), float(values.max())
    state.mean = state.low if state.low == state.high else float(times @ values) / state.n
    apart = values - state.mean
    state.m2 = 0.0 if state.low == state.high else float(times @ (apart * apart))
    state.l1 = float(times @ np.abs(values))
    if state.dtype.kind != "float":
        state.low, state.high = int(state.low), int(state.high)


def _of_counts(state: Partial, std: float) -> dict[str, Any]:
    """What the counts of patterns tell: quantiles, tiny values, shape, the histogram."""
    import numpy as np

    rows, counts = patterns.table(state.dtype), state.counts
    assert counts is not None  # noqa: S101  # for the type checker; the caller looked
    tiny = int(counts[rows.tiny].sum()) - state.zeros
    bound, largest = patterns.relative_bound(state.dtype), max(abs(state.low), abs(state.high))
    found: dict[str, Any] = {
        "tiny": tiny,
        "bound": bound,
        "quantiles": _quantiles(state, np.cumsum(counts[rows.order]), largest),
        **_binades(rows, counts, state.zeros),
    }
    if isfinite(std) and std > RESOLVED * bound * largest:
        held = rows.order[counts[rows.order] > 0]
        z, times = (rows.centres[held] - state.mean) / std, counts[held] / state.n
        found |= {"skew": float(times @ z**3), "kurtosis": float(times @ z**4)}
    return found


def _quantiles(state: Partial, running: Array, largest: float) -> dict[float, float]:
    import numpy as np

    rows, found = patterns.table(state.dtype), {}
    for level in LEVELS:
        rank = max(1, ceil(level * state.n))
        at = int(np.searchsorted(running, rank))
        centre = abs(float(rows.centres[rows.order[at]]))
        found[level] = 0.0 if rank <= state.zeros else min(centre, float(largest))
    return found


def _binades(rows: patterns.Table, counts: Array, zeros: int) -> dict[str, Any]:
    import numpy as np

    held = rows.order[counts[rows.order] > 0]
    exponents, times = rows.exponents[held], counts[held].copy()
    small = np.isin(held, rows.tiny)  # zeros lie among them
    below = int(times[small].sum()) - zeros
    exponents, times = exponents[~small], times[~small]
    low = int(exponents.min()) if exponents.size else None
    if below:
        low = int(rows.exponents[rows.tiny[0]])
    if low is None:
        return {}
    bins = np.zeros(max([int(exponents.max(initial=low)), low]) - low + 1, np.int64)
    np.add.at(bins, exponents - low, times)
    bins[0] += below
    return {"low": low, "counts": tuple(bins.tolist())}


def _of_kept(state: Partial, kept: Array) -> dict[str, Any]:
    """What a sort of all magnitudes tells, exactly."""
    import numpy as np

    ordered, n = np.sort(kept), state.n
    levels = {q: float(ordered[max(1, ceil(q * n)) - 1]) for q in LEVELS}
    found: dict[str, Any] = {"quantiles": levels, "bound": 0.0}
    normal = patterns.smallest_normal(state.dtype) if state.dtype.kind == "float" else 0.0
    below = int(((ordered > 0) & (ordered < normal)).sum())
    above = ordered[(ordered > 0) & (ordered >= normal)]
    exponents = np.frexp(above)[1] - 1
    if below:
        exponents = np.concatenate([np.full(below, np.frexp(normal)[1] - 2), exponents])
    if exponents.size:
        low = int(exponents.min())
        counts = np.bincount(exponents - low)
        found |= {"low": low, "counts": tuple(counts.tolist())}
    return found | {"tiny": below}


STATISTICS = Reduce("statistics", _infer, _start, _fold, merge, summarized)
__all__ = ["LEVELS", "SMALL", "STATISTICS", "Summary", "summarized"]
