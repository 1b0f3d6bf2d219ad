"""Kernels as pictures: the first layer in the colours of its inputs, hidden ones map by map.

A kernel is `kh kw in out`. Three inputs are drawn as red, green and blue around mid-grey; one
input, and every single map, on the diverging scale. The scale is told: by filter, one for all, or
min–max.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from . import lettering
from .colours import around_grey, diverging, limit_of, spread
from .drawing import Drawing, Mark, Text, grid, moved, scale_bar
from .factors import CAVEAT, Factors, colours_of, factorise

Scale = Literal["filter", "global", "minmax"]


def kernels(
    kernel: Any,
    title: str = "",
    scale: Scale = "filter",
    units: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    zoom: int = 8,
) -> Drawing:
    """The filters of a first layer, one a unit: RGB for 3 inputs, the fourth of 4 apart.

    Errors: ValueError for a kernel of other inputs than 1, 3 or 4: factor or expand it instead.
    """
    import numpy as np

    kernel = np.asarray(kernel, np.float64)
    inputs = kernel.shape[2]
    if inputs not in (1, 3, 4):
        raise ValueError(f"{inputs} input channels are no colours: `nmf` or `small-multiples`")
    chosen = list(range(kernel.shape[3])) if units is None else list(units)
    names = [str(u) for u in chosen] if labels is None else [labels[u] for u in chosen]
    colour = kernel[..., : 3 if inputs > 1 else 1, :]
    images, words = _scaled(colour, chosen, scale)
    drawing = Drawing(title or "filters")
    columns = max(1, min(len(images), 640 // (kernel.shape[1] * zoom + 5)))
    below = _place(drawing, grid(images, zoom, columns, names), 2 * lettering.HEIGHT)
    if inputs == 4:
        fourth, _ = _scaled(kernel[..., 3:, :], chosen, scale)
        drawing.add(Text(0, below, "the fourth input channel"))
        below = _place(drawing, grid(fourth, zoom, columns, names), below + lettering.HEIGHT)
    drawing.add(Text(0, 0, title), *_scale(colour, scale, words, below + 4))
    return drawing


def _scaled(kernel: Any, units: list[int], scale: Scale) -> tuple[list[Any], str]:
    import numpy as np

    shown = kernel[..., units]
    everywhere = limit_of(shown)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    images = []
    for u in units:
        filter_ = kernel[..., u]
        limit = limit_of(filter_) if scale == "filter" else everywhere
        if scale == "minmax":
            pixels = spread(filter_, low, high)
        elif kernel.shape[2] == 1:
            pixels = diverging(filter_[..., 0], limit)
        else:
            pixels = around_grey(filter_, limit)
        images.append(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    each = "each filter by its own" if scale == "filter" else "all filters by one"
    words = {
        "minmax": f"black {low:.3g}, white {high:.3g}: zero has no colour of its own",
        "filter": f"{each} largest weight; the largest of all is ±{everywhere:.3g}",
        "global": f"{each} largest weight, ±{everywhere:.3g}",
    }
    return images, words[scale]


def _scale(kernel: Any, scale: Scale, words: str, y: float) -> list[Mark]:
    marks: list[Mark] = [Text(0, y, words)]
    if kernel.shape[2] == 1 and scale != "minmax":
        marks += moved(scale_bar(limit_of(kernel)), 0, y + lettering.HEIGHT + 2)
    elif scale != "minmax":
        marks.append(Text(0, y + lettering.HEIGHT, "mid-grey is 0; colours are the input channels"))
    return marks


def _place(drawing: Drawing, marks: Any, y: float) -> float:
    """Put marks below what is there; where the next may go."""
    drawing.add(*moved(marks, 0, y))
    return drawing.size[1]


def nmf(
    kernel: Any, title: str = "", units: Sequence[int] | None = None, k: int = 3, zoom: int = 8
) -> tuple[Drawing, Factors]:
    """Hidden kernels in k colours, by one joint factorisation of the units that are shown."""
    import numpy as np

    kernel = np.asarray(kernel, np.float32)
    chosen = list(range(kernel.shape[3])) if units is None else list(units)
    h, w, channels, _ = kernel.shape
    rows = kernel[..., chosen].transpose(3, 0, 1, 2).reshape(-1, channels)
    found = factorise(rows, k)
    colours = np.rint(colours_of(found) * 255).astype(np.uint8).reshape(len(chosen), h, w, 3)
    drawing = Drawing(title or "hidden kernels in factors")
    columns = max(1, min(len(chosen), 640 // (w * zoom + 5)))
    names = [str(u) for u in chosen]
    below = _place(drawing, grid(list(colours), zoom, columns, names), 2 * lettering.HEIGHT)
    drawing.add(Text(0, 0, title))
    for i, line in enumerate(_explained(found, k)):
        drawing.add(Text(0, below + 4 + i * lettering.HEIGHT, line))
    return drawing, found


def _explained(found: Factors, k: int) -> list[str]:
    lines = [
        f"{k} factors explain {found.explained:.1%} (at best {found.bound:.1%};"
        f" noise of this shape: {found.random:.1%}){'' if found.structured else ': no structure'}"
    ]
    for j, name in enumerate(("red", "green", "blue") if k == 3 else map(str, range(k))):
        top = ", ".join(f"{c} ({w:+.2f})" for c, w in found.top_channels(j, 4))
        lines.append(f"{name}: input channels {top}")
    return [*lines, CAVEAT]


def small_multiples(
    kernel: Any, title: str = "", units: Sequence[int] | None = None, top: int = 8, zoom: int = 6
) -> Drawing:
    """A grid of single maps: a row a unit, its inputs with the largest ‖map‖ first."""
    import numpy as np

    kernel = np.asarray(kernel, np.float64)
    chosen = list(range(min(8, kernel.shape[3]))) if units is None else list(units)
    limit = limit_of(kernel[..., chosen])
    images, names = [], []
    for u in chosen:
        norms = np.sqrt(np.square(kernel[..., u]).sum((0, 1)))
        for c in np.argsort(-norms, kind="stable")[:top]:
            images.append(diverging(kernel[:, :, c, u], limit))
            names.append(f"{c}→{u}")
    drawing = Drawing(title or "maps, input → unit")
    columns = max(1, min(top, kernel.shape[2]))
    below = _place(drawing, grid(images, zoom, columns, names), 2 * lettering.HEIGHT)
    drawing.add(Text(0, 0, title), *moved(scale_bar(limit), 0, below + 4))
    return drawing
