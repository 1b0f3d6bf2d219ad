"""The largest singular value of a matrix, and its stable rank ‖W‖F² / ‖W‖₂².

Up to a short side of `SIDE` the Gram matrix tells them exactly (to rounding); beyond, the power
method gives a lower bound of the norm, hence an upper bound of the rank. Both read blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ..expr import Expr, evaluate
from .showing import number, plain

if TYPE_CHECKING:
    from ..expr import Array

BLOCK = 2**20  # elements of a matrix that are read at once
SIDE = 1024
STEPS = 30  # of the power method


class Spectrum(NamedTuple):
    """Of a matrix: norm ‖W‖₂, stable rank; `exact` is False where the norm is a lower bound."""

    norm: float
    stable_rank: float
    exact: bool

    def __str__(self) -> str:
        norm, rank = ("=", "=") if self.exact else ("≥", "≤")
        return f"‖W‖₂ {norm} {number(self.norm)}, stable rank {rank} {number(self.stable_rank)}"

    def to_json(self) -> dict[str, Any]:
        """The spectrum as data."""
        return plain(self._asdict())  # type: ignore[no-any-return]


def spectrum_of(x: Expr) -> Spectrum | None:
    """The spectrum of a matrix of finite values, in float64; None for zeros.

    >>> from weightsurgeon.expr import array
    >>> found = spectrum_of(array([[3.0, 0.0], [0.0, 4.0]]))
    >>> round(found.norm, 6), round(found.stable_rank, 6), found.exact
    (4.0, 1.5625, True)
    """
    import numpy as np

    exact = min(x.spec.shape, default=0) <= SIDE
    if not x.spec.size:
        return None
    if exact:
        values = np.linalg.eigvalsh(_gram(x))
        squares, most = float(values.sum()), float(values[-1])
    else:
        squares, most = _power(x)
    return Spectrum(sqrt(most), squares / most, exact) if most > 0 else None


def _blocks(x: Expr, along: int) -> Iterator[Array]:
    """The matrix in blocks along an axis, in float64."""
    long, side = x.spec.shape[along], x.spec.shape[1 - along]
    step = max(1, BLOCK // side)
    for lo in range(0, long, step):
        span = (lo, min(lo + step, long))
        yield evaluate(x, (span, (0, side)) if along == 0 else ((0, side), span)).astype("f8")


def _gram(x: Expr) -> Array:
    """W Wᵀ or Wᵀ W, whichever is smaller, from blocks along the long side."""
    import numpy as np

    rows, columns = x.spec.shape
    tall = rows >= columns
    total = np.zeros((min(rows, columns),) * 2)
    for part in _blocks(x, 0 if tall else 1):
        total += part.T @ part if tall else part @ part.T
    return total


def _power(x: Expr) -> tuple[float, float]:
    """‖W‖F², and ‖W v‖² for the v that 30 steps from a fixed start arrive at."""
    import numpy as np

    v = np.random.default_rng(0).standard_normal(x.spec.shape[1])
    squares = most = 0.0
    for _ in range(STEPS):
        v /= np.linalg.norm(v) or 1
        squares, most, turned = 0.0, 0.0, np.zeros_like(v)
        for part in _blocks(x, 0):
            seen = part @ v
            squares += float(np.vdot(part, part))
            most += float(seen @ seen)
            turned += part.T @ seen
        v = turned
    return squares, most
