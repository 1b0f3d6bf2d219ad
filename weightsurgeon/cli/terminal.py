"""What the terminal can show: how wide it is, which characters, whether colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

_ASCII = str.maketrans(
    {
        **dict(zip("▁▂▃▄▅▆▇█", "_.:-=+#@", strict=True)),
        **dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)),
        "…": "...",
        "–": "-",
        "×": "x",
        "·": "|",
        "‖": "||",
        "Δ": "d",
        "→": "->",
        "←": "<-",
        "✓": "ok",
        "✗": "x",
        "≤": "<=",
        "≥": ">=",
        "τ": "tau",
        "²": "2",
        "√": "sqrt",
        "±": "+-",
        "⟨": "<",
        "⟩": ">",
        "β": "beta",
        "γ": "gamma",
        "ρ": "rho",
        "Σ": "sum",
        "∞": "inf",
        "σ": "sigma",
        "μ": "mu",
        "ε": "eps",
    }
)
_COLOURS = {"✗": "31", "!": "33", "✓": "32"}


def width() -> int | None:
    """Characters in a line; None where nothing has to fit: a pipe, a file."""
    if not _is_terminal():
        return None
    words = os.environ.get("COLUMNS", "")
    if words.isascii() and words.isdigit() and int(words):
        return int(words)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:
        return None


def show(lines: Iterable[str]) -> None:
    """Print lines; the marks at their start in colour where the terminal likes it."""
    plain = not _is_terminal() or bool(os.environ.get("NO_COLOR"))
    for line in lines:
        print(_encodable(line if plain else _coloured(line)))


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _coloured(line: str) -> str:
    mark = line[:1]
    return f"\x1b[{_COLOURS[mark]}m{mark}\x1b[0m{line[1:]}" if mark in _COLOURS else line


def _encodable(line: str) -> str:
    """The line in the characters that the terminal's encoding has."""
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return line.translate(_ASCII)
    return line
