"""What one run of values adds up to, and how runs are merged.

Sums of squares are taken about the run's own mean, so that 10⁶ + noise loses nothing, and merged
as Chan, Golub and LeVeque do (1979). Runs are fixed by the tensor, so the result has the same bits
for any blocks and threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from ..spec import DType
from . import patterns

if TYPE_CHECKING:
    from ..expr import Array

PIECE = 4096  # products are summed in float32 over so many, and in float64 beyond
SAFE = (1e-30, 1e37)  # outside, squares in float32 lose bits
FEW = 256  # different integers that are kept


@dataclass
class Partial:
    """What is known of the values seen so far; `n`, moments and extremes are of the finite ones.

    counts  of each pattern, where the dtype has them · kept  all magnitudes of a small tensor
    unique  the integers seen, None once they are more than `FEW`
    """

    dtype: DType
    size: int
    n: int = 0
    nan: int = 0
    inf: int = 0
    first_bad: int | None = None
    zeros: int = 0
    mean: float = 0.0
    m2: float = 0.0
    l1: float = 0.0
    low: Any = None
    high: Any = None
    counts: Array | None = None
    kept: Array | None = None
    unique: frozenset[int] | None = frozenset()


SMALL = 1000  # a sort of so many costs what a table of counts costs, and is exact


def measured(dtype: DType, size: int, start: int, values: Array) -> Partial:
    """What one run of a tensor of `size` elements adds up to; `start` is its first flat index."""
    if patterns.is_exact(dtype):
        return _counted(dtype, size, start, values)
    run = Partial(dtype, size)
    if dtype.kind == "float" and size > SMALL:
        run.counts = patterns.count(values)
    finite = _finite(run, start, values)
    run.n = int(finite.size)
    run.zeros = _zeros(run, finite)
    if run.n:
        _moments(run, finite)
    if size <= SMALL:
        run.kept = _magnitudes(finite)
    run.unique = _few(finite) if dtype.kind in ("int", "uint") else None
    return run


def _zeros(run: Partial, values: Array) -> int:
    """How many are 0; where the counts show nothing that small, they are not looked at."""
    import numpy as np

    if run.counts is not None and not run.counts[patterns.table(run.dtype).tiny].any():
        return 0
    return int(values.size - np.count_nonzero(values))


def _magnitudes(values: Array) -> Array:
    """|w| in float64; of complex numbers the modulus."""
    import numpy as np

    with np.errstate(over="ignore"):
        wide = values.astype("c16" if values.dtype.kind == "c" else "f8")
        return np.asarray(np.abs(wide))


def _few(values: Array) -> frozenset[int] | None:
    import numpy as np

    found = np.unique(values)
    return frozenset(found.tolist()) if found.size <= FEW else None


def _counted(dtype: DType, size: int, start: int, values: Array) -> Partial:
    """A run of a dtype of few patterns: their counts say everything but the first bad index."""
    import numpy as np

    counts = patterns.count(values)
    rows = patterns.table(dtype)
    bad = int(counts[rows.bad].sum())
    first = None
    if bad:
        with np.errstate(invalid="ignore"):  # ml_dtypes says so of every NaN
            first = start + int(np.flatnonzero(~np.isfinite(values))[0])
    return Partial(dtype, size, first_bad=first, counts=counts, unique=None)


def _finite(run: Partial, start: int, values: Array) -> Array:
    """The finite values; the others are counted."""
    import numpy as np

    if _all_finite(run, values):
        return values
    good = np.isfinite(values)
    if good.all():
        return values
    run.nan = int(np.isnan(values).sum())
    run.inf = int(values.size - good.sum()) - run.nan
    run.first_bad = start + int(np.flatnonzero(~good)[0])
    return np.asarray(values[good])


def _all_finite(run: Partial, values: Array) -> bool:
    """Whether the counts, or the dtype, say at once that there is no NaN and no Inf."""
    if run.counts is not None:
        return not run.counts[patterns.table(run.dtype).bad].any()
    return values.dtype.kind in "iu"


def _moments(run: Partial, values: Array) -> None:
    import numpy as np

    if values.dtype.kind == "c":
        values = _magnitudes(values)
    low, high = values.min(), values.max()
    run.low, run.high = low.item(), high.item()
    with np.errstate(all="ignore"):
        wide = values.astype("f8")  # one conversion for all sums; |int8(-128)| = 128
        total = float(wide.sum())
        run.l1 = float(np.abs(wide, out=wide).sum())
        if low == high:  # constant: no rounding of a sum may make a spread of it
            run.mean = float(low)
        else:  # also where the sum is larger than any float64
            n = values.size
            run.mean = total / n if isfinite(total) else float((values / n).sum())
            run.m2 = _squares(values, run.mean)


def _squares(values: Array, mean: float) -> float:
    """Σ (v − mean)², in float32 by pieces where that keeps the bits, else in float64."""
    import numpy as np

    if values.dtype == np.float32:
        shift = np.float32(mean)
        apart = values - shift
        total = _dot(apart)
        if SAFE[0] < total < SAFE[1]:
            return max(0.0, total - values.size * (mean - float(shift)) ** 2)
    wide = values.astype("f8") - mean
    total, rest = _dot(wide), float(wide.sum())
    return max(0.0, total - rest * rest / values.size) if isfinite(total) else inf


def _dot(x: Array) -> float:
    """Σ x² by pieces in the dtype of x, their sums in float64; no piece is worth a BLAS's threads,
    which would burn time and add up in another order."""
    import numpy as np

    cut = x.size // PIECE * PIECE
    rows, tail = x[:cut].reshape(-1, PIECE), x[cut:]
    sums = np.matmul(rows[:, None, :], rows[:, :, None])
    return float(sums.sum(dtype="f8")) + float(np.dot(tail, tail))


def merge(state: Partial, later: Partial) -> Partial:
    """Add what follows to what is known; `state` takes it up."""
    import numpy as np

    if state.counts is None or later.counts is None:
        state.counts = later.counts if state.counts is None else state.counts
    else:
        np.add(state.counts, later.counts, out=state.counts)
    if later.kept is not None:
        state.kept = np.concatenate([k for k in (state.kept, later.kept) if k is not None])
    if state.first_bad is None:
        state.first_bad = later.first_bad
    state.nan, state.inf = state.nan + later.nan, state.inf + later.inf
    both = None if None in (state.unique, later.unique) else state.unique | later.unique  # type: ignore[operator]
    state.unique = both if both is None or len(both) <= FEW else None
    if later.n:
        _merge_moments(state, later)
    return state


def _merge_moments(state: Partial, later: Partial) -> None:
    apart, n = later.mean - state.mean, state.n + later.n
    if state.n:
        state.m2 += later.m2 + apart * apart * (state.n / n) * later.n
        if isfinite(apart):
            state.mean += apart * (later.n / n)
        else:  # as far apart as float64 reaches
            state.mean = state.mean * (state.n / n) + later.mean * (later.n / n)
        state.low, state.high = min(state.low, later.low), max(state.high, later.high)
    else:
        state.mean, state.m2, state.low, state.high = later.mean, later.m2, later.low, later.high
    state.l1, state.zeros, state.n = state.l1 + later.l1, state.zeros + later.zeros, n
