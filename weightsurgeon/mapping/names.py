"""Names with captures: read a tensor's name by a pattern, write another from what was read.

`conv{i:int}.{leaf}` reads `conv3.weight` as i=3, leaf=weight. A pattern matches the whole name;
`.` and `/` match each other when reading and are written as they stand. A name that fits in two
ways is refused: the greedy and the lazy reading are compared, and they are the two extremes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import shown

Tables = Mapping[str, Mapping[str, str]]
Captures = dict[str, str | int]

_SEPARATORS = "./"
STEPS = 10**7  # what reading one name may take; only hostile names need more
DIGITS = 18  # of a number in a name: it is an index, not a text


class NameError_(ValueError):
    """A problem of a pattern or of a name under it: `id` is the refusal it becomes."""

    def __init__(self, id: str, text: str) -> None:
        self.id = id
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Capture:
    """One `{…}` of a pattern.

    kind: text, path, words, table, int, nth, 0N (digits), or any (whatever the name, for rules
    that nobody wrote) · `words` in written order · `table` names one of the file's ·
    a number is `scale`·x + `shift`, or `scale`·x + y + `shift` with y < scale, named by `rest` ·
    `many`: it runs over tensors of one group, where others tell groups apart
    """

    name: str
    kind: str = ""
    words: tuple[str, ...] = ()
    table: str = ""
    scale: int = 1
    shift: int = 0
    rest: str = ""
    many: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it reads and writes a number."""
        return self.kind in ("int", "nth") or self.kind.startswith("0")

    @property
    def is_words(self) -> bool:
        """Whether it reads one of a few words, which end where they end."""
        return self.kind in ("words", "table")


Part = str | Capture


@dataclass(frozen=True)
class Pattern:
    """A name with captures, in parts: literal text and captures in turn."""

    text: str
    parts: tuple[Part, ...]
    tables: Tables

    def captures(self) -> Iterator[Capture]:
        """The captures, left to right."""
        return (part for part in self.parts if isinstance(part, Capture))

    def names(self) -> set[str]:
        """The names of its captures, that of a second index too."""
        return {n for c in self.captures() for n in (c.name, c.rest) if n}

    def match(self, name: str) -> Captures | None:
        """What the captures read in a name, or None.

        Errors: NameError_ `ambiguous` where the name fits in two ways.
        """
        self._refuse_slow(name)
        found = self._greedy.fullmatch(name)
        if found is None:
            return None
        if found.groups() != self._lazy.fullmatch(name).groups():  # type: ignore[union-attr]
            raise NameError_("ambiguous", f"{shown(name)} fits {self.text!r} in two ways")
        return self._values(found.groups())

    def _refuse_slow(self, name: str) -> None:
        """Captures that share a segment are tried against each other: bound how often."""
        stretch = max(map(len, re.split(r"[./]", name))) ** self._crowd
        if stretch * (len(name) if self._path else 1) > STEPS:
            raise NameError_("ambiguous", f"{shown(name)} is too long to be read by {self.text!r}")

    @cached_property
    def _crowd(self) -> int:
        """How many open captures stand in one segment at most, one of them free of charge."""
        texts = "".join(
            p if isinstance(p, str) else "\0" if p.kind == "text" else "" for p in self.parts
        )
        count = max(segment.count("\0") for segment in re.split(r"[./]", texts))
        return count if count > 1 or self._path else 0

    @cached_property
    def _path(self) -> bool:
        return any(c.kind == "path" for c in self.captures())

    def _values(self, groups: tuple[str, ...]) -> Captures | None:
        values: Captures = {}
        for capture, text in zip(self.captures(), groups, strict=True):
            value = self._read(capture, text)
            if capture.rest and isinstance(value, int):
                value, rest = divmod(value, capture.scale)
                if values.setdefault(capture.rest, rest) != rest:
                    return None
            if value is None or values.setdefault(capture.name, value) != value:
                return None
        return values

    def _read(self, capture: Capture, text: str) -> str | int | None:
        if not capture.is_number:
            words = self._words(capture)
            same = [w for w in words if _neutral(w) == _neutral(text)]
            return same[0] if same else text
        n = int(text.lstrip("_") or "0") - capture.shift
        if capture.rest:
            return n if n >= 0 else None
        return n // capture.scale if n >= 0 and n % capture.scale == 0 else None

    def write(self, values: Mapping[str, str | int], separator: str) -> str:
        """The name made from captured values; `separator` joins the segments of a path, "" keeps
        those that were read.

        Errors: NameError_ `index` for a number below 0, `table` for a word that a table lacks.
        """
        return "".join(
            part if isinstance(part, str) else self._write(part, values, separator)
            for part in self.parts
        )

    def as_read(self, values: Mapping[str, str | int]) -> str:
        """A name that reads as these values: words stand as they are, no table is asked."""
        parts = (
            replace(p, kind="words") if isinstance(p, Capture) and p.is_words else p
            for p in self.parts
        )
        return replace(self, parts=tuple(parts)).write(values, "")

    def _write(self, capture: Capture, values: Mapping[str, str | int], separator: str) -> str:
        value = values[capture.name]
        if capture.kind == "table":
            return self._looked_up(capture, str(value))
        if capture.is_number or isinstance(value, int):
            n = capture.scale * int(value) + capture.shift
            if capture.rest:
                n += self._remainder(capture, int(values[capture.rest]))
            if n < 0:
                raise NameError_("index", f"{self.text!r} with {capture.name}={value} is {n}")
            return _format(n, capture.kind)
        if capture.kind in ("path", "any") and separator:
            return separator.join(re.split(r"[./]", value))
        return value

    def _remainder(self, capture: Capture, value: int) -> int:
        if not 0 <= value < capture.scale:
            text = (
                f"{self.text!r} with {capture.rest}={value}: it runs from 0 to {capture.scale - 1}"
            )
            raise NameError_("index", text)
        return value

    def _looked_up(self, capture: Capture, key: str) -> str:
        table = self.tables[capture.table]
        if key not in table:
            text = f"{shown(key)!r} is no key of table {capture.table!r}"
            raise NameError_("table", f"{text}, which {self.text!r} asks for")
        return table[key]

    def _words(self, capture: Capture) -> tuple[str, ...]:
        return tuple(self.tables[capture.table]) if capture.kind == "table" else capture.words

    @cached_property
    def _greedy(self) -> re.Pattern[str]:
        return re.compile(self._expression(""), re.S)

    @cached_property
    def _lazy(self) -> re.Pattern[str]:
        return re.compile(self._expression("?"), re.S)

    def _expression(self, lazy: str) -> str:
        return "".join(
            _literal(p) if isinstance(p, str) else f"({self._capture(p, lazy)})" for p in self.parts
        )

    def _capture(self, capture: Capture, lazy: str) -> str:
        if capture.is_words:
            words = sorted(self._words(capture), key=len, reverse=not lazy)
            return "|".join(map(_literal, words))
        if capture.kind.startswith("0"):
            width = capture.kind[1:]
            both = [f"[1-9][0-9]{{{width},{DIGITS}}}{lazy}", f"[0-9]{{{width}}}"]
            return "|".join(both[::-1] if lazy else both)
        return {
            "any": ".*",
            "int": f"0|[1-9][0-9]{{0,{DIGITS}}}{lazy}",
            "nth": f"(?:_[1-9][0-9]{{0,{DIGITS}}}{lazy})?{lazy}",
            "path": f"[^./]+{lazy}(?:[./][^./]+{lazy})*{lazy}",
        }.get(capture.kind, f"[^./]+{lazy}")


def _literal(text: str) -> str:
    return "".join("[./]" if c in _SEPARATORS else re.escape(c) for c in text)


def _neutral(name: str) -> str:
    return name.replace("/", ".")


def _format(n: int, kind: str) -> str:
    if kind == "nth":
        return f"_{n}" if n else ""
    return f"{n:{kind}d}" if kind.startswith("0") else str(n)
