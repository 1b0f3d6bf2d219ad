"""One HTML file that needs nothing: no network, no fonts, no script to be read.

A page is a header card and sections; a section holds tables, pictures and text. Every name is
hostile input: shown as text, control characters as escapes. The policy in the head forbids all that
is not in the file itself. The script only sorts and filters tables; without it everything is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any, NamedTuple

from ..errors import shown
from .drawing import Drawing

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

LONG = 48  # letters of a name that stay on one line


class Cell(NamedTuple):
    """A table's cell: what is read, what is sorted by (a number where it has one), its classes;
    `raw` is markup of ours that stands in place of the text."""

    text: str
    key: float | str | None = None
    mark: str = ""
    raw: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headings; `numeric` are the columns aligned right and sorted as numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""

    def html(self) -> str:
        """The table; its headings are buttons for the script, plain words without it."""
        head = "".join(
            f'<th scope="col"{_class("n" if i in self.numeric else "")}>{text(h)}</th>'
            for i, h in enumerate(self.headings)
        )
        body = "".join(f"<tr>{self._row(row)}</tr>\n" for row in self.rows)
        caption = f"<caption>{text(self.caption)}</caption>" if self.caption else ""
        kind = ' class="sortable"' if len(self.rows) > 1 else ""
        return (
            f'<div class="wide"><table{kind}>{caption}<thead><tr>{head}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>\n"
        )

    def _row(self, row: Sequence[Cell | str]) -> str:
        return "".join(
            self._cell(i, Cell(c) if isinstance(c, str) else c) for i, c in enumerate(row)
        )

    def _cell(self, i: int, cell: Cell) -> str:
        key = "" if cell.key is None else f' data-k="{escape(_key(cell.key))}"'
        long = "long" if not i and len(cell.text) > LONG else ""
        classes = " ".join(c for c in ("n" if i in self.numeric else "", cell.mark, long) if c)
        return f"<td{_class(classes)}{key}>{cell.raw or text(cell.text)}</td>"


def _key(key: float | str) -> str:
    return f"{key:.9g}" if isinstance(key, float) else str(key)


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, what its numbers mean and do not mean, and its contents."""

    title: str
    parts: Sequence[str]
    note: str = ""

    @property
    def anchor(self) -> str:
        """Where links lead to."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())

    def html(self) -> str:
        """The section."""
        note = f'<p class="note">{text(self.note)}</p>\n' if self.note else ""
        body = "".join(self.parts)
        return f'<section id="{self.anchor}"><h2>{text(self.title)}</h2>\n{note}{body}</section>\n'


def page(
    title: str, card: Iterable[tuple[str, str]], sections: Sequence[Section], data: Any
) -> str:
    """The whole file. `card` is what is at the top; `data` stands in it once, as JSON.

    >>> "<script>alert" in page("<script>alert(1)</script>", [], [], {})
    False
    """
    facts = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in card)
    links = " · ".join(f'<a href="#{s.anchor}">{text(s.title)}</a>' for s in sections)
    body = "".join(section.html() for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>\n{_asset('report.css')}</style></head>\n"
        f'<body><header><h1>{text(title)}</h1><dl class="card">{facts}</dl>'
        f"<nav>{links}</nav></header>\n<main>\n{body}</main>\n"
        f'<script type="application/json" id="data">{embedded(data)}</script>\n'
        f"<script>\n{_asset('report.js')}</script>\n</body></html>\n"
    )


def text(words: object) -> str:
    """Foreign words as HTML text: nothing in them is markup, what does not print is an escape."""
    return escape(shown(words, 2000))


def embedded(data: Any) -> str:
    """JSON inside a page: no `<` can end the element it stands in."""
    return json.dumps(data, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")


def figure(drawing: Drawing) -> str:
    """A drawing, half as large again as it is, for its letters are small; pixels stay pixels."""
    width, height = drawing.size
    size = f' width="{width}" height="{height}"'
    inline = drawing.svg().replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    larger = inline.replace(size, f' width="{1.5 * width:g}" height="{1.5 * height:g}"', 1)
    return f"<figure>{larger}</figure>\n"


def steps(counts: Sequence[int], words: str) -> str:
    """A small histogram of steps, for a table's cell; `words` say what it shows.

    >>> steps([1, 2, 0], "w")[:36]
    '<svg class="h" viewBox="0 0 3 8" wid'
    """
    most = max(counts, default=0) or 1
    heights = [round(8 * c / most, 1) for c in counts]
    line = "".join(f"V{8 - h:g}h1" for h in heights)
    width = len(counts)
    return (
        f'<svg class="h" viewBox="0 0 {width} 8" width="{3 * width}" height="20"'
        f' preserveAspectRatio="none" role="img" aria-label="{text(words)}">'
        f'<path d="M0 8{line}V8z"/></svg>'
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
