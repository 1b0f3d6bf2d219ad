"""The notation of axes: how named axes lie in a tensor, as text and as `Axes`.

Outermost axis first: `kh kw in out`; `(head dim) in` joins two axes, head the slow one;
`in (g:ifgo unit)` names the entries of an axis in order; `-kh` runs backwards; `1` is an axis of
size 1; `K` stands for all spatial axes. Axes before a bar, `p | in out`, run over tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from .errors import SpecError
from .spec import Axes, Axis

_TOKEN = re.compile(r"\s*(?:(\()|(\))|(\|)|(-?[A-Za-z_][A-Za-z0-9_]*(?::[a-z]{2,})?|1)(?![\w:-]))")
MAX_TEXT = 1000
_SPATIAL = {0: (), 1: ("kw",), 2: ("kh", "kw"), 3: ("kd", "kh", "kw")}


class Side(NamedTuple):
    """One side of a layout: `over` runs over tensors, `axes` lie in each of them."""

    over: tuple[Axis, ...]
    axes: Axes


class Layout(NamedTuple):
    """What `have -> want` says: the same axes, lying one way here and another way there."""

    have: Side
    want: Side


@lru_cache(maxsize=4096)
def parse(text: str) -> Axes:
    """Read the axes of one tensor.

    >>> [len(group) for group in parse("in (g:ifgo unit) 1")]
    [1, 2, 0]
    """
    side = _side(text)
    if side.over:
        raise SpecError(f"layout {text!r}: a bar has no meaning here", "layout")
    return side.axes


@lru_cache(maxsize=4096)
def parse_side(text: str) -> Side:
    """Read one side: the axes over tensors, if it has a bar, and those in each of them.

    >>> parse_side("p:qkv | in head dim").over
    (Axis(name='p', letters='qkv', backwards=False),)
    """
    return _side(text)


@lru_cache(maxsize=4096)
def parse_layout(text: str) -> Layout:
    """Read `have -> want`; both sides name the same axes, each once.

    >>> str(parse_layout("in out -> out in").want.axes)
    'out in'
    """
    sides = text.split("->")
    if len(sides) != 2:
        raise SpecError(f"layout {text!r}: wants one arrow, as in `in out -> out in`", "layout")
    return Layout(_side(sides[0]), _side(sides[1]))


def _side(text: str) -> Side:
    over, terms, group, at = None, list[tuple[Axis, ...]](), None, 0
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise SpecError(
            f"layout of {len(text)} characters: no tensor needs over {MAX_TEXT}", "layout"
        )
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SpecError(f"layout {text!r}: cannot read {text[at:].strip()[:20]!r}", "layout")
        opened, closed, bar, word = found.groups()
        at = found.end()
        if (
            (opened and group is not None)
            or (closed and group is None)
            or (bar and group is not None)
        ):
            raise SpecError(f"layout {text!r}: groups are not nested and end in it", "layout")
        if opened:
            group = list[Axis]()
        elif closed:
            terms.append(tuple(group or ()))
            group = None
        elif bar:
            over, terms = _plain(text, over, terms), []
        elif group is not None:
            group += _axis(word)
        else:
            terms.append(tuple(_axis(word)))
    if group is not None:
        raise SpecError(f"layout {text!r}: a group is not closed", "layout")
    side = Side(over or (), Axes(terms))
    _unique(text, side)
    return side


def _axis(word: str) -> list[Axis]:
    if word == "1":
        return []
    name, _, letters = word.partition(":")
    return [Axis(name.lstrip("-"), letters, name.startswith("-"))]


def _plain(
    text: str, over: tuple[Axis, ...] | None, terms: list[tuple[Axis, ...]]
) -> tuple[Axis, ...]:
    if over is not None or not terms or any(len(group) != 1 for group in terms):
        raise SpecError(f"layout {text!r}: before the one bar stand plain axes", "layout")
    return tuple(axis for group in terms for axis in group)


def _unique(text: str, side: Side) -> None:
    names = [axis.name for axis in (*side.over, *atoms(side.axes))]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SpecError(f"layout {text!r}: {', '.join(twice)} stands twice on a side", "layout")
    for axis in (*side.over, *atoms(side.axes)):
        if len(set(axis.letters)) != len(axis.letters):
            raise SpecError(f"layout {text!r}: a letter of {axis} stands twice", "layout")


def atoms(axes: Iterable[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """The axes without their grouping."""
    return tuple(axis for group in axes for axis in group)


def expand_spatial(axes: Axes, rank: int | None = None, count: int | None = None) -> Axes:
    """Put kw, kh kw or kd kh kw in place of K: `count` of them, or what the rank leaves for it.

    >>> str(expand_spatial(parse("K in out"), rank=4))
    'kh kw in out'
    """
    at = next((i for i, group in enumerate(axes) if group and group[0].name == "K"), None)
    if at is None:
        return axes
    if count is None:
        count = (rank or 0) - (len(axes) - 1)
    if count not in _SPATIAL:
        raise SpecError(f"[{axes}] leaves {count} spatial axes in a tensor of rank {rank}")
    spatial = [(Axis(name, "", axes[at][0].backwards),) for name in _SPATIAL[count]]
    return Axes((*axes[:at], *spatial, *axes[at + 1 :]))
