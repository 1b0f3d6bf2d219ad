"""Parts that join tensors of several states, stack them along a new axis, or cut them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..errors import SpecError, shown
from ..expr import Expr
from ..mapping.checks import either, list_of, size, text
from ..mapping.pasting import axis_of
from ..mapping.schema import Key, Table
from ..notation import parse
from ..ops.movement import concat, crop, reshape
from ..plan import Origin
from ..spec import Axes
from .pieces import Desk, Piece, Reference, reference, renamed
from .reading import Reading
from .work import Place

AXIS = either(text, size)
CONCAT: Table = {"concat": Key(list_of(text)), "axis": Key(AXIS), "to": Key(text, None)}
STACK: Table = {"stack": Key(text), "axis": Key(text), "to": Key(text)}
CROP: Table = {
    "crop": Key(text),
    "axis": Key(AXIS),
    "range": Key(list_of(size)),
    "to": Key(text, None),
}


class Joined(NamedTuple):
    """References in order, an axis by name or number, the name of the result, a range for crop."""

    references: tuple[Reference, ...]
    axis: str | int
    to: str | None
    range: tuple[int, ...] = ()


def read_joined(step: Reading, m: Mapping[str, Any], *at: str | int) -> Joined:
    """A part `concat`, `stack` or `crop`: its references, and what they must be like."""
    form = next(key for key in ("concat", "stack", "crop") if key in m)
    texts = m[form] if form == "concat" else [m[form]]
    found = [step.attempt(reference, t, at=(*at, form)) for t in texts]
    refs = [ref for ref in found if ref is not None]
    for ref in refs:
        step.state(*at, form, name=ref.alias)
    stars = {ref.tail is not None for ref in refs}
    if form == "concat" and (len(texts) < 2 or len(stars) > 1):
        step.refuse("wants two tensors or more, all of them with a * or none", *at, form)
    if form == "stack":
        step.attempt(parse, m["axis"], at=(*at, "axis"))
        if stars == {False}:
            step.refuse("wants one * where the number stands", *at, form)
    span = m.get("range") or []
    if form == "crop" and (len(span) != 2 or span[0] > span[1]):
        step.refuse("range wants two rising numbers, [first, behind the last]", *at, "range")
    to = m["to"]
    if to is not None and form != "stack" and stars not in (set(), {"*" in to}):
        step.refuse("`to` has a * where the tensors have one", *at, "to")
    return Joined(tuple(refs), m["axis"], to, tuple(span))


def concatenated(part: Joined, desk: Desk, place: Place) -> Iterator[Piece]:
    """Each set of tensors that the `*` matches in the same way, joined along the axis.

    Errors: SpecError for a name that one side lacks, and for what does not fit.
    """
    found = [desk.found(ref) for ref in part.references]
    stars = {star: None for side in found for star in side}
    for ref, side in zip(part.references, found, strict=True):
        for star in stars:
            if star not in side:
                raise SpecError(f"{shown(str(ref).replace('*', star))} is not there", "gap")
    for star, first in found[0].items():
        names = [side[star] for side in found]
        label = ", ".join(f"{r.alias}:{n}" for r, n in zip(part.references, names, strict=True))
        xs = [desk.take(r.alias, n) for r, n in zip(part.references, names, strict=True)]
        axis = axis_of(xs[0].spec, part.axis, shown(label))
        try:
            joined = concat(xs, axis)
        except SpecError as error:
            raise SpecError(f"{shown(label)}: {error}", error.id) from error
        name = first if part.to is None else part.to.replace("*", star)
        yield _made(part, desk, place, name, joined, names)


def stacked(part: Joined, desk: Desk, place: Place) -> Iterator[Piece]:
    """All tensors of a numbered set as one, the new axis first.

    Errors: SpecError for numbers that do not run from 0 without a gap, and for what does not fit.
    """
    (ref,) = part.references
    found = desk.found(ref)
    if odd := [s for s in found if not (s.isascii() and s.isdigit() and str(int(s)) == s)]:
        raise SpecError(f"{shown(ref)}: {shown(odd[0])!r} is no number", "gap")
    numbers = {int(star): name for star, name in found.items()}
    if gaps := [i for i in range(max(numbers)) if i not in numbers]:
        raise SpecError(f"{shown(ref)}: no {', '.join(map(str, gaps[:8]))}", "gap")
    names = [numbers[i] for i in range(len(numbers))]
    xs = [desk.take(ref.alias, name) for name in names]
    rows = [reshape(x, (1, *x.spec.shape)) for x in xs]
    try:
        joined = concat(rows, 0)
    except SpecError as error:
        raise SpecError(f"{shown(ref)}: {error}", error.id) from error
    axes = xs[0].spec.axes
    if axes is not None:
        joined = joined.named(Axes((*parse(str(part.axis)), *axes)))
    piece = _made(part, desk, place, str(part.to), joined, names)
    # the layer that these were kernels of is no more: a role stays, a kind does not
    yield piece._replace(meaning=replace(piece.meaning, kind=None, options={}))


def cropped(part: Joined, desk: Desk, place: Place) -> Iterator[Piece]:
    """A range of an axis of each tensor that is matched.

    Errors: SpecError for a range that does not lie in the axis.
    """
    (ref,) = part.references
    for star, old in desk.found(ref).items():
        x = desk.take(ref.alias, old)
        label = shown(f"{ref.alias}:{old}")
        axis = axis_of(x.spec, part.axis, label)
        try:
            cut = crop(x, axis, *part.range)
        except SpecError as error:
            raise SpecError(f"{label}: {error}", error.id) from error
        name = old if part.to is None else part.to.replace("*", star)
        yield _made(part, desk, place, name, cut, [old])


def _made(part: Joined, desk: Desk, place: Place, name: str, expr: Expr, names: list[str]) -> Piece:
    if isinstance(part.axis, int):
        desk.draft.line("axis", f"axis {part.axis}, by its number", (name,))
    meaning = desk.work.states[part.references[0].alias].meaning(names[0])
    origin = Origin(str(place), tuple(names))
    return Piece(name, expr, renamed(meaning, name, expr.spec), origin, (place.at, name))
