"""Parts that are taken from one state: chosen, mapped or renamed, put under a prefix; and layers
picked from several states and numbered anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import PlanError, SpecError, shown
from ..formats.base import Checkpoint
from ..mapping import tokens
from ..mapping.auto import automatic
from ..mapping.checks import anything, list_of, map_of, size, text
from ..mapping.compile import Job, compile_plan
from ..mapping.derived import Derived, only
from ..mapping.names import NameError_, Pattern
from ..mapping.rules import Mapping as Rules
from ..mapping.schema import Key, Table
from ..mapping.select import Test, selector
from ..plan import Origin, Target
from .pieces import Desk, Piece, renamed
from .reading import Reading
from .sides import opened, stated
from .work import Place

FROM: Table = {
    "from": Key(text),
    "take": Key(anything, "*"),
    "drop": Key(anything, None),
    "rename": Key(map_of(text), None),
    "mapping": Key(text, None),
    "prefix": Key(text, ""),
}
LAYERS: Table = {"layers": Key(text), "of": Key(list_of(anything))}
OF: Table = {"from": Key(text), "range": Key(list_of(size))}


class From(NamedTuple):
    """Tensors of one state under new names."""

    source: str
    take: Test
    drop: Test | None
    renames: tuple[tuple[Pattern, Pattern], ...]
    rules: Rules | None
    prefix: str


class Layers(NamedTuple):
    """Layers of several states, numbered from 0 in this order; `spans` are half-open."""

    head: str
    tail: str
    spans: tuple[tuple[str, int, int], ...]


def read_from(step: Reading, m: Mapping[str, Any], *at: str | int) -> From:
    """A part that takes tensors of one state."""
    step.state(*at, "from", name=m["from"])
    take = step.attempt(selector, m["take"], at=(*at, "take"))
    drop = step.attempt(selector, m["drop"], at=(*at, "drop")) if m["drop"] is not None else None
    rules = step.mapping(*at, "mapping", name=m["mapping"])
    if m["mapping"] and m["rename"]:
        step.refuse("give `mapping` or `rename`, not both", *at)
    renames = [
        step.attempt(_rename, old, new, at=(*at, "rename", old))
        for old, new in (m["rename"] or {}).items()
    ]
    found = tuple(pair for pair in renames if pair is not None)
    return From(m["from"], take, drop, found, rules, m["prefix"])  # type: ignore[arg-type]


def _rename(old: str, new: str) -> tuple[Pattern, Pattern]:
    source = tokens.parse(old)
    target = tokens.parse(new, known=tokens.captures_of(source))
    odd = set(tokens.captures_of(source)) ^ set(tokens.captures_of(target))
    if odd:
        raise ValueError(f"both sides name the same captures; only one has {', '.join(odd)}")
    return source, target


def read_layers(step: Reading, m: Mapping[str, Any], *at: str | int) -> Layers:
    """A part that numbers layers anew."""
    head, mark, tail = m["layers"].partition("{i}")
    if not mark or not tail or tail[0].isdigit() or "{i}" in tail:
        step.refuse("wants one {i} with a separator behind it, as in `layers.{i}.`", *at, "layers")
    spans = []
    for i, entry in enumerate(m["of"]):
        here = (*at, "of", i)
        of = step.table(OF, entry, *here)
        step.state(*here, "from", name=of.get("from"))
        span = of.get("range") or []
        if len(span) != 2 or span[0] >= span[1]:
            step.refuse("range wants two rising numbers, [first, behind the last]", *here)
            continue
        spans.append((of["from"], *span))
    return Layers(head, tail, tuple(spans))


def pieces_from(part: From, desk: Desk, place: Place, to: str | None) -> Iterator[Piece]:
    """The tensors of a part: take and drop, then the mapping or the renames, then the prefix.

    Errors: PlanError or MappingError for selectors and renames that match nothing, and for what
    the mapping refuses.
    """
    state = desk.state(part.source)
    taken = _taken(part, state, place)
    desk.used[part.source] |= set(taken)
    chosen = state if len(taken) == len(state) else only(state, taken)
    mapped = _mapped(part, chosen, desk, to)
    names = _renamed(part, mapped, place)
    origins = getattr(mapped, "origins", {})
    for old, new in names.items():
        origin = origins.get(old, Origin("", (old,)))
        origin = origin._replace(rule=origin.rule or str(place))
        expr, name = mapped[old], part.prefix + new
        meaning = renamed(mapped.meaning(old), name, expr.spec)
        yield Piece(name, expr, meaning, origin, (place.at, mapped.ties.get(old, old)))


def _taken(part: From, state: Checkpoint, place: Place) -> list[str]:
    facts = {name: (name, state.source.specs[name], state.meaning(name)) for name in state}
    taken = [name for name in state if part.take(*facts[name])]
    dropped = {n for n in taken if part.drop is not None and part.drop(*facts[n])}
    if not taken or len(taken) == len(dropped):
        text = f"yields nothing: it takes {len(taken)} of {len(state)} tensors"
        raise place.refused(f"{text} and drops {len(dropped)}", id="dead-rule")
    if part.drop is not None and not dropped:
        raise place.refused("matches nothing that is taken", "drop", id="dead-rule")
    return [name for name in taken if name not in dropped]


def _mapped(part: From, state: Checkpoint, desk: Desk, to: str | None) -> Checkpoint:
    """The state through the part's mapping, or in the dialect of the assembly."""
    rules = part.rules
    if rules is None and to in (None, state.dialect):
        return state
    sources = desk.work.sources
    if rules is not None:
        state = opened(state, *stated(rules, "source"), rules.hash)
    else:
        rules = automatic(state, None, state.dialect, to)
    dialect = rules.target.dialect or to or state.dialect
    plan = compile_plan(Job(state, rules, Target(dialect=dialect), sources))
    desk.plans.append(plan)
    return Derived(plan)


def _renamed(part: From, state: Checkpoint, place: Place) -> dict[str, str]:
    """Old name → new name; a pattern that renames nothing is a mistake."""
    if not part.renames:
        return {name: name for name in state}
    found, hit = dict[str, str](), set[str]()
    for name in state:
        found[name] = name
        for old, new in part.renames:
            try:
                captures = old.match(name)
            except NameError_ as error:
                raise place.refused(str(error), "rename", old.text, id=error.id) from error
            if captures is not None:
                hit.add(old.text)
                found[name] = new.write(captures, "")
                break
    dead = [
        place.refused("renames nothing", "rename", old.text, id="dead-rule")
        for old, _ in part.renames
        if old.text not in hit
    ]
    if dead:
        raise PlanError(dead)
    return found


def pieces_of_layers(part: Layers, desk: Desk, place: Place) -> Iterator[Piece]:
    """The layers in the order given, numbered from 0.

    Errors: SpecError for an index that a state lacks.
    """
    number = 0
    for alias, lo, hi in part.spans:
        state = desk.state(alias)
        by_index = dict[int, list[tuple[str, str]]]()
        for name in state:
            found = _index(part, name)
            if found is not None:
                by_index.setdefault(found[0], []).append((name, found[1]))
        absent = [k for k in range(lo, hi) if k not in by_index]
        if absent:
            label = shown(f"{alias}:{part.head}{{i}}{part.tail}")
            raise SpecError(f"{label} has no layer {', '.join(map(str, absent[:8]))}", "gap")
        for k in range(lo, hi):
            for old, rest in by_index[k]:
                name, expr = f"{part.head}{number}{part.tail}{rest}", desk.take(alias, old)
                meaning = renamed(state.meaning(old), name, expr.spec)
                share = (place.at, number, alias, state.ties.get(old, old))
                yield Piece(name, expr, meaning, Origin(str(place), (old,)), share)
            number += 1


def _index(part: Layers, name: str) -> tuple[int, str] | None:
    """The layer's number in a name, and what follows."""
    if not name.startswith(part.head):
        return None
    digits, tail, rest = name[len(part.head) :].partition(part.tail)
    plain = digits.isascii() and digits.isdigit() and len(digits) < 10
    return (int(digits), rest) if tail and plain else None
