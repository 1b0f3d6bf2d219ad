"""Which connections carry a unit, how long the tail is, and whether kernels have bands.

A top list without its tail misleads: the participation ratio says how many connections share the
weight, from 1 (one holds all) to n (all the same; Gaussian weights: n/3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Connection:
    """One input of a unit, or one output: norm over space, signed by the sum, and its share."""

    channel: int
    weight: float
    share: float


@dataclass(frozen=True)
class Connections:
    """The strongest connections, and the tail behind them.

    participation  (Σw²)² / Σw⁴ · holding: share of ‖w‖² → how many connections it takes
    """

    top: tuple[Connection, ...]
    count: int
    participation: float
    holding: dict[float, int]

    @property
    def share(self) -> float:
        """What the shown connections hold of ‖w‖²."""
        return sum(c.share for c in self.top)


def connections(kernel: Any, unit: int, top: int = 10, outgoing: bool = False) -> Connections:
    """The connections of a unit in a kernel `… in out`: its inputs, or where it goes.

    >>> import numpy as np
    >>> found = connections(np.array([[3.0], [-4.0], [0.0]]), unit=0, top=1)
    >>> found.top[0].channel, found.top[0].weight, round(found.share, 2)
    (1, -4.0, 0.64)
    """
    import numpy as np

    kernel = np.asarray(kernel, np.float64)
    maps = kernel[..., unit, :] if outgoing else kernel[..., unit]
    maps = maps.reshape(-1, maps.shape[-1])
    norms = np.sqrt(np.square(maps).sum(0))
    signed = np.where(maps.sum(0) < 0, -norms, norms)
    squares = np.square(norms)
    total = float(squares.sum())
    order = np.argsort(-squares, kind="stable")
    shares = squares / (total or 1)
    found = tuple(
        Connection(int(c), float(signed[c]), float(shares[c])) for c in order[: max(0, top)]
    )
    return Connections(found, len(norms), participation(norms), _holding(shares[order]))


def participation(weights: Any) -> float:
    """(Σw²)² / Σw⁴: how many weights share the norm; 0 where all are 0.

    >>> participation([0.0, 5.0, 0.0]), participation([2.0, 2.0, 2.0])
    (1.0, 3.0)
    """
    import numpy as np

    squares = np.square(np.asarray(weights, np.float64))
    squares = squares / (squares.max() or 1) if squares.size else squares
    whole = float(np.square(squares).sum())
    return float(squares.sum() ** 2 / whole) if whole else 0.0


def _holding(shares: Any, levels: Sequence[float] = (0.5, 0.9, 0.99)) -> dict[float, int]:
    import numpy as np

    sums = np.cumsum(shares)
    if not len(sums) or not sums[-1]:
        return dict.fromkeys(levels, 0)
    return {
        level: int(np.searchsorted(sums, level * sums[-1] * (1 - 1e-12))) + 1 for level in levels
    }


@dataclass(frozen=True)
class Banding:
    """How much of a kernel's spatial variation lies in bands, and how much noise would show."""

    horizontal: float
    vertical: float
    horizontal_chance: float
    vertical_chance: float

    @property
    def banded(self) -> bool:
        """Whether either direction holds more than twice what noise does."""
        return (
            self.horizontal > 2 * self.horizontal_chance or self.vertical > 2 * self.vertical_chance
        )


def banding(kernel: Any) -> Banding:
    """Share of a kernel's energy about its spatial mean that row means and column means hold.

    Noise in `h w` holds (h − 1)/(h·w − 1) in its row means (5×5: 1/6).
    """
    import numpy as np

    k = np.asarray(kernel, np.float64)
    h, w = k.shape[:2]
    d = k - k.mean((0, 1))
    total = float(np.square(d).sum())
    rows = float(np.square(d.mean(1)).sum()) * w / total if total else 0.0
    columns = float(np.square(d.mean(0)).sum()) * h / total if total else 0.0
    cells = max(1, h * w - 1)
    return Banding(rows, columns, (h - 1) / cells, (w - 1) / cells)
