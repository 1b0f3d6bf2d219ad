"""Numbers as bars: norms by layer, a histogram over log2 |w|, bands; each bar with its number."""

from __future__ import annotations

from collections.abc import Sequence

from . import lettering
from .colours import BLUE, RED
from .connections import Banding
from .drawing import Drawing, Rect, Text

BAR, ROW, HIGH = 240, 12, 80


def bars(title: str, rows: Sequence[tuple[str, float]]) -> Drawing:
    """A horizontal bar a row, on one scale from 0 to the largest; a negative one is blue.

    >>> bars("norms", [("conv1", 2.0), ("fc", 1.0)]).size
    (288, 35)
    """
    finite = [abs(v) for _, v in rows if abs(v) < float("inf")]
    longest = max(finite, default=0.0) or 1.0
    left = lettering.WIDTH * (max((len(label) for label, _ in rows), default=0) + 1)
    drawing = Drawing(title, [Text(0, 0, title)])
    for i, (label, value) in enumerate(rows):
        y = (i + 1) * ROW + 2
        known = abs(value) < float("inf")
        length = abs(value) / longest * BAR if known else 0
        drawing.add(
            Text(left - lettering.WIDTH, y, label, end=True),
            Rect(left, y, length, ROW - 3, RED if value >= 0 else BLUE),
            Text(left + length + lettering.WIDTH, y, f"{value:.3g}"),
        )
    return drawing


def histogram(title: str, low: int, counts: Sequence[int]) -> Drawing:
    """Counts of |w| in powers of two, the first bin at 2**low; both ends of the axis told."""
    most, width = max(counts, default=0) or 1, 6
    drawing = Drawing(title, [Text(0, 0, title)])
    top = ROW + 2
    for i, count in enumerate(counts):
        height = count / most * HIGH
        drawing.add(Rect(i * width, top + HIGH - height, width - 1, height, RED))
    end = len(counts) * width
    drawing.add(
        Rect(0, top + HIGH, max(end, 1), 1),
        Text(0, top + HIGH + 3, f"2^{low}"),
        Text(max(end, 16 * lettering.WIDTH), top + HIGH + 3, f"2^{low + len(counts)}", end=True),
        Text(0, top + HIGH + 3 + lettering.HEIGHT, f"highest bar {most:,}, of {sum(counts):,}"),
    )
    return drawing


def bands(title: str, found: Banding) -> Drawing:
    """The share of a kernel's spatial variation in bands, beside what noise would show."""
    rows = [
        ("horizontal", found.horizontal),
        ("of noise", found.horizontal_chance),
        ("vertical", found.vertical),
        ("of noise", found.vertical_chance),
    ]
    verdict = "banded" if found.banded else "no more than noise"
    return bars(f"{title}: {verdict}", rows)
