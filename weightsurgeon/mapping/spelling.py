"""Patterns of names written as text again, and the two sides of a rule changed over.

What a capture reads here it writes there. The first of a name in a rule has its type; words that
are written otherwise on the other side become an inline table, `{x@q|k|v}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from .names import Capture, NameError_, Pattern
from .tokens import bare, captures_of

Known = dict[str, Capture]


def changed_over(
    sources: Sequence[Pattern], targets: Sequence[Pattern]
) -> tuple[list[str], list[str]]:
    """The texts of a rule's names the other way round: what was written is read, and back.

    Tables of the file are taken to be inverted with it.

    Errors: NameError_ `capture` where a capture is written in two spellings.

    >>> from weightsurgeon.mapping.tokens import parse
    >>> source = parse("conv{s:int}_{k:1|2}")
    >>> target = parse("layer{s-1}.{k@a|b}", known=captures_of(source))
    >>> changed_over([source], [target])
    (['layer{s-1}.{k:a|b}'], ['conv{s}_{k@1|2}'])
    """
    sides = Sides(captures_of(*sources), captures_of(*targets), {})
    for pattern in (*sources, *targets):
        sides.tables.update(pattern.tables)
    known = Known()
    reads = [_text(p, [_read(c, sides) for c in p.captures()], known) for p in targets]
    writes = [_text(p, [_written(c, sides) for c in p.captures()], known) for p in sources]
    return reads, writes


class Sides(NamedTuple):
    """The captures of a rule by name, here and there, and the tables that they ask."""

    here: Known
    there: Known
    tables: dict[str, Mapping[str, str]]

    def spellings(self, name: str) -> tuple[str, ...]:
        """The words that stand in names of the source."""
        first = self.here[name]
        return tuple(self.tables[first.table]) if first.kind == "table" else first.words

    def share_a_table(self, name: str) -> bool:
        """Whether both sides ask one table of the file, or the target alone asks one."""
        a, b = self.here[name], self.there[name]
        asked = b.kind == "table" and "|" not in b.table
        return asked and (a.kind in ("text", "path") or (a.kind, a.table) == (b.kind, b.table))


def _read(c: Capture, sides: Sides) -> Capture:
    """How a capture of the target reads what it wrote."""
    first = sides.here.get(c.name)
    if first is None or not (first.is_words or c.kind == "table"):
        return c
    if c != sides.there[c.name]:
        raise NameError_("capture", f"{c.name} is written in two spellings and cannot be read back")
    if sides.share_a_table(c.name):
        return c
    words = sides.spellings(c.name)
    found = tuple(sides.tables[c.table][w] for w in words) if c.kind == "table" else words
    return Capture(c.name, "words", found)


def _written(c: Capture, sides: Sides) -> Capture:
    """How a capture of the source writes what it read."""
    other = sides.there.get(c.name)
    if other is None:
        return c
    if sides.share_a_table(c.name):
        return other
    if not c.is_words or (c.kind == "words" and other.kind != "table"):
        return c
    return Capture(c.name, "table", table=f"{c.name}@{'|'.join(sides.spellings(c.name))}")


# -- as text ---------------------------------------------------------------------------------


def _text(pattern: Pattern, captures: Sequence[Capture], known: Known) -> str:
    found, rest = "", iter(captures)
    for part in pattern.parts:
        if isinstance(part, str):
            found += part.replace("{", "{{").replace("}", "}}")
        else:
            capture = next(rest)
            found += f"{{{_token(capture, known.get(capture.name))}}}"
            for name, c in captures_of(replace(pattern, parts=(capture,))).items():
                known.setdefault(name, c)
    return found


def _token(c: Capture, first: Capture | None) -> str:
    """What stands in the braces; a capture that is known needs no type."""
    if first is not None and first.kind != "table" and c == bare(first, {}):
        return c.name
    if c.kind == "table":
        return f"{c.name}@{c.table.removeprefix(f'{c.name}@')}"
    if c.is_number:
        return _index(c)
    dots = "..." if c.many else ""
    if c.is_words:
        return f"{c.name}:{'|'.join(c.words)}{dots}"
    return f"{c.name}:{c.kind}" if c.kind == "path" else c.name


def _index(c: Capture) -> str:
    text = f"{c.scale}*{c.name}" if c.scale != 1 else c.name
    text += "..." if c.many else ""
    text += f"+{c.rest}" if c.rest else ""
    text += f"{c.shift:+d}" if c.shift else ""
    plain = text == c.name
    return f"{text}:{c.kind}" if c.kind != "int" or plain else text
