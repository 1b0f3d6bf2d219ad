"""Plain columns and numbers that people can read; a few lines instead of a slow import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def columns(cells: Sequence[tuple[str, ...]], right: Iterable[int] = ()) -> Iterator[str]:
    """Cells as aligned columns; a column that is empty everywhere takes no place.

    >>> list(columns([("a", "", "1"), ("bb", "", "20")], right=(2,)))
    ['a    1', 'bb  20']
    """
    if not cells:
        return
    right = set(right)
    kept = [i for i in range(len(cells[0])) if any(row[i] for row in cells)]
    widths = {i: max(len(row[i]) for row in cells) for i in kept}
    for row in cells:
        aligned = (row[i].rjust(widths[i]) if i in right else row[i].ljust(widths[i]) for i in kept)
        yield "  ".join(aligned).rstrip()


def html_table(
    caption: str, head: Sequence[str], cells: Sequence[tuple[str, ...]], right: Iterable[int] = ()
) -> str:
    """The same columns for a notebook; every text is escaped, empty columns take no place.

    >>> html_table("a < b", ("n",), [("1",)], right=(0,))[:40]
    '<table><caption style="text-align:left">'
    """
    from html import escape

    right = set(right)
    kept = [i for i in range(len(head)) if any(row[i] for row in cells)]

    def row(texts: Sequence[str], tag: str) -> str:
        parts = (
            f'<{tag} style="text-align:{"right" if i in right else "left"}">'
            f"{escape(texts[i])}</{tag}>"
            for i in kept
        )
        return f"<tr>{''.join(parts)}</tr>"

    title = f'<caption style="text-align:left">{escape(caption)}</caption>'
    return f"<table>{title}{row(head, 'th')}{''.join(row(r, 'td') for r in cells)}</table>"


def human_bytes(n: float) -> str:
    """Bytes with three digits and an IEC unit.

    >>> human_bytes(1536)
    '1.50 KiB'
    """
    if n < 1024:
        return f"{n:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        n /= 1024
        if n < 1023.5 or unit == "TiB":
            break
    return f"{_three(n)} {unit}"


def human_count(n: float) -> str:
    """A count with three digits and an SI unit.

    >>> human_count(32_768_000)
    '32.8 M'
    """
    if n < 1000:
        return f"{n:.0f}"
    for unit in ("k", "M", "G", "T"):
        n /= 1000
        if n < 999.5 or unit == "T":
            break
    return f"{_three(n)} {unit}"


def _three(n: float) -> str:
    return f"{n:.2f}" if n < 9.995 else f"{n:.1f}" if n < 99.95 else f"{n:.0f}"
