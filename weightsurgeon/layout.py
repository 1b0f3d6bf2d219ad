"""Layouts: how named axes lie in a tensor, and the movement from one layout to another.

The notation, outermost axis first: `kh kw in out`; `(head dim) in` joins two axes, head the slow
one; `in (g:ifgo unit)` names the entries of an axis in order; `-kh` runs backwards; `1` is an axis
of size 1; `K` stands for all spatial axes. Axes before a bar, `p | in out`, run over tensors.

`relayout` is reshape · take · permute · reshape: a bijection, whatever the sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import prod
from typing import NamedTuple

from .errors import SpecError
from .expr import Expr
from .ops.movement import permute, reshape, take
from .spec import Axes, Axis, TensorSpec

_TOKEN = re.compile(r"\s*(?:(\()|(\))|(\|)|(-?[A-Za-z_][A-Za-z0-9_]*(?::[a-z]{2,})?|1)(?![\w:]))")
_SPATIAL = {0: (), 1: ("kw",), 2: ("kh", "kw"), 3: ("kd", "kh", "kw")}

Sizes = Mapping[str, int]


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
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SpecError(f"layout {text!r}: cannot read {text[at:].strip()[:20]!r}", "layout")
        opened, closed, bar, word = found.groups()
        at = found.end()
        if (opened and group is not None) or (closed and group is None) or (bar and group):
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
    if over is not None or any(len(group) != 1 for group in terms):
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


# -- sizes -----------------------------------------------------------------------------------


def known_sizes(axes: Axes) -> dict[str, int]:
    """Sizes that the notation itself tells: as many as an axis has letters."""
    return {axis.name: len(axis.letters) for axis in atoms(axes) if axis.letters}


def solve(sides: Iterable[tuple[Axes, tuple[int, ...]]], known: Sizes) -> dict[str, int]:
    """The size of every axis: each dimension is the product of the axes in it.

    Errors: SpecError `shape` where they contradict each other, `size` where one stays unknown.

    >>> solve([(parse("(head dim) in"), (12, 5))], {"head": 3})
    {'head': 3, 'dim': 4, 'in': 5}
    """
    sides = list(sides)
    sizes = dict(known)
    for axes, shape in sides:
        if len(axes) != len(shape):
            raise SpecError(f"{_rank(shape)} cannot be read as [{axes}]: {len(axes)} axes")
        for name, size in known_sizes(axes).items():
            if sizes.setdefault(name, size) != size:
                raise SpecError(f"{name} is given as {sizes[name]}, but has {size} letters")
    while _solve_once(sides, sizes):
        pass
    open_ = {a.name: None for axes, _ in sides for a in atoms(axes) if a.name not in sizes}
    if open_:
        axes, shape = sides[0]
        names = ", ".join(open_)
        raise SpecError(
            f"{shape} as [{axes}]: {names} unknown; give sizes: {{{next(iter(open_))}: …}}"
            f" or --set {next(iter(open_))}=…",
            "size",
        )
    return {a.name: sizes[a.name] for axes, _ in sides for a in atoms(axes)}


def _rank(shape: tuple[int, ...]) -> str:
    return f"a tensor of shape {shape}"


def _solve_once(sides: list[tuple[Axes, tuple[int, ...]]], sizes: dict[str, int]) -> bool:
    moved = False
    for axes, shape in sides:
        for group, size in zip(axes, shape, strict=True):
            unknown = [axis.name for axis in group if axis.name not in sizes]
            product = prod(sizes[axis.name] for axis in group if axis.name in sizes)
            if len(unknown) == 1 and product and size % product == 0:
                sizes[unknown[0]], moved = size // product, True
            elif len(unknown) == 1 or (not unknown and product != size):
                text = " × ".join(f"{a.name}={sizes.get(a.name, '?')}" for a in group) or "1"
                raise SpecError(f"{shape} does not fit [{axes}]: {size} is not {text}")
    return moved


# -- relayout --------------------------------------------------------------------------------


def relayout(x: Expr, have: Axes, want: Axes, sizes: Sizes | None = None) -> Expr:
    """Move a tensor that lies as `have` so that it lies as `want`; the result's axes are `want`.

    Errors: SpecError if the sides name other axes, or sizes contradict or stay unknown.

    >>> from weightsurgeon.expr import array
    >>> kernel = array([[0, 1, 2], [3, 4, 5]])
    >>> relayout(kernel, parse("in out"), parse("out in")).numpy().tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    known = solve([(have, x.spec.shape)], {**known_sizes(want), **(sizes or {})})
    here, there = atoms(have), atoms(want)
    if sorted(a.name for a in here) != sorted(a.name for a in there):
        raise SpecError(f"[{have}] and [{want}] do not name the same axes", "layout")
    apart = Axes((axis,) for axis in here)
    x = reshape(x, [known[a.name] for a in here], apart)
    wanted = {a.name: a for a in there}
    for i, axis in enumerate(here):
        indices = _entries(axis, wanted[axis.name], known[axis.name])
        if indices != list(range(len(indices))):
            x = take(x, i, indices)
    place = {a.name: i for i, a in enumerate(here)}
    x = permute(x, [place[a.name] for a in there])
    return reshape(x, [prod(known[a.name] for a in group) for group in want], want)


def _entries(have: Axis, want: Axis, size: int) -> list[int]:
    """Which entry of an axis comes where: letters in another order, or backwards."""
    order = list(range(size))
    if have.letters and want.letters and have.letters != want.letters:
        if sorted(have.letters) != sorted(want.letters):
            raise SpecError(f"{have} and {want} do not name the same entries", "layout")
        order = [have.letters.index(letter) for letter in want.letters]
    return order[::-1] if have.backwards != want.backwards else order


# -- the axes check --------------------------------------------------------------------------

_OPPOSED = ({"in", "out"}, {"kd", "kh"}, {"kd", "kw"}, {"kh", "kw"}, {"vocab", "embed"})


def meet(axes: Axes, spec: TensorSpec) -> dict[str, str]:
    """What the axes of a layout are called in a tensor whose own axes are known."""
    if spec.axes is None or len(spec.axes) != len(axes):
        return {}
    pairs: dict[str, str] = {}
    for mine, theirs in zip(axes, spec.axes, strict=True):
        if len(mine) == len(theirs):
            pairs |= {a.name: b.name for a, b in zip(mine, theirs, strict=True)}
    return pairs


def check_axes(here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Refuse a layout by which an axis would be one thing here and its opposite there.

    Errors: SpecError `axes`: a silent transpose, whatever the sizes.
    """
    for axis in here.keys() & there.keys():
        a, b = here[axis], there[axis]
        if {a, b} in _OPPOSED:
            raise SpecError(f"{axis} is `{a}` here and `{b}` in the target", "axes")
