"""SVG and PNG say the same, and a hostile name stays text."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from weightsurgeon.inspection.drawing import Drawing, Image, Rect, Text, grid, scale_bar

PIXELS = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)


def test_pixels_lie_where_they_were_put() -> None:
    drawing = Drawing("x", [Rect(0, 0, 6, 4, "#00ff00"), Image(1, 1, PIXELS, zoom=2)])
    assert drawing.size == (6, 4)
    pixels = drawing.pixels()
    assert pixels[0, 0].tolist() == [0, 255, 0]
    assert pixels[1:3, 1:3].tolist() == [[[255, 0, 0]] * 2] * 2
    assert pixels[2, 4].tolist() == [0, 0, 255]


def test_text_is_as_wide_as_it_says() -> None:
    drawing = Drawing("x", [Text(100, 0, "12", end=True)])
    assert drawing.size == (100, 9)
    ink = (drawing.pixels() != 255).any(2).any(0)
    assert ink[88:99].any()
    assert not ink[:88].any()


def test_svg_is_whole_and_escapes() -> None:
    hostile = "<script>alert(1)</script>"
    drawing = Drawing(hostile, [Text(0, 0, hostile + "\u202e"), Image(0, 10, PIXELS)])
    text = drawing.svg()
    root = ElementTree.fromstring(text)
    assert "<script" not in text
    assert "\u202e" not in text
    assert root.attrib["width"]
    assert [e.tag.rpartition("}")[2] for e in root] == ["title", "rect", "text", "image"]


def test_an_empty_drawing_is_one_pixel() -> None:
    assert Drawing("nothing").pixels().shape == (1, 1, 3)


def test_a_grid_has_gaps_and_labels() -> None:
    marks = list(grid([PIXELS] * 3, 4, 2, ["a", "b", "c"]))
    images = [m for m in marks if isinstance(m, Image)]
    assert [(m.x, m.y) for m in images] == [(0, 0), (13, 0), (0, 14)]
    assert list(grid([], 4, 2, [])) == []


def test_the_scale_tells_its_limits() -> None:
    texts = [m.text for m in scale_bar(0.25) if isinstance(m, Text)]
    assert texts == ["−0.25", "+0.25", "0"]
