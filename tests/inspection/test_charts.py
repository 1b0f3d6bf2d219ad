"""Every bar has its number, whatever the numbers are."""

from __future__ import annotations

from weightsurgeon.inspection.charts import bands, bars, histogram
from weightsurgeon.inspection.connections import Banding
from weightsurgeon.inspection.drawing import Rect, Text


def test_bars_share_a_scale_and_tell_their_numbers() -> None:
    drawing = bars("norms", [("conv1", 2.0), ("fc", -1.0), ("bad", float("nan"))])
    widths = [m.width for m in drawing.marks if isinstance(m, Rect)]
    texts = [m.text for m in drawing.marks if isinstance(m, Text)]
    assert widths == [240, 120, 0]
    assert texts == ["norms", "conv1", "2", "fc", "-1", "bad", "nan"]
    assert drawing.pixels().shape[0] == drawing.size[1]


def test_nothing_to_draw() -> None:
    assert bars("none", []).pixels().any()
    assert histogram("none", 0, []).pixels().any()


def test_a_histogram_tells_both_ends() -> None:
    drawing = histogram("w", -4, [1, 3, 2])
    texts = [m.text for m in drawing.marks if isinstance(m, Text)]
    assert texts == ["w", "2^-4", "2^-1", "highest bar 3, of 6"]
    assert [m.height for m in drawing.marks if isinstance(m, Rect)][1] == 80


def test_bands_stand_beside_noise() -> None:
    title = next(m for m in bands("conv", Banding(0.9, 0.0, 0.17, 0.17)).marks)
    assert isinstance(title, Text)
    assert title.text == "conv: banded"
