"""The notation of names with captures, read: literal text and `{…}` in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from .names import Capture, NameError_, Part, Pattern, Tables

_IDENT = r"[A-Za-z_]\w*"
_CAPTURE = re.compile(rf"({_IDENT})(?::(.+?))?(\.\.\.)?", re.S)
_LOOKUP = re.compile(rf"({_IDENT})@(.+)", re.S)
_INDEX = re.compile(
    rf"(?:([0-9]+)\*)?({_IDENT})(\.\.\.)?(?:\+({_IDENT}))?(?:([+-])([0-9]+))?(?::(int|nth|0[1-9]))?"
)
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
            if capture.rest:
                _refuse_other_type(text, inside, _rest(capture), seen.get(capture.rest))
                seen.setdefault(capture.rest, _rest(capture))
            parts.append(capture)
    _refuse_neighbours(text, parts)
    return Pattern(text, tuple(parts), tables)


def captures_of(*patterns: Pattern) -> dict[str, Capture]:
    """The captures of patterns by name; the first of a name has its type."""
    found: dict[str, Capture] = {}
    for pattern in patterns:
        for capture in pattern.captures():
            found.setdefault(capture.name, capture)
            if capture.rest:
                found.setdefault(capture.rest, _rest(capture))
    return found


def _rest(capture: Capture) -> Capture:
    """The second number of `{6*j+b}`."""
    return Capture(capture.rest, "int")


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
    if found := _LOOKUP.fullmatch(inside):
        name, table = found.groups()
        if "|" in table:
            return _inline(text, inside, name, table, tables, seen)
        if table not in tables:
            raise NameError_("table", f"{{{inside}}} in {text!r}: the file has no table {table!r}")
        return Capture(name, "table", table=table)
    if (found := _INDEX.fullmatch(inside)) and any(found.group(1, 4, 6, 7)):
        return _index(text, inside, *found.groups())
    found = _CAPTURE.fullmatch(inside)
    if found is None:
        raise NameError_("capture", f"{{{inside}}} in {text!r} cannot be read")
    name, kind, many = found.groups()
    if kind is None:
        first = seen.get(name, Capture(name, "int" if many else "text"))
        return replace(bare(first, tables), many=bool(many))
    if "|" in kind:
        return Capture(name, "words", tuple(kind.split("|")), many=bool(many))
    if many:
        raise NameError_(
            "capture", f"{{{inside}}} in {text!r}: only numbers and words are gathered"
        )
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


def _index(text: str, inside: str, *groups: str | None) -> Capture:
    """A number with arithmetic or a format; without a format it is written in plain digits."""
    scale, name, many, rest, sign, shift, kind = groups
    if len(scale or "") > _MAX_DIGITS or len(shift or "") > _MAX_DIGITS or int(scale or 1) == 0:
        raise NameError_("capture", f"{{{inside}}} in {text!r} is no index")
    if rest and (int(scale or 1) == 1 or rest == name):
        what = "two indices want a factor, as in {6*j+b}"
        raise NameError_("capture", f"{{{inside}}} in {text!r}: {what}")
    n, shift_ = int(scale or 1), int(f"{sign or ''}{shift or 0}")
    return Capture(str(name), kind or "int", (), "", n, shift_, rest or "", bool(many))


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
