"""How the same values may lie in two frameworks, and how far two arrays are apart.

Keras has channels last, torch first; recurrent modules of torch may have the steps first; a map
that is flattened lies in its framework's order. Of the arrangements that fit by shape the nearest
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..expr import Array

Shape = tuple[int, ...]


class Gap(NamedTuple):
    """How far two arrays are apart: the worst |Δ|, its index, and the largest |value| of ours."""

    worst: float
    at: tuple[int, ...]
    scale: float = 1.0

    def within(self, atol: float) -> bool:
        """Whether they agree; inner values above one are allowed an error in their proportion."""
        return self.worst <= atol * max(1.0, self.scale)


def apart(x: Array, y: Array) -> Gap:
    """The largest difference of arrays of one shape; NaN agrees with NaN alone."""
    import numpy as np

    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not a.size:
        return Gap(0.0, ())
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    gap[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
    gap[np.isnan(gap)] = np.inf
    at = np.unravel_index(int(gap.argmax()), gap.shape)
    finite = np.abs(a[np.isfinite(a)])
    return Gap(float(gap[at]), tuple(map(int, at)), float(finite.max(initial=0)))


def moved(y: Array) -> Iterator[Array]:
    """The array as it is, with its channels last, and with its channels first."""
    import numpy as np

    yield y
    if y.ndim > 2:
        yield np.moveaxis(y, 1, -1)
        yield np.moveaxis(y, -1, 1)


def inner(y: Array, shape: Shape, maps: Iterable[Shape] = ()) -> Iterator[Array]:
    """How an array inside a model may lie: also steps first, heads joined, a map flattened.

    `maps` are the maps, channels last, that a layer takes flattened.
    """
    import numpy as np

    yield from moved(y)
    if y.ndim == 3:
        yield np.swapaxes(y, 0, 1)
    if y.ndim == len(shape) + 1 and y.ndim > 2:
        yield y[:, -1]  # of a sequence, the last
        yield np.swapaxes(y, 0, 1)[:, -1]
    for x in (y, *(np.swapaxes(y, 0, 1) for _ in range(y.ndim == 3))):
        if x.size == np.prod(shape) and x.shape[:2] == shape[:2]:
            yield x.reshape(shape)
    for h in maps:
        if y.ndim == 2 and y.shape[1] == np.prod(h):
            first = y.reshape(len(y), h[-1], *h[:-1])
            yield np.moveaxis(first, 1, -1).reshape(y.shape)
            yield np.moveaxis(y.reshape(len(y), *h), -1, 1).reshape(y.shape)


def nearest(x: Array, arrangements: Iterable[Array]) -> tuple[Gap, Array] | None:
    """The smallest gap of those that fit, and who has it; None where no shape fits."""
    fitting = [(apart(x, y), y) for y in arrangements if y.shape == x.shape]
    return min(fitting, key=lambda found: found[0].worst, default=None)
