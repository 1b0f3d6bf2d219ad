"""The movement from one layout to another, and the sizes and names that decide whether it may be.

`relayout` is reshape · take · permute · reshape: a bijection, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

from .errors import SpecError
from .expr import Expr
from .notation import atoms
from .ops.movement import permute, reshape, take
from .spec import Axes, Axis, TensorSpec

Sizes = Mapping[str, int]


# -- sizes -----------------------------------------------------------------------------------


def known_sizes(axes: Axes) -> dict[str, int]:
    """Sizes that the notation itself tells: as many as an axis has letters."""
    return {axis.name: len(axis.letters) for axis in atoms(axes) if axis.letters}


def solve(
    sides: Iterable[tuple[Axes, tuple[int, ...]]],
    known: Sizes,
    joined: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, int]:
    """The size of every axis: each dimension is the product of the axes in it.

    `joined` axes are as long as others together.

    Errors: SpecError `shape` where they contradict each other, `size` where one stays unknown.

    >>> from weightsurgeon.notation import parse
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
    while _solve_once(sides, sizes) or _add_up(joined or {}, sizes):
        pass
    open_ = {a.name: None for axes, _ in sides for a in atoms(axes) if a.name not in sizes}
    for whole, parts in (joined or {}).items():
        open_ |= {n: None for n in parts if whole in sizes and n not in sizes}
    if open_:
        axes, shape = sides[0]
        names, first = ", ".join(open_), next(iter(open_)).partition("[")[0]
        raise SpecError(
            f"{shape} as [{axes}]: {names} unknown; give sizes: {{{first}: …}} or --set {first}=…",
            "size",
        )
    found = {a.name: sizes[a.name] for axes, _ in sides for a in atoms(axes)}
    for name, parts in (joined or {}).items():
        found |= {n: sizes[n] for n in (name, *parts) if n in sizes}
    return found


def _rank(shape: tuple[int, ...]) -> str:
    return f"a tensor of shape {shape}"


def _solve_once(sides: list[tuple[Axes, tuple[int, ...]]], sizes: dict[str, int]) -> bool:
    moved = False
    for axes, shape in sides:
        for group, size in zip(axes, shape, strict=True):
            unknown = [axis.name for axis in group if axis.name not in sizes]
            product = prod(sizes[axis.name] for axis in group if axis.name in sizes)
            if len(unknown) == 1 and not product and not size:
                continue  # any size would do
            if len(unknown) == 1 and product and size % product == 0:
                sizes[unknown[0]], moved = size // product, True
            elif len(unknown) == 1 or (not unknown and product != size):
                text = " × ".join(f"{a.name}={sizes.get(a.name, '?')}" for a in group) or "1"
                raise SpecError(f"{shape} does not fit [{axes}]: {size} is not {text}")
    return moved


def _add_up(joined: Mapping[str, Sequence[str]], sizes: dict[str, int]) -> bool:
    """What parts are together, or the one part that is left of it."""
    moved = False
    for whole, parts in joined.items():
        rest = sum(sizes[n] for n in parts if n in sizes)
        unknown = [n for n in parts if n not in sizes]
        if not unknown and whole not in sizes:
            sizes[whole], moved = rest, True
        elif whole in sizes and len(unknown) == 1 and sizes[whole] >= rest:
            sizes[unknown[0]], moved = sizes[whole] - rest, True
        elif whole in sizes and (sizes[whole] < rest or (not unknown and sizes[whole] > rest)):
            name, told = whole.partition("[")[0], [sizes.get(n, "_") for n in parts]
            raise SpecError(f"{name} has {sizes[whole]} entries, the parts {told} do not")
    return moved


# -- relayout --------------------------------------------------------------------------------


def relayout(x: Expr, have: Axes, want: Axes, sizes: Sizes | None = None) -> Expr:
    """Move a tensor that lies as `have` so that it lies as `want`; the result's axes are `want`.

    Errors: SpecError if the sides name other axes, or sizes contradict or stay unknown.

    >>> from weightsurgeon.expr import array
    >>> from weightsurgeon.notation import parse
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
        indices = entries(axis, wanted[axis.name], known[axis.name])
        if indices is not None:
            x = take(x, i, indices)
    place = {a.name: i for i, a in enumerate(here)}
    x = permute(x, [place[a.name] for a in there])
    return reshape(x, [prod(known[a.name] for a in group) for group in want], want)


def entries(have: Axis, want: Axis, size: int) -> list[int] | None:
    """Which entry of an axis comes where, letters in another order or backwards; None: as it is."""
    turned = have.backwards != want.backwards
    if not have.letters or not want.letters or have.letters == want.letters:
        return list(range(size))[::-1] if turned else None
    if sorted(have.letters) != sorted(want.letters):
        raise SpecError(f"{have} and {want} do not name the same entries", "layout")
    here, there = (a.letters[::-1] if a.backwards else a.letters for a in (have, want))
    return [here.index(letter) for letter in there]


# -- the axes check --------------------------------------------------------------------------

_OPPOSED = ({"in", "out"}, {"kd", "kh"}, {"kd", "kw"}, {"kh", "kw"}, {"vocab", "embed"})

Meeting = Mapping[str, tuple[Axis, ...]]


def meet(axes: Axes, spec: TensorSpec) -> Meeting:
    """What the axes of a layout are in a tensor whose own axes are known.

    An axis that stands alone where the tensor has a group is that whole group.
    """
    if spec.axes is None or len(spec.axes) != len(axes):
        return {}
    pairs: dict[str, tuple[Axis, ...]] = {}
    for mine, theirs in zip(axes, spec.axes, strict=True):
        if len(mine) == len(theirs):
            pairs |= {a.name: (b,) for a, b in zip(mine, theirs, strict=True)}
        elif len(mine) == 1:
            pairs[mine[0].name] = theirs
    return pairs


def check_axes(here: Meeting, there: Meeting) -> None:
    """Refuse a layout by which an axis would be one thing here and its opposite there.

    Errors: SpecError `axes`: a silent transpose, whatever the sizes.
    """
    for axis in [name for name in here if name in there]:
        a, b = ([x.name for x in side[axis]] for side in (here, there))
        reordered = sorted(a) == sorted(b) and a != b
        if reordered or (len(a) == len(b) == 1 and {*a, *b} in _OPPOSED):
            text = f"{axis} is `{' '.join(a)}` here and `{' '.join(b)}` in the target"
            raise SpecError(text, "axes")


def agree(a: Axes, b: Axes) -> bool:
    """Whether two tensors lie alike, as far as both tell: one may know a group as a single axis.

    >>> from weightsurgeon.notation import parse
    >>> agree(parse("in out"), parse("(h w c) out")), agree(parse("in out"), parse("out in"))
    (True, False)
    """
    if len(a) != len(b):
        return False
    return all(x == y or _coarser(x, y) or _coarser(y, x) for x, y in zip(a, b, strict=True))


def _coarser(x: tuple[Axis, ...], y: tuple[Axis, ...]) -> bool:
    return len(x) == 1 < len(y) and x[0].name in ("in", "out", "feature")


def refined(axes: Axes, known: Axes | None) -> Axes:
    """The axes, with the order inside a group as the tensor itself states it.

    >>> from weightsurgeon.notation import parse
    >>> str(refined(parse("out (c h w)"), parse("out (h w c)")))
    'out (h w c)'
    """
    if known is None or len(known) != len(axes):
        return axes
    pairs = zip(axes, known, strict=True)
    return Axes(k if sorted(a) == sorted(k) else a for a, k in pairs)
