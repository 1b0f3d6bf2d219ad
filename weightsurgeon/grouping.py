"""Names that differ in one number, as one: `layers.{0..11}.weight`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .errors import shown

_NUMBER = re.compile(r"([0-9]{1,18})")  # longer ones, in parts: names come from files
_PLACES = 8  # numbers of a name that are looked at


class Group(NamedTuple):
    """Names of one pattern: how the group is called, and who is in it."""

    label: str
    names: tuple[str, ...]


def natural(name: str) -> tuple[tuple[int, str | int], ...]:
    """A sort key by which `layer2` stands before `layer10`.

    >>> sorted(["b10", "b2"], key=natural)
    ['b2', 'b10']
    """
    parts = _NUMBER.split(name)
    return tuple((1, int(p)) if i % 2 else (0, p) for i, p in enumerate(parts))


def grouped(names: Iterable[str]) -> list[Group]:
    """Join names that differ in one number only, in order of first appearance.

    >>> [g.label for g in grouped(["a.0.w", "a.1.w", "head", "a.2.w", "a.4.w"])]
    ['a.{0..2,4}.w', 'head']
    """
    groups = [[_NUMBER.split(name)] for name in dict.fromkeys(names)]
    longest = max((len(rows[0]) for rows in groups), default=0)
    for place in range(1, min(longest, 2 * _PLACES), 2):
        groups = _join(groups, place)
    return [Group(shown(_label(rows)), tuple("".join(row) for row in rows)) for rows in groups]


Rows = list[list[str]]  # names, each cut into text and numbers in turn


def _join(groups: list[Rows], place: int) -> list[Rows]:
    """Join names, still alone, that agree in all but the number at this place."""
    joined: dict[object, Rows] = {}
    for i, rows in enumerate(groups):
        key: object = i
        if len(rows) == 1 and place < len(rows[0]):
            key = (*rows[0][:place], *rows[0][place + 1 :])
        joined.setdefault(key, []).extend(rows)
    return list(joined.values())


def _label(rows: Rows) -> str:
    """`layers.{0..11}.w`; a number that all have is no range."""
    if len(rows) == 1:
        return "".join(rows[0])
    at = next(i for i in range(len(rows[0])) if len({row[i] for row in rows}) > 1)
    first = rows[0]
    numbers = "{" + _ranges([row[at] for row in rows]) + "}"
    return "".join(first[:at]) + numbers + "".join(first[at + 1 :])


def _ranges(texts: list[str]) -> str:
    """`0..2,4`: runs of consecutive numbers, in order."""
    found: list[list[str]] = []
    for text in sorted(texts, key=int):
        last = found[-1][-1] if found else ""
        if last and str(int(last) + 1).zfill(len(last)) == text:  # 08, 09, 10; not 9, 010
            found[-1] = [found[-1][0], text]
        else:
            found.append([text])
    return ",".join("..".join(dict.fromkeys(run)) for run in found)
