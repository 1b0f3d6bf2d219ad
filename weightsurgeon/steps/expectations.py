"""What an assembly must be like: the names, shapes and dtypes of a template, and where what is
missing comes from."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..grouping import grouped
from ..mapping.checks import text
from ..mapping.schema import Key, Table
from ..ops.arithmetic import full
from ..plan import Origin
from .pieces import Desk, Piece
from .reading import Reading

EXPECT: Table = {"like": Key(text)}
Made = tuple[dict[str, Piece], list[str], dict[str, str]]


class Expected(NamedTuple):
    """The template's state; `missing`: the state that fills gaps, "" for zeros, None to refuse."""

    like: str
    missing: str | None


def read_expected(step: Reading) -> Expected | None:
    """The keys `expect` and `missing`."""
    expect, missing = step.keys["expect"], step.keys["missing"]
    if expect is None:
        if missing is not None:
            step.refuse("has a meaning beside `expect` only", "missing")
        return None
    m = step.table(EXPECT, expect, "expect")
    step.state("expect", "like", name=m.get("like"))
    return Expected(str(m.get("like")), _missing(step, missing))


def _missing(step: Reading, missing: object) -> str | None:
    if missing in (None, "error"):
        return None
    if missing == {"fill": "zeros"}:
        return ""
    if isinstance(missing, dict) and list(missing) == ["from"] and isinstance(missing["from"], str):
        step.state("missing", "from", name=missing["from"])
        return missing["from"]
    step.refuse("wants error | {from: STATE} | {fill: zeros}", "missing")
    return None


def fulfilled(
    expected: Expected, made: dict[str, Piece], outputs: list[str], ties: dict[str, str], desk: Desk
) -> Made:
    """The assembly in the template's order, its gaps filled; what differs is refused by name."""
    like = desk.work.states[expected.like]
    _refuse_others(like, made, ties, desk)
    found, gaps, absent = dict[str, Piece](), list[str](), list[str]()
    for name in like:
        stored = ties.get(name, name)
        if stored in made:
            _compare(name, made[stored], like[name], desk)
        elif like.ties.get(name) in made:
            ties[name] = ties.get(like.ties[name], like.ties[name])
        elif (piece := _filling(expected, name, like[name], desk)) is not None:
            gaps.append(name)
            found[name] = piece
        else:
            absent.append(name)
    for group in grouped(absent):
        _refuse(desk, f"{group.label} {like[group.names[0]].spec}: no part makes it", group.names)
    if gaps:
        origin = "zeros" if expected.missing == "" else f"values of {expected.missing}"
        desk.draft.line("kept", f"{len(gaps)} tensors that no part makes: {origin}", tuple(gaps))
    pieces = {**made, **found}
    order = [name for name in like if name in pieces and name not in ties]
    return pieces, order or outputs, ties


def _refuse_others(
    like: Checkpoint, made: dict[str, Piece], ties: dict[str, str], desk: Desk
) -> None:
    for group in grouped(n for n in (*made, *ties) if n not in like):
        text = f"{group.label} is made, but {shown(like.path)} has no such tensor"
        _refuse(desk, text, group.names, "no-such-target")


def _compare(name: str, piece: Piece, wanted: Expr, desk: Desk) -> None:
    if piece.expr.spec[:2] != wanted.spec[:2]:
        text = f"{shown(name)} is {piece.expr.spec}, expected is {wanted.spec}"
        _refuse(desk, text, (name,), "shape")


def _filling(expected: Expected, name: str, wanted: Expr, desk: Desk) -> Piece | None:
    """What stands in for a tensor that no part makes."""
    spec, like = wanted.spec, desk.work.states[expected.like]
    if expected.missing is None:
        return None
    if expected.missing == "":
        zeros = full(spec.shape, spec.dtype, 0, spec.axes)
        origin = Origin(str(desk.work.place), (), "none", "made")
        return Piece(name, zeros, like.meaning(name), origin, ("filled", name))
    base = desk.work.states[expected.missing]
    if name not in base:
        return None
    origin = Origin(str(desk.work.place), (name,), "exact", "kept")
    piece = Piece(name, base[name], base.meaning(name), origin, ("filled", name))
    _compare(name, piece, wanted, desk)
    return piece


def _refuse(desk: Desk, text: str, names: tuple[str, ...], id: str = "unmatched-target") -> None:
    desk.draft.problem(desk.work.place.refused(text, "expect", id=id, names=names))
