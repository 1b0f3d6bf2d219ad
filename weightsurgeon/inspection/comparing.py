"""Reductions over two or three tensors: how far they are apart, and in which direction."""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError
from ..expr import Reduce
from ..spec import TensorSpec

if TYPE_CHECKING:
    from ..expr import Array

Specs = tuple[TensorSpec, ...]


def _alike(specs: Specs, **_: Any) -> None:
    if any(s.shape != specs[0].shape for s in specs):
        raise SpecError(f"cannot be compared: {' and '.join(map(str, specs))}")


class Change(NamedTuple):
    """From A to B, element by element; sums are over the pairs that are finite, in float64.

    changed  elements whose values differ (two NaN do not, −0.0 is 0.0) · flips of sign
    worst    largest |b − a|, inf where one is not finite · at: its flat index
    ulp      largest distance in units of the last place; None between dtypes, and for integers
    aa, bb, ad, dd  Σa², Σb², Σa(b − a), Σ(b − a)² · nan: pairs that are both NaN
    """

    n: int = 0
    changed: int = 0
    flips: int = 0
    worst: float = 0.0
    at: int | None = None
    ulp: int | None = None
    nan: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ad: float = 0.0
    dd: float = 0.0

    @property
    def relative(self) -> float | None:
        """‖B − A‖ / ‖A‖."""
        return sqrt(self.dd / self.aa) if self.aa else None

    @property
    def cosine(self) -> float | None:
        """⟨A, B⟩ / ‖A‖‖B‖."""
        if not self.aa or not self.bb:
            return None
        return (self.aa + self.ad) / sqrt(self.aa) / sqrt(self.bb)

    @property
    def scale(self) -> tuple[float, float] | None:
        """The c that makes c·A closest to B, and ‖B − cA‖ / ‖B‖."""
        if not self.aa or not self.bb:
            return None
        left = max(0.0, self.dd - self.ad * self.ad / self.aa)  # exact also where c is nearly 1
        return 1 + self.ad / self.aa, sqrt(left / self.bb)


def _wide(values: Array) -> Array:
    import numpy as np

    with np.errstate(all="ignore"):
        return values.astype("c16" if values.dtype.kind == "c" else "f8")


def _change(state: Change, start: int, a: Array, b: Array) -> Change:
    import numpy as np

    with np.errstate(all="ignore"):
        x, y = _wide(a), _wide(b)
        both_nan = np.isnan(x) & np.isnan(y)
        same = (a == b) if a.dtype == b.dtype else (x == y)
        differ = ~(same | both_nan)
        good = np.isfinite(x) & np.isfinite(y)
        apart = np.where(differ, np.where(good, np.abs(y - x), inf), 0.0)
        apart[np.isnan(apart)] = inf
        flips = differ & good & (np.sign(x.real) * np.sign(y.real) < 0)
    worst = int(apart.argmax())
    places = int(np.count_nonzero(differ))
    if not good.all():
        x, y = x[good], y[good]
    with np.errstate(all="ignore"):
        d = y - x
        sums = (_inner(x, x), _inner(y, y), _inner(x, d), _inner(d, d))
    found = Change(
        a.size,
        places,
        int(flips.sum()),
        float(apart[worst]) if places else 0.0,
        start + worst if places else None,
        _ulp(a[differ], b[differ]) if a.dtype == b.dtype else None,
        int(both_nan.sum()),
        *sums,
    )
    return _merge_change(state, found)


def _inner(x: Array, y: Array) -> float:
    import numpy as np

    return float(np.vdot(x, y).real)


def _ulp(a: Array, b: Array) -> int | None:
    """Largest distance of floats counted in steps from one to the next."""
    import numpy as np

    if a.dtype.kind in "iubc" or not a.size or a.dtype.name in ("float8_e8m0fnu",):
        return None
    with np.errstate(invalid="ignore"):
        good = ~(np.isnan(a) | np.isnan(b))
    x, y = _steps(a[good]), _steps(b[good])
    return int(np.where(x > y, x - y, y - x).max()) if x.size else None


def _steps(values: Array) -> Array:
    """Bits as unsigned numbers in the order of the values, both zeros the same."""
    import numpy as np

    bits = 8 * values.itemsize
    words = values.view(f"u{values.itemsize}").astype(np.uint64)
    half = np.uint64(1 << (bits - 1))
    size = words & np.uint64((1 << (bits - 1)) - 1)
    return np.where(words & half, half - size, half + size)


def _merge_change(state: Change, later: Change) -> Change:
    ahead = state.at is not None and state.worst >= later.worst
    first = state if ahead or later.at is None else later
    ulps = [u for u in (state.ulp, later.ulp) if u is not None]
    return Change(
        state.n + later.n,
        state.changed + later.changed,
        state.flips + later.flips,
        first.worst,
        first.at,
        max(ulps, default=None),
        state.nan + later.nan,
        *(getattr(state, k) + getattr(later, k) for k in ("aa", "bb", "ad", "dd")),
    )


CHANGE = Reduce("change", _alike, Change, _change, _merge_change, lambda state: state)


class Towards(NamedTuple):
    """Σ over O (old), N (new), P (towards): ⟨N−O, P−O⟩, ‖P−O‖², ‖N−O‖²."""

    np: float = 0.0
    pp: float = 0.0
    nn: float = 0.0

    @property
    def tau(self) -> float | None:
        """How far N went from O to P: the τ of a soft update."""
        return self.np / self.pp if self.pp else None

    @property
    def residual(self) -> float | None:
        """‖N − O − τ(P − O)‖ / ‖N − O‖: what is no movement towards P."""
        if self.tau is None or not self.nn:
            return None
        return sqrt(max(0.0, self.nn - self.tau * self.np) / self.nn)

    @property
    def cosine(self) -> float | None:
        """Of the two movements."""
        return self.np / sqrt(self.pp) / sqrt(self.nn) if self.pp and self.nn else None


def _towards(state: Towards, start: int, o: Array, n: Array, p: Array) -> Towards:
    import numpy as np

    with np.errstate(all="ignore"):
        old = _wide(o)
        moved, whole = _wide(n) - old, _wide(p) - old
    good = np.isfinite(moved) & np.isfinite(whole)
    if not good.all():
        moved, whole = moved[good], whole[good]
    with np.errstate(all="ignore"):
        sums = _inner(moved, whole), _inner(whole, whole), _inner(moved, moved)
    return _add(state, Towards(*sums))


def _add(state: Towards, later: Towards) -> Towards:
    return Towards(*(x + y for x, y in zip(state, later, strict=True)))


TOWARDS = Reduce("towards", _alike, Towards, _towards, _add, lambda state: state)
