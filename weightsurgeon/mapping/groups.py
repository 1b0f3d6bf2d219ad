"""Which tensors of a rule make something together: strings only.

The captures that the target keeps tell groups apart; a list and its gathers place each tensor in a
cell of its group. A gather runs from 0 and as far in every group, unless its range says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import prod
from typing import NamedTuple

from ..errors import MappingError, shown
from ..grouping import grouped
from .claim import Claim
from .many import LIST
from .names import Captures
from .rules import Layer, Move
from .state import State
from .tokens import captures_of

Index = tuple[int, ...]


class Group(NamedTuple):
    """The claims of a rule that are told apart by their cells only; `captures` are all others."""

    rule: Move | Layer
    captures: Captures
    cells: dict[Index, Claim]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its tensors, in the order of the cells."""
        return tuple(self.cells[index].name for index in sorted(self.cells))


def groups_of(rule: Move, claims: Iterable[Claim]) -> list[Group]:
    """The groups of a rule, in the order of their first tensors."""
    found = dict[tuple[object, ...], Group]()
    for claim in claims:
        kept = {n: v for n, v in claim.captures.items() if n not in rule.over[0]}
        group = found.setdefault(tuple(sorted(kept.items())), Group(rule, kept, {}))
        group.cells[_index(rule, claim)] = claim
    return list(found.values())


def key_of(claim: Claim) -> tuple[object, ...]:
    """What the tensors of one role of one layer have in common."""
    return (id(claim.rule), claim.kind, claim.role, *sorted(claim.captures.items()))


def roles_of(claims: Iterable[Claim]) -> dict[tuple[object, ...], Group]:
    """The tensors of each role of each layer, by their place among its leaves."""
    found = dict[tuple[object, ...], Group]()
    for claim in claims:
        if isinstance(claim.rule, Layer):
            group = found.setdefault(key_of(claim), Group(claim.rule, claim.captures, {}))
            group.cells[claim.item,] = claim
    return found


def _index(rule: Move, claim: Claim) -> Index:
    places = (
        claim.item if name == LIST else _place(rule, name, claim.captures[name])
        for name in rule.over[0]
    )
    return tuple(places)


def _place(rule: Move, name: str, value: str | int) -> int:
    """Where a value of a gather stands: numbers from the start of its range, words as written."""
    if isinstance(value, int):
        return value - (rule.ranges.get(name) or (0, 0))[0]
    return captures_of(*rule.sources, *rule.targets)[name].words.index(value)


def value_at(rule: Move, name: str, place: int) -> str | int:
    """What a gather or scatter reads or writes at a place."""
    words = captures_of(*rule.sources, *rule.targets)[name].words
    return words[place] if words else place + (rule.ranges.get(name) or (0, 0))[0]


# -- gaps ------------------------------------------------------------------------------------


SHOWN = 64  # missing names that an error has with it


class Gap(NamedTuple):
    """A group, the first names that are missing in it, and how many there are."""

    group: Group
    names: list[str]
    total: int


def whole(state: State, rule: Move, groups: list[Group]) -> list[Group]:
    """The groups without gaps; the others are refused, those that lack the same in one line."""
    lacking = dict[tuple[object, ...], list[Gap]]()
    good = list[Group]()
    for group, counts in zip(groups, _counts(rule, groups), strict=True):
        count = prod(counts) - len(group.cells)
        if not count:
            good.append(group)
            continue
        first = tuple(islice((i for i in _places(counts) if i not in group.cells), SHOWN))
        names = [_name(rule, group, index) for index in first]
        lacking.setdefault((_told(rule, group), count, first), []).append(Gap(group, names, count))
    for (told, *_), found in lacking.items():
        state.refuse(_gap(state, rule, str(told), found))
    return good


def _places(counts: Index) -> Iterator[Index]:
    """All cells in order, one at a time: a name may say any number."""
    if not counts:
        yield ()
        return
    for n in range(counts[0]):
        for rest in _places(counts[1:]):
            yield (n, *rest)


def _counts(rule: Move, groups: list[Group]) -> Iterator[Index]:
    """How many cells there should be along each axis, for each group."""
    furthest = [1 + max(i[a] for g in groups for i in g.cells) for a in range(len(rule.over[0]))]
    words = captures_of(*rule.sources)
    for group in groups:
        counts = list[int]()
        for axis, name in enumerate(rule.over[0]):
            if name == LIST:
                counts.append(len(rule.sources))
            elif words[name].words:
                counts.append(len(words[name].words))
            elif (span := rule.ranges.get(name, (0, 0))) is None:
                counts.append(1 + max(index[axis] for index in group.cells))
            else:
                counts.append(span[1] - span[0] or furthest[axis])
        yield tuple(counts)


def _told(rule: Move, group: Group) -> str:
    """What is there, as it stands in the names: `{e} is 0..2, 7`."""
    found = []
    for axis, name in enumerate(rule.over[0]):
        if name != LIST:
            values = sorted({index[axis] for index in group.cells})
            found.append(f"{{{name}}} is {_runs([value_at(rule, name, v) for v in values])}")
    return ", ".join(found) or f"{len(group.cells)} of {len(rule.sources)} are there"


def _runs(values: list[str | int]) -> str:
    """`0..2, 7` for 0, 1, 2, 7; words as they are."""
    runs = list[list[str | int]]()
    for value in values:
        last = runs[-1][-1] if runs else None
        if isinstance(value, int) and isinstance(last, int) and value == last + 1:
            runs[-1] = [runs[-1][0], value]
        else:
            runs.append([value])
    return ", ".join("..".join(map(str, run)) for run in runs)


def _name(rule: Move, group: Group, index: Index) -> str:
    """The name that a tensor of a cell would have."""
    at = dict(zip(rule.over[0], index, strict=True))
    values = {name: value_at(rule, name, n) for name, n in at.items() if name != LIST}
    return rule.sources[at.get(LIST, 0)].as_read({**group.captures, **values})


def _gap(state: State, rule: Move, told: str, found: list[Gap]) -> MappingError:
    labels = [_label(rule, gap.group) for gap in found]
    missing, count = [name for gap in found for name in gap.names], sum(g.total for g in found)
    first = _taken(state, missing[0])
    more = f" and {count - 1} more" if count > 1 else ""
    label = ", ".join(g.label for g in grouped(labels)[:3])
    return rule.refused("gap", f"{label}: {told}; missing {first}{more}", *missing)


def _label(rule: Move, group: Group) -> str:
    """What a group is called: its names as far as they are the same."""
    names = [_name(rule, group, index) for index in group.cells]
    first, last = min(names), max(names)
    end = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:end].rpartition("/" if "/" in first[:end] else ".")[0] or first


def _taken(state: State, name: str) -> str:
    """A name, and which rule took it, if one did."""
    real = state.source.find(name)
    claim = state.claims.get(real) if real is not None else None
    return f"{shown(name)} (taken by {claim.rule.place})" if claim is not None else shown(name)


def judge_pinned(state: State, rule: Move, groups: list[Group]) -> None:
    """Plain captures that a range pins take every value of it, beside the same others."""
    for name, span in rule.ranges.items():
        if span is None or name in (*rule.over[0], *rule.over[1]):
            continue
        seen = dict[tuple[object, ...], tuple[Group, set[str | int]]]()
        for group in groups:
            others = tuple(sorted((n, v) for n, v in group.captures.items() if n != name))
            seen.setdefault(others, (group, set()))[1].add(group.captures[name])
        for group, values in seen.values():
            count = span[1] - span[0] - len(values)
            if count:
                first = next(n for n in range(*span) if n not in values)
                state.refuse(_absent(state, rule, group, name, first, count, values))


def _absent(
    state: State,
    rule: Move,
    group: Group,
    name: str,
    first: int,
    count: int,
    values: set[str | int],
) -> MappingError:
    like = group._replace(captures={**group.captures, name: first})
    missing = _name(rule, like, next(iter(group.cells)))
    count *= len(group.cells)
    more = f" and {count - 1} more" if count > 1 else ""
    told = f"{{{name}}} is {_runs(sorted(values, key=int))}"
    return rule.refused("gap", f"{told}; missing {_taken(state, missing)}{more}", missing)
