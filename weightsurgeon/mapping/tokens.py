"""The notation of names with captures, read: literal text and `{…}` in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .names import Capture, NameError_, Part, Pattern, Tables

_IDENT = r"[A-Za-z_]\w*"
_CAPTURE = re.compile(rf"({_IDENT})(?::(.+?))?(\.\.\.)?", re.S)
_LOOKUP = re.compile(rf"({_IDENT})@(.+)", re.S)
_INDEX = re.compile(rf"(?:(\d+)\*)?({_IDENT})(?:([+-])(\d+))?(?::(int|nth|0\d))?")
_TWO_INDEX = re.compile(rf"\d+\*{_IDENT}(\.\.\.)?\+{_IDENT}(\.\.\.)?")


def parse(text: str, tables: Tables | None = None, known: Mapping[str, Capture] = {}) -> Pattern:
    """Read a pattern; `known` captures were typed by the other side of the rule.

    Errors: NameError_ `capture` or `table`.

    >>> pattern = parse("conv{i:int}/{leaf}")
    >>> pattern.match("conv3.kernel")
    {'i': 3, 'leaf': 'kernel'}
    >>> parse("features.{i-1}.{leaf}", known=captures_of(pattern)).write({"i": 3, "leaf": "w"}, ".")
    'features.2.w'
    """
    seen = dict(known)
    parts: list[Part] = []
    for literal, inside in _pieces(text):
        if literal:
            parts.append(literal)
        if inside is not None:
            capture = _parse_capture(text, inside, tables or {}, seen)
            seen.setdefault(capture.name, capture)
            parts.append(capture)
    _refuse_neighbours(text, parts)
    return Pattern(text, tuple(parts), tables or {})


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
            raise NameError_(
                "capture", f"{{{inside}}} in {text!r}: inline tables are not built yet"
            )
        if table not in tables:
            raise NameError_("table", f"{{{inside}}} in {text!r}: the file has no table {table!r}")
        return Capture(name, "table", table=table)
    if found := _INDEX.fullmatch(inside):
        scale, name, sign, shift, kind = found.groups()
        typed = seen.get(name, Capture(name))
        numeric = scale or shift or kind or typed.is_number
        if numeric:
            kind = kind or (typed.kind if typed.is_number else "int")
            kind = "int" if kind == "nth" and not found.group(5) else kind
            return Capture(
                name, kind, scale=int(scale or 1), shift=int(f"{sign or ''}{shift or 0}")
            )
    found = _CAPTURE.fullmatch(inside)
    if found is None:
        raise NameError_("capture", f"{{{inside}}} in {text!r} cannot be read")
    name, kind, _ = found.groups()
    if kind is None:
        return seen.get(name, Capture(name, "text"))
    if "|" in kind:
        return Capture(name, "words", tuple(kind.split("|")))
    if kind != "path":
        known = "path, int, nth, 02, or words as in q|k|v"
        raise NameError_("capture", f"{{{inside}}} in {text!r}: no type {kind!r}; known: {known}")
    return Capture(name, "path")


def _refuse_neighbours(text: str, parts: list[Part]) -> None:
    """Two open captures side by side could be read apart by luck only."""
    for a, b in zip(parts, parts[1:], strict=False):
        if isinstance(a, Capture) and isinstance(b, Capture) and "words" not in (a.kind, b.kind):
            raise NameError_("capture", f"{text!r}: {{{a.name}}}{{{b.name}}} cannot be told apart")
    paths = [p.name for p in parts if isinstance(p, Capture) and p.kind == "path"]
    if len(paths) > 1:
        raise NameError_("capture", f"{text!r}: at most one capture is a path")
