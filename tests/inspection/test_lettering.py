"""Letters stand in their cells; what has no glyph is seen to be missing."""

from __future__ import annotations

from weightsurgeon.inspection.lettering import HEIGHT, WIDTH, dots


def drawn(text: str) -> list[str]:
    return ["".join(" #"[int(dot)] for dot in row).rstrip() for row in dots(text)]


def test_a_word() -> None:
    assert drawn("L7")[1:8] == [
        "#     #####",
        "#         #",
        "#         #",
        "#        #",
        "#       #",
        "#      #",
        "##### #",
    ]


def test_every_letter_has_its_cell() -> None:
    text = "".join(map(chr, range(32, 127))) + "−±×·…‖Δ→"
    assert dots(text).shape == (HEIGHT, WIDTH * len(text))
    assert dots("").shape == (HEIGHT, 0)
    assert all(dots(c).any() for c in text.strip())


def test_an_unknown_letter_is_a_box() -> None:
    assert (dots("漢") == dots("語")).all()
    assert dots("漢").any()
