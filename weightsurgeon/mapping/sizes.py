"""Sizes that a user gives for axes that no shape tells: each must be an axis of some layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache

from ..conventions import AXES
from ..errors import shown
from ..notation import atoms
from .rules import Layer, Move, Rule

_STANDS_FOR = {"K": ("kd", "kh", "kw"), "F": ("d", "h", "w", "c"), "S": ()}
_PARTS = re.compile(r"(in|out)[0-9]+")  # of an EinsumDense


def stray(sizes: Iterable[str], rules: Iterable[Rule]) -> Iterator[tuple[str, str]]:
    """Names that are an axis of no rule's layout, and what to tell about each.

    >>> [name for name, _ in stray(["kh", "z"], [Layer(kind="conv")])]
    ['z']
    """
    sizes = list(sizes)
    known = set[str]().union(*map(axes_in, rules)) if sizes else set()
    for name in sizes:
        if name not in known and not (_PARTS.fullmatch(name) and {"in", "out"} & known):
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"axes here: {_list(known)}"
            yield name, f"{shown(name)} is an axis of no layout; {hint}"


def axes_in(rule: Rule) -> set[str]:
    """The axes of a rule's layout, or of the rows of its kind."""
    if isinstance(rule, Move) and rule.layout is not None:
        sides = rule.layout
        names = {a.name for side in sides for a in (*side.over, *atoms(side.axes))}
        names |= {n for parts in rule.parts.values() for n in parts if isinstance(n, str)}
        return names.difference(_STANDS_FOR).union(*(_STANDS_FOR.get(n, ()) for n in names))
    if isinstance(rule, Layer):
        return set(_of_kind(rule.kind) | _of_kind(rule.target_kind))
    return set()


@lru_cache
def _of_kind(kind: str) -> frozenset[str]:
    rows = [row for key, row in AXES.items() if kind in ("auto", key.partition(".")[0])]
    words = {w for row in rows for text in row.values() for w in re.findall(r"[A-Za-z]\w*", text)}
    return frozenset(w for word in words for w in _STANDS_FOR.get(word, (word,)))


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
