"""assemble: one checkpoint from parts of several; nothing is taken twice or left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..errors import MappingError, SpecError, shown
from ..grouping import grouped
from ..mapping.checks import anything, list_of, map_of, one_of, text
from ..mapping.derived import with_history
from ..mapping.schema import DIALECT, Key, Table
from ..neutral import mappings_of
from ..ops.reduction import DIFFER, Difference
from ..pending import reduction
from ..plan import Check, Plan, Target
from ..simplify import simplify
from . import joining, parts
from .expectations import Expected, fulfilled, read_expected
from .pieces import Desk, Piece
from .reading import Reading
from .work import Place, Work

KEYS: Table = {
    "parts": Key(list_of(anything)),
    "to": Key(DIALECT, None),
    "ties": Key(map_of(text), {}),
    "conflicts": Key(one_of("error", "first", "last"), "error"),
    "expect": Key(anything, None),
    "missing": Key(anything, None),
    "as": Key(text),
}
Pieces = Callable[[Any, Desk, Place], Iterable[Piece]]


class Form(NamedTuple):
    """A form of a part: its keys, how they are read, the pieces that it gives."""

    table: Table
    read: Callable[..., Any]
    pieces: Pieces | None  # None: what is taken from a state depends on the dialect of the whole


FORMS: Mapping[str, Form] = {
    "from": Form(parts.FROM, parts.read_from, None),
    "concat": Form(joining.CONCAT, joining.read_joined, joining.concatenated),
    "stack": Form(joining.STACK, joining.read_joined, joining.stacked),
    "crop": Form(joining.CROP, joining.read_joined, joining.cropped),
    "layers": Form(parts.LAYERS, parts.read_layers, parts.pieces_of_layers),
}


class Assembly(NamedTuple):
    """What an assembly's keys say; each part with its form."""

    parts: tuple[tuple[str, Any], ...]
    to: str | None
    ties: Mapping[str, str]
    conflicts: str
    expected: Expected | None


def read(step: Reading) -> Assembly:
    """The parts, each of one form, and what the whole must be like."""
    m, found = step.keys, list[tuple[str, Any]]()
    if not m["parts"]:
        step.refuse("wants one part or more", "parts")
    for i, entry in enumerate(m["parts"] or ()):
        forms = [form for form in FORMS if isinstance(entry, dict) and form in entry]
        if len(forms) != 1:
            step.refuse(f"a part has exactly one of {', '.join(FORMS)}", "parts", i)
            continue
        form, problems = FORMS[forms[0]], step.problems
        keys = step.table(form.table, entry, "parts", i)
        if step.problems == problems:
            found.append((forms[0], form.read(step, keys, "parts", i)))
    expected = read_expected(step)
    return Assembly(tuple(found), m["to"], m["ties"], m["conflicts"], expected)


def plan(given: Assembly, work: Work) -> Plan:
    """The union of the parts, with every problem of them at once."""
    desk = Desk(work)
    pieces = list[Piece]()
    for i, (form, part) in enumerate(given.parts):
        place = work.place._replace(at=(*work.place.at, "parts", i))
        laid_out = partial(_of, form, part, desk, place, given.to)
        pieces += desk.draft.attempt(laid_out) or ()
    dialect = desk.draft.attempt(lambda: _dialect(given, desk))
    made = _chosen(pieces, given.conflicts, desk)
    outputs, ties = _shared(made.values())
    _tie(given.ties, made, outputs, ties, desk)
    if given.expected is not None and not desk.draft.problems:
        made, outputs, ties = fulfilled(given.expected, made, outputs, ties, desk)
    desk.draft.refuse_if_problems()
    for alias, names in desk.unused():
        desk.draft.line("unmatched-source", f"of {alias}: no part takes them", names)
    states, metadata = [work.states[alias] for alias in desk.used], _metadata(desk)
    hashes = [h for state in states for h in mappings_of(state.source)]
    whole = Plan(
        outputs={name: simplify(made[name].expr) for name in outputs},
        sources=work.sources,
        target=Target(dialect=dialect),
        ties=ties,
        meanings={name: made[name].meaning for name in outputs},
        origins={name: made[name].origin for name in outputs},
        checks=tuple(desk.checks),
        lines=tuple(desk.draft.lines),
        metadata=metadata,
        mappings=tuple(hashes),
    )
    return with_history(whole, desk.plans)


def _of(form: str, part: Any, desk: Desk, place: Place, to: str | None) -> list[Piece]:
    """The pieces of a part; what an op refused gets the part's place."""
    pieces = FORMS[form].pieces
    try:
        if pieces is None:
            return list(parts.pieces_from(part, desk, place, to))
        return list(pieces(part, desk, place))
    except SpecError as error:
        raise place.refused(str(error), id=error.id) from error


def _dialect(given: Assembly, desk: Desk) -> str | None:
    """The one dialect of all parts.

    Errors: MappingError `axes` where they speak several: a kernel would lie as nobody expects.
    """
    if given.to is not None:
        odd = [(i, f) for i, (f, _) in enumerate(given.parts) if f != "from"]
        for i, form in odd:
            text = f"a part {form} is not converted; transfer it before, and leave `to` out"
            desk.draft.problem(desk.work.place.refused(text, "parts", i, id="axes"))
        return given.to
    spoken = dict[str, str]()
    for form, part in given.parts:
        refs = getattr(part, "references", ())
        names = [part.source] if form == "from" else [r.alias for r in refs]
        names += [alias for alias, _, _ in getattr(part, "spans", ())]
        mapped = part.rules.target.dialect if form == "from" and part.rules else None
        for alias in names:
            dialect = mapped or desk.work.states[alias].dialect
            if dialect is not None:
                spoken.setdefault(dialect, alias)
    if len(spoken) > 1:
        told = ", ".join(f"{alias} {dialect}" for dialect, alias in spoken.items())
        text = (
            f"the parts speak several dialects ({told}): say `to`, or transfer one of them before"
        )
        raise desk.work.place.refused(text, id="axes")
    return next(iter(spoken), None)


def _chosen(pieces: Iterable[Piece], conflicts: str, desk: Desk) -> dict[str, Piece]:
    """One piece for each name; two of one name are refused, or one is picked and listed."""
    found, twice = dict[str, Piece](), dict[str, list[Piece]]()
    for piece in pieces:
        other = found.setdefault(piece.name, piece)
        if other is not piece:
            twice.setdefault(piece.name, [other]).append(piece)
            found[piece.name] = piece if conflicts == "last" else other
    if conflicts == "error":
        for group in grouped(twice):
            rules = " and ".join(p.origin.rule for p in twice[group.names[0]])
            text = f"{group.label} comes from {rules}; drop one, or say conflicts: first or last"
            problem = desk.work.place.refused(text, id="collision", names=group.names)
            desk.draft.problem(problem)
    elif twice:
        desk.draft.line("collision", f"of several parts the {conflicts} was taken", tuple(twice))
    return found


def _shared(pieces: Iterable[Piece]) -> tuple[list[str], dict[str, str]]:
    """The names that are stored, and those that are further names of them."""
    first, ties = dict[Any, str](), dict[str, str]()
    for piece in pieces:
        stored = first.setdefault(piece.share, piece.name)
        if stored != piece.name:
            ties[piece.name] = stored
    return list(first.values()), ties


def _tie(
    asked: Mapping[str, str],
    made: Mapping[str, Piece],
    outputs: list[str],
    ties: dict[str, str],
    desk: Desk,
) -> None:
    """Further names that the plan asks for; where both carry data, it must be the same."""
    for other, name in asked.items():
        stored = ties.get(name, name)
        if stored not in outputs or other == name:
            text = "a tensor tied to itself" if other == name else f"there is no {shown(name)}"
            desk.draft.problem(desk.work.place.refused(text, "ties", other, id="tie"))
            continue
        old = ties.get(other, other)
        if old in outputs and old != stored:
            _equal(old, stored, made, desk)
            outputs.remove(old)
            ties.update({n: stored for n, s in [*ties.items(), (old, old)] if s == old})
        if other != stored:
            ties[other] = stored


def _equal(other: str, name: str, made: Mapping[str, Piece], desk: Desk) -> None:
    a, b = made[other].expr, made[name].expr
    text = f"{shown(other)} and {shown(name)} are tied, but differ"

    def refused(found: Difference | None = None) -> MappingError:
        at = f"; first at flat index {found.first}" if found else f": {a.spec} and {b.spec}"
        return desk.work.place.refused(f"{text}{at}", "ties", other, id="unequal")

    if a.spec[:2] != b.spec[:2]:
        desk.draft.problem(refused())
    else:
        desk.checks.append(Check(reduction(DIFFER, a, b), refused))


def _metadata(desk: Desk) -> dict[str, str]:
    """Foreign metadata of all parts; where two differ the first part's stays, and is listed."""
    found, odd = dict[str, str](), list[str]()
    for alias in desk.used:
        for key, value in desk.work.states[alias].source.metadata.items():
            ours = key.startswith("weightsurgeon.") or key == "format"
            if found.setdefault(key, value) != value and not ours:
                odd.append(key)
    if odd:
        text = "metadata of several parts differ, the first part's stay"
        desk.draft.line("metadata", text, tuple(dict.fromkeys(odd)))
    return found
