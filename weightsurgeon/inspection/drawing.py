"""A drawing is a list of marks (rectangles, texts, pictures) that is rendered as SVG or as PNG.

Both say the same: numbers stand on every scale, so that no picture needs its program.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

from ..errors import shown
from . import lettering
from .colours import rgb
from .png import png

INK, PAPER = "#222222", "#ffffff"


class Rect(NamedTuple):
    """A filled rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float
    colour: str = INK


class Text(NamedTuple):
    """A line of text whose upper left corner, or upper right one (`end`), is at x, y."""

    x: float
    y: float
    text: str
    end: bool = False
    colour: str = INK

    @property
    def left(self) -> float:
        """Where the text begins."""
        return self.x - lettering.WIDTH * len(self.text) if self.end else self.x


class Image(NamedTuple):
    """Pixels `h w 3`, each `zoom` pixels wide."""

    x: float
    y: float
    pixels: Any
    zoom: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on paper."""
        height, width = self.pixels.shape[:2]
        return width * self.zoom, height * self.zoom


Mark = Rect | Text | Image


@dataclass
class Drawing:
    """Marks on paper; `title` is what the picture shows, in words."""

    title: str
    marks: list[Mark] = field(default_factory=list)

    def add(self, *marks: Mark) -> None:
        """Put marks on top of what is there."""
        self.marks += marks

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that hold all marks."""
        corners = [_corner(mark) for mark in self.marks] or [(1.0, 1.0)]
        width, height = (max(c) for c in zip(*corners, strict=True))
        return int(width + 0.999), int(height + 0.999)

    def svg(self) -> str:
        """The drawing as SVG, complete in itself: pictures inside, names escaped, no script."""
        width, height = self.size
        body = "\n".join(_svg(mark) for mark in self.marks)
        title = escape(shown(self.title))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-label="{title}"'
            f' font-family="monospace" font-size="9">\n<title>{title}</title>\n'
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>\n{body}\n</svg>\n'
        )

    def pixels(self) -> Any:
        """The drawing as pixels `h w 3`."""
        import numpy as np

        width, height = self.size
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = rgb(PAPER)
        for mark in self.marks:
            _paint(canvas, mark)
        return canvas

    def png(self) -> bytes:
        """The drawing as a PNG file."""
        return png(self.pixels())


def _corner(mark: Mark) -> tuple[float, float]:
    if isinstance(mark, Rect):
        return mark.x + mark.width, mark.y + mark.height
    if isinstance(mark, Text):
        return mark.left + lettering.WIDTH * len(mark.text), mark.y + lettering.HEIGHT
    return mark.x + mark.size[0], mark.y + mark.size[1]


def _svg(mark: Mark) -> str:
    if isinstance(mark, Rect):
        return (
            f'<rect x="{mark.x:g}" y="{mark.y:g}" width="{mark.width:g}"'
            f' height="{mark.height:g}" fill="{mark.colour}"/>'
        )
    if isinstance(mark, Text):
        anchor = ' text-anchor="end"' if mark.end else ""
        return (
            f'<text x="{mark.x:g}" y="{mark.y + 7:g}" fill="{mark.colour}"{anchor}'
            f' textLength="{lettering.WIDTH * len(mark.text)}">{escape(shown(mark.text))}</text>'
        )
    data = base64.b64encode(png(mark.pixels)).decode()
    width, height = mark.size
    return (
        f'<image x="{mark.x:g}" y="{mark.y:g}" width="{width}" height="{height}"'
        f' style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def _paint(canvas: Any, mark: Mark) -> None:
    import numpy as np

    if isinstance(mark, Rect):
        rows = slice(round(mark.y), round(mark.y + mark.height))
        canvas[rows, round(mark.x) : round(mark.x + mark.width)] = rgb(mark.colour)
    elif isinstance(mark, Text):
        ink = lettering.dots(mark.text)
        x, y = round(mark.left), round(mark.y)
        canvas[y : y + ink.shape[0], x : x + ink.shape[1]][ink] = rgb(mark.colour)
    else:
        large = mark.pixels.repeat(mark.zoom, 0).repeat(mark.zoom, 1)
        large = np.atleast_3d(large)
        x, y = round(mark.x), round(mark.y)
        canvas[y : y + large.shape[0], x : x + large.shape[1]] = large


# -- parts that many drawings share -----------------------------------------------------------


def grid(images: list[Any], zoom: int, columns: int, labels: list[str]) -> Iterator[Mark]:
    """Pictures of one size in rows of `columns`, a gap of one pixel, each above its label."""
    if not images:
        return
    height, width = images[0].shape[:2]
    letters = max((len(label) for label in labels), default=0)
    wide = max(width * zoom, letters * lettering.WIDTH) + 1 + (4 if letters else 0)
    high = height * zoom + 1 + (lettering.HEIGHT if letters else 0)
    for i, image in enumerate(images):
        x, y = i % columns * wide, i // columns * high
        yield Image(x, y, image, zoom)
        if labels:
            yield Text(x, y + height * zoom, labels[i])


def moved(marks: Iterator[Mark] | list[Mark], x: float, y: float) -> list[Mark]:
    """The marks, further right and down."""
    return [mark._replace(x=mark.x + x, y=mark.y + y) for mark in marks]


def scale_bar(limit: float, steps: int = 65) -> list[Mark]:
    """The colours of the diverging scale from −limit to limit, with their numbers."""
    import numpy as np

    from .colours import diverging

    bar = diverging(np.linspace(-1, 1, steps)[None, :].repeat(8, 0), 1.0)
    low, high = f"−{limit:.3g}", f"+{limit:.3g}"
    left = lettering.WIDTH * (len(low) + 1)
    return [
        Text(0, 0, low),
        Image(left, 0, bar, 1),
        Text(left + steps + lettering.WIDTH, 0, high),
        Text(left + steps // 2 - 2, lettering.HEIGHT, "0"),
    ]
