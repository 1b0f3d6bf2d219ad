"""How numbers, histograms and tables look: three digits, blocks of eight heights, nothing cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite, isinf, isnan
from typing import Any

from ..errors import shown
from ..table import columns

NONE = "–"
BLOCKS = "▁▂▃▄▅▆▇█"
Cells = Sequence[tuple[str, ...]]


def number(x: float | int | None) -> str:
    """Three significant digits; – for what there is none of.

    >>> number(0.0134871), number(41), number(None), number(1e-9), number(float("-inf"))
    ('0.0135', '41', '–', '1.00e-09', '-inf')
    """
    if x is None:
        return NONE
    if isnan(x) or isinf(x) or (isinstance(x, int) and abs(x) < 10**6):
        return str(x)
    if x == 0:
        return "0"
    size = abs(x)
    if not 0.000995 <= size < 99950:
        return f"{x:.2e}"
    if size >= 999.5:
        return f"{x:.0f}"
    return f"{x:#.3g}".rstrip(".")


def percent(part: float, of: float) -> str:
    """A share in percent, with two decimals.

    >>> percent(1, 3), percent(0, 0)
    ('33.33', '–')
    """
    return f"{100 * part / of:.2f}" if of else NONE


def index_of(flat: int, shape: tuple[int, ...]) -> list[int]:
    """The index of a flat position.

    >>> index_of(5, (2, 3))
    [1, 2]
    """
    index, rest = list[int](), flat
    for n in reversed(shape):
        index.append(rest % n)
        rest //= n
    return index[::-1]


def span(histograms: Iterable[tuple[int | None, Sequence[int]]]) -> tuple[int, int] | None:
    """The range of exponents that all histograms share, without tails of under a thousandth."""
    ends = list[tuple[int, int]]()
    for low, counts in histograms:
        if low is None or not sum(counts):
            continue
        least = sum(counts) / 1000
        held = [i for i, n in enumerate(counts) if n >= least]
        ends.append((low + held[0], low + held[-1] + 1))
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None


def spark(low: int | None, counts: Sequence[int], ends: tuple[int, int], width: int = 10) -> str:
    """A histogram over exponents as characters: bins of equal width over the shared range.

    >>> spark(-3, (1, 4, 8), (-4, 0), width=4)
    ' ▁▄█'
    """
    if low is None or not sum(counts):
        return ""
    first, last = ends
    width = max(1, min(width, last - first))
    bins = [0] * width
    for i, n in enumerate(counts):
        place = min(max(low + i, first), last - 1) - first
        bins[place * width // (last - first)] += n
    most = max(bins)
    return "".join(BLOCKS[max(0, -(-8 * n // most) - 1)] if n else " " for n in bins)


def superscript(n: int) -> str:
    """A power's exponent.

    >>> superscript(-16)
    '⁻¹⁶'
    """
    return str(n).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def folded(cells: Cells, right: Iterable[int], width: int | None) -> Iterator[str]:
    """Aligned columns; where they are wider than the terminal, the rest of a row goes below it.

    >>> print(*folded([("name", "11", "22"), ("b", "3", "4")], (1, 2), 10), sep="\\n")
    name  11
        22
    b      3
         4
    """
    bands, right = _bands(cells, width), set(right)
    if len(bands) <= 1:
        yield from columns(cells, right)
        return
    lines = []
    for first, last in bands:
        inside = [r - first for r in right if first <= r < last]
        lines.append(list(columns([row[first:last] for row in cells], inside)))
    for parts in zip(*lines, strict=True):
        yield parts[0]
        yield from ("    " + part for part in parts[1:] if part)


def _bands(cells: Cells, width: int | None) -> list[tuple[int, int]]:
    """Ranges of columns that fit side by side."""
    if width is None or not cells:
        return []
    bands, first, used = list[tuple[int, int]](), 0, -2
    for i in range(len(cells[0])):
        need = max(len(row[i]) for row in cells)
        need += 2 if need else 0
        if i > first and used + need > width:
            bands.append((first, i))
            first, used = i, 2  # what goes below is indented
        used += need
    return [*bands, (first, len(cells[0]))]


def plain(value: Any) -> Any:
    """A value as JSON knows it: what is not finite becomes a word, a tuple a list."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def html_table(head: Sequence[str], cells: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table for a notebook, every cell escaped."""
    from html import escape

    def row(tag: str, words: Sequence[str]) -> str:
        inside = "".join(f"<{tag}>{escape(shown(w, 2000))}</{tag}>" for w in words)
        return f"<tr>{inside}</tr>"

    top = f"<caption>{escape(shown(caption, 2000))}</caption>" if caption else ""
    body = "".join(row("td", words) for words in cells)
    return f"<table>{top}<thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"
