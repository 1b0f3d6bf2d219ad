"""The notation of names with captures, read: literal text and `{…}` in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from .names import Capture, NameError_, Part, Pattern, Tables

_IDENT = r"[A-Za-z_]\w*"
_CAPTURE = re.compile(rf"({_IDENT})(?::(.+?))?(\.\.\.)?", re.S)
_LOOKUP = re.compile(rf"({_IDENT})@(.+)", re.S)
_INDEX = re.compile(rf"(?:([0-9]+)\*)?({_IDENT})(?:([+-])([0-9]+))?(?::(int|nth|0[1-9]))?")
_TWO_INDEX = re.compile(rf"(?:[0-9]+\*)?{_IDENT}\+{_IDENT}(?:[+-][0-9]+)?(?::\w+)?")
_MAX_DIGITS = 9  # of a number in a pattern


def parse(
    text: str, tables: Tables | None = None, known: Mapping[str, Capture] | None = None
) -> Pattern:
    """Read a pattern; `known` captures were typed by the other side of the rule.

    Errors: NameError_ `capture` or `table`.

    >>> pattern = parse("conv{i:int}/{leaf}")
    >>> pattern.match("conv3.kernel")
    {'i': 3, 'leaf': 'kernel'}
    >>> parse("features.{i-1}.{leaf}", known=captures_of(pattern)).write({"i": 3, "leaf": "w"}, ".")
    'features.2.w'
    """
    seen, tables = dict(known or {}), dict(tables or {})
    parts: list[Part] = []
    for literal, inside in _pieces(text):
        if literal:
            parts.append(literal)
        if inside is not None:
            capture = _parse_capture(text, inside, tables, seen)
            _refuse_other_type(text, inside, capture, seen.get(capture.name))
            seen.setdefault(capture.name, capture)
            if capture.kind == "table" and capture.words:  # a table of its own, inline
                words = capture.table.removeprefix(f"{capture.name}@").split("|")
                tables[capture.table] = dict(zip(capture.words, words, strict=True))
            parts.append(capture)
    _refuse_neighbours(text, parts)
    return Pattern(text, tuple(parts), tables)


def captures_of(*patterns: Pattern) -> dict[str, Capture]:
    """The captures of patterns by name; the first of a name has its type."""
    found: dict[str, Capture] = {}
    for pattern in patterns:
        for capture in pattern.captures():
            found.setdefault(capture.name, capture)
    return found


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Literal text and what stands in braces behind it; `{{` and `}}` are plain braces."""
    literal, i = "", 0
    while i < len(text):
        if text[i : i + 2] in ("{{", "}}"):
            literal, i = literal + text[i], i + 2
        elif text[i] == "{":
            end = text.find("}", i)
            if end < 0:
                raise NameError_("capture", f"{text!r}: a brace is not closed")
            yield literal, text[i + 1 : end]
            literal, i = "", end + 1
        elif text[i] == "}":
            raise NameError_("capture", f"{text!r}: a closing brace without an opening one")
        else:
            literal, i = literal + text[i], i + 1
    yield literal, None


def _parse_capture(text: str, inside: str, tables: Tables, seen: Mapping[str, Capture]) -> Capture:
    if "..." in inside or _TWO_INDEX.fullmatch(inside):
        what = "gathers and scatters" if "..." in inside else "indices of two captures"
        raise NameError_("capture", f"{{{inside}}} in {text!r}: {what} are not built yet")
    if found := _LOOKUP.fullmatch(inside):
        name, table = found.groups()
        if "|" in table:
            return _inline(text, inside, name, table, tables, seen)
        if table not in tables:
            raise NameError_("table", f"{{{inside}}} in {text!r}: the file has no table {table!r}")
        return Capture(name, "table", table=table)
    if (found := _INDEX.fullmatch(inside)) and any(found.group(1, 4, 5)):
        return _index(text, inside, *found.groups())
    found = _CAPTURE.fullmatch(inside)
    if found is None:
        raise NameError_("capture", f"{{{inside}}} in {text!r} cannot be read")
    name, kind, _ = found.groups()
    if kind is None:
        return bare(seen.get(name, Capture(name, "text")), tables)
    if "|" in kind:
        return Capture(name, "words", tuple(kind.split("|")))
    if kind != "path":
        known = "path, int, nth, 02, or words as in q|k|v"
        raise NameError_("capture", f"{{{inside}}} in {text!r}: no type {kind!r}; known: {known}")
    return Capture(name, "path")


def _inline(
    text: str, inside: str, name: str, table: str, tables: Tables, seen: Mapping[str, Capture]
) -> Capture:
    """`{x@a|b|c}`: the word at the same place as the one that was read."""
    first = seen.get(name)
    words = bare(first, tables).words if first is not None and first.is_words else ()
    other = table.split("|")
    if len(words) != len(other) or len(set(other)) != len(other):
        what = f"wants {len(words)} words, each once" if words else f"{name} has no words"
        raise NameError_("capture", f"{{{inside}}} in {text!r}: {what}")
    return Capture(name, "table", words, f"{name}@{table}")


def _index(
    text: str, inside: str, scale: str | None, name: str, sign: str, shift: str | None, kind: str
) -> Capture:
    """A number with arithmetic or a format; without a format it is written in plain digits."""
    if len(scale or "") > _MAX_DIGITS or len(shift or "") > _MAX_DIGITS or int(scale or 1) == 0:
        raise NameError_("capture", f"{{{inside}}} in {text!r} is no index")
    return Capture(
        name, kind or "int", scale=int(scale or 1), shift=int(f"{sign or ''}{shift or 0}")
    )


def bare(first: Capture, tables: Tables) -> Capture:
    """`{x}` where x has its type already: the text, the word or the number as it was read."""
    if first.kind == "table":  # the key itself
        return Capture(first.name, "words", tuple(tables[first.table]))
    return Capture(first.name, first.kind, first.words)


def _refuse_other_type(text: str, inside: str, capture: Capture, first: Capture | None) -> None:
    """A capture is a number everywhere or nowhere; looking it up in a table is always possible."""
    if first is None or capture.kind == "table" or capture.is_number == first.is_number:
        return
    types = ("text", f"a number; write {{{first.name}:int}} where it stands first")
    if first.is_number:
        types = ("a number", "text")
    what = f"{first.name} is {types[0]}, here it is {types[1]}"
    raise NameError_("capture", f"{{{inside}}} in {text!r}: {what}")


def _refuse_neighbours(text: str, parts: list[Part]) -> None:
    """Two open captures side by side could be read apart by luck only."""
    for a, b in pairwise(parts):
        if isinstance(a, Capture) and isinstance(b, Capture) and not (a.is_words or b.is_words):
            raise NameError_("capture", f"{text!r}: {{{a.name}}}{{{b.name}}} cannot be told apart")
    paths = [p.name for p in parts if isinstance(p, Capture) and p.kind == "path"]
    if len(paths) > 1:
        raise NameError_("capture", f"{text!r}: at most one capture is a path")
