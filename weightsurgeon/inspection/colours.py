"""Numbers as colours: zero is white, negative blue, positive red, the limits always told.

The anchors are ColorBrewer's RdBu (https://colorbrewer2.org), which people who see few colours can
tell apart too; still colour is never the only carrier of a sign.
"""

from __future__ import annotations

from typing import Any

BLUE, PALE_BLUE, WHITE, PALE_RED, RED = "#0571b0", "#92c5de", "#f7f7f7", "#f4a582", "#ca0020"
NEUTRAL_GREY = 128


def rgb(hexadecimal: str) -> tuple[int, int, int]:
    """`#ca0020` as three numbers.

    >>> rgb("#ca0020")
    (202, 0, 32)
    """
    value = int(hexadecimal.lstrip("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255


def limit_of(values: Any) -> float:
    """The largest finite |value|, 0 where there is none: the ± of a symmetric scale."""
    import numpy as np

    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def diverging(values: Any, limit: float) -> Any:
    """Pixels `… 3` of values on a symmetric scale from −limit (blue) over 0 (white) to limit (red).

    Piecewise linear, rounded to nearest. What is not finite is black; a limit of 0 is all white.
    """
    import numpy as np

    values = np.asarray(values, np.float64)
    anchors = np.array([rgb(c) for c in (BLUE, PALE_BLUE, WHITE, PALE_RED, RED)], np.float64)
    finite = np.isfinite(values)
    scaled = np.where(finite, values, 0) / (limit or 1) if limit else np.zeros_like(values)
    at = (np.clip(scaled, -1, 1) + 1) * 2
    places = np.arange(len(anchors))
    channels = [np.interp(at, places, anchors[:, c]) for c in range(3)]
    pixels = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    pixels[~finite] = 0
    return pixels


def around_grey(values: Any, limit: float) -> Any:
    """Values as intensities: x / (2·limit) + ½, so that 0 is mid-grey; `limit` 0 is all grey."""
    import numpy as np

    values = np.asarray(values, np.float64)
    if not limit:
        return np.full(values.shape, NEUTRAL_GREY, np.uint8)
    finite = np.where(np.isfinite(values), values, 0)
    intensity = np.clip(finite / (2 * limit) + 0.5, 0, 1)
    return np.rint(intensity * 255).astype(np.uint8)


def spread(values: Any, low: float, high: float) -> Any:
    """Values as intensities from `low` (black) to `high` (white): zero loses its colour."""
    import numpy as np

    values = np.asarray(values, np.float64)
    if high <= low:
        return np.full(values.shape, NEUTRAL_GREY, np.uint8)
    finite = np.where(np.isfinite(values), values, low)
    return np.rint(np.clip((finite - low) / (high - low), 0, 1) * 255).astype(np.uint8)
