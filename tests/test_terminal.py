"""What a terminal gets: its width, its characters, colours only where they are liked."""

from __future__ import annotations

import io
import sys

import pytest

from weightsurgeon.cli import terminal


class Screen(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", tty: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty

    def shown(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined,no-any-return]


def test_marks_are_coloured_on_a_terminal_that_likes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for tty, no_color, expected in (
        (True, "", "\x1b[31m✗\x1b[0m bad\n"),
        (True, "1", "✗ bad\n"),
        (False, "", "✗ bad\n"),
    ):
        screen = Screen(tty=tty)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("NO_COLOR", no_color)
        terminal.show(["✗ bad"])
        assert screen.shown() == expected


def test_a_poor_encoding_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("ascii", tty=False)
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.show(["log2|w| 2⁻¹⁶…2⁰  ▁▂█  3×3 →"])
    assert screen.shown() == "log2|w| 2-16...20  _.@  3x3 ->\n"


def test_the_width_is_that_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("COLUMNS", "80")
    assert terminal.width() == 80
    monkeypatch.setenv("COLUMNS", "x")
    assert terminal.width() is None  # a screen of ours has no descriptor to ask
    monkeypatch.setattr(sys, "stdout", Screen(tty=False))
    assert terminal.width() is None
