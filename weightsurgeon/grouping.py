"""Names that differ in one number, as one: `layers.{0..11}.weight`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .errors import shown

_NUMBER = re.compile(r"(\d+)")


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
    rest = list(names)
    groups = {name: [name] for name in rest}
    for place in range(max((len(_NUMBER.findall(n)) for n in rest), default=0)):
        groups = _join(groups, place)
    return [Group(shown(_label(members)), tuple(members)) for members in groups.values()]


def _join(groups: dict[str, list[str]], place: int) -> dict[str, list[str]]:
    """Join groups of one name that agree in all but the number at this place."""
    joined: dict[str, list[str]] = {}
    for key, members in groups.items():
        parts = _NUMBER.split(members[0])
        if len(members) == 1 and 2 * place + 1 < len(parts):
            parts[2 * place + 1] = "\0"
            key = "".join(parts)
        joined.setdefault(key, []).extend(members)
    singles = {k for k, m in joined.items() if len(m) == 1}
    return {(m[0] if k in singles else k): m for k, m in joined.items()}


def _label(members: list[str]) -> str:
    if len(members) == 1:
        return members[0]
    rows = [_NUMBER.split(name) for name in members]
    at = next(i for i in range(len(rows[0])) if len({row[i] for row in rows}) > 1)
    texts = [row[at] for row in rows]
    return "".join(rows[0][:at]) + "{" + _ranges(texts) + "}" + "".join(rows[0][at + 1 :])


def _ranges(texts: list[str]) -> str:
    """`0..2,4`: runs of consecutive numbers, in order."""
    found: list[list[str]] = []
    for text in sorted(texts, key=int):
        if found and int(text) == int(found[-1][-1]) + 1:
            found[-1] = [found[-1][0], text]
        else:
            found.append([text])
    return ",".join("..".join(dict.fromkeys(run)) for run in found)
