"""A random source made from the rules of a mapping alone, so that a mapping is its own test.

Plain captures are 1 and 2, gathers 0 to 2, words all of them, a path is `p.q`; an axis has one
small size, by its name. What an earlier rule takes is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any
from zlib import crc32

from ..conventions import NEUTRAL, group_of, leaves, side_of, sizes_of
from ..errors import SpecError
from ..formats.base import Checkpoint
from ..layout import known_sizes
from ..notation import Side, atoms, expand_spatial
from ..spec import Axes
from .claim import Claim, Claimer
from .groups import value_at
from .logical import names_of
from .many import LIST
from .names import Capture, Captures, Pattern
from .rules import Drop, Layer, Move
from .rules import Mapping as Rules
from .synthetic import Synthetic, Tensor
from .tokens import captures_of

_SIZES = {
    "in": 3,
    "out": 5,
    "kh": 2,
    "kw": 3,
    "feature": 5,
    "unit": 4,
    "rec": 4,
    "head": 2,
    "dim": 3,
}
_RANKS = (1, 2, 4, 3, 5, 6, 0)


Bundle = list[Tensor]
"""What a rule takes together: all of it is there, or none."""


def synthesise(rules: Rules, seed: int = 0) -> Checkpoint:
    """A checkpoint that the mapping can port, with random values.

    Selectors of drops are names with `*` as 1; those by words, and inits, ask for nothing.

    >>> from weightsurgeon.mapping.load import loads
    >>> rules = "{weightsurgeon: 1, rules: [{from: 'a{i:int}', to: 'b{i}', layout: 'in -> in'}]}"
    >>> [(name, x.spec.shape) for name, x in synthesise(loads(rules)).items()]
    [('a1', (3,)), ('a2', (3,))]
    """
    bundles = [(rule, bundle) for rule in rules.rules for bundle in _bundles(rules, rule)]
    taken = _without_taken(rules, bundles)
    tensors = {t.name: t.values(seed + i) for i, t in enumerate(taken)}
    for rule in rules.rules:
        if isinstance(rule, Drop) and rule.equal_to in tensors and rule.text in tensors:
            tensors[rule.text] = tensors[rule.equal_to].copy()
    return Checkpoint(Synthetic(tensors, rules.source.dialect), {}, rules.source.dialect, "stated")


def _without_taken(rules: Rules, bundles: list[tuple[Any, Bundle]]) -> list[Tensor]:
    """Bundles of which each tensor goes to the rule that it was made for."""
    found = {t.name: t for _, bundle in bundles for t in bundle}
    empty = {name: t._replace(fill=0).values(0) for name, t in found.items()}
    checkpoint = Checkpoint(Synthetic(empty, rules.source.dialect), {}, None, "")
    dialects = rules.source.dialect, rules.target.dialect
    claimer = Claimer(names_of(checkpoint, ()), rules.rules, dialects, None)
    owner = {c.name: c.rule for c in claimer.claims() if isinstance(c, Claim)}
    kept = [b for rule, b in bundles if all(owner.get(t.name) is rule for t in b)]
    return list({t.name: t for bundle in kept for t in bundle}.values())


def _bundles(rules: Rules, rule: Any) -> Iterator[Bundle]:
    if isinstance(rule, Move):
        yield from _of_move(rules, rule)
    elif isinstance(rule, Layer):
        yield from _of_layer(rules, rule)
    elif isinstance(rule, Drop) and rule.text and not rule.text.startswith(("{", "re:")):
        for text in rule.text.strip("[]").split(", "):
            yield [Tensor(text.strip("'").replace("*", "1").replace("?", "1"), (2, 3))]


# -- names -----------------------------------------------------------------------------------


def _values_of(c: Capture, patterns: list[Pattern], span: tuple[int, int] | None) -> list[Any]:
    """What a capture is, in turn."""
    if c.kind == "path":
        return ["p.q"]
    if c.is_words:
        return list(patterns[0].tables[c.table]) if c.kind == "table" else list(c.words)
    if not c.is_number:
        return ["1", "2"]
    if span is not None:
        return list(range(*span))
    uses = [u for p in patterns for u in p.captures() if u.name == c.name and u.is_number]
    least = max([0 if c.many else 1, *(-(u.shift // u.scale) for u in uses)])
    return list(range(least, least + (3 if c.many else 2)))


def _captures(patterns: list[Pattern], rule: Any, apart: tuple[str, ...]) -> Iterator[Captures]:
    """All values of the captures but those that are gathered."""
    known = {n: c for n, c in captures_of(*patterns).items() if n not in apart}
    spans = getattr(rule, "ranges", {})
    values = [_values_of(c, patterns, spans.get(n)) for n, c in known.items()]
    return (dict(zip(known, found, strict=True)) for found in product(*values))


# -- moves -----------------------------------------------------------------------------------


def _of_move(rules: Rules, rule: Move) -> Iterator[Bundle]:
    patterns, apart = [*rule.sources, *rule.targets], (*rule.over[0], *rule.over[1])
    counts = [_count(rule, name) for name in rule.over[0]]
    for captures in _captures(list(rule.sources), rule, apart):
        if any(_below_zero(p, captures) for p in patterns):
            continue
        bundle = Bundle()
        for index in product(*map(range, counts)):
            at = dict(zip(rule.over[0], index, strict=True))
            told = {n: value_at(rule, n, i) for n, i in at.items() if n != LIST}
            name = rule.sources[at.get(LIST, 0)].as_read({**captures, **told})
            bundle.append(Tensor(name, _shape(rules, rule, index)))
        yield bundle


def _below_zero(pattern: Pattern, captures: Captures) -> bool:
    return any(
        c.scale * int(captures[c.name]) + c.shift < 0
        for c in pattern.captures()
        if c.is_number and c.name in captures
    )


def _count(rule: Move, name: str) -> int:
    """How many tensors an axis before the bar runs over."""
    if name == LIST:
        return len(rule.sources)
    c = captures_of(*rule.sources)[name]
    return len(_values_of(c, list(rule.sources), rule.ranges.get(name)))


def _shape(rules: Rules, rule: Move, index: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the tensor of a cell: its axes at their sizes, parts at theirs."""
    if rule.layout is None:
        return (5,)
    have = rule.layout.have
    sizes = {**rules.sizes, **rule.sizes, **rule.repeat, **rule.values.told()}
    sizes |= {name: hi + 1 for name, (_, hi) in rule.values.crop.items()}
    for axis in rule.layout.want.over:  # what is split has all of them in it
        if axis.name not in rule.over[1]:
            sizes[axis.name] = len(rule.targets)
        else:
            c = captures_of(*rule.targets)[axis.name]
            sizes[axis.name] = len(_values_of(c, list(rule.targets), rule.ranges.get(axis.name)))
    for name, parts in rule.parts.items():
        wide = [sizes.get(p, 2) if isinstance(p, str) else p or 2 for p in parts]
        if have.over:
            sizes[name] = wide[index[0]]
        else:  # fused: its axis and the one that counts the parts are one
            counting = _counting(rule, name)
            sizes |= {counting: 1, name: sum(wide)}
    return _sized(expand_spatial(have.axes, len(have.axes) + 1), sizes)


def _counting(rule: Move, name: str) -> str:
    """The axis right before one that differs from part to part."""
    order = [a.name for a in atoms(rule.layout.have.axes)] if rule.layout else []
    over = {a.name for a in rule.layout.want.over} if rule.layout else set()
    return next((n for n in order if n in over), name)


def _sized(axes: Axes, sizes: Mapping[str, int]) -> tuple[int, ...]:
    known = {**known_sizes(axes), **sizes}
    return tuple(prod(known.get(a.name) or size_of(a.name) for a in group) for group in axes)


def size_of(axis: str) -> int:
    """The one small size that an axis of this name has in every synthetic source."""
    return _SIZES.get(axis) or 2 + crc32(axis.encode()) % 4


# -- layers ----------------------------------------------------------------------------------


def _of_layer(rules: Rules, rule: Layer) -> Iterator[Bundle]:
    here, there = rules.source.dialect or "", rules.target.dialect or ""
    patterns = list(rule.sources)
    held = leaves(rule.target_kind, there, rule.options)
    for captures in _captures(patterns, rule, ()):
        if any(_below_zero(p, captures) for p in (*patterns, *rule.targets)):
            continue
        bundle = Bundle()
        for role, leaf in leaves(rule.kind, here, rule.options).items():
            way = rule.roles.get(role)
            counts = group_of(role) == "counter"
            lacks = way in ("fill", "keep") or not (role in held or way or counts or rule.fold_into)
            if lacks:
                continue
            pattern = patterns[leaf.part if len(patterns) > 1 else 0]
            shape = _sized(_lies(rule, role, here), _told(rules, rule))
            fill = float(NEUTRAL.get(role, 0)) if way == "drop" or counts else None
            dtype = "int64" if counts else "float32"
            for cell in leaf.cells:
                name = "/".join(filter(None, (pattern.as_read(captures), cell[0])))
                if here == "torch":
                    name = name.replace("/", ".")
                bundle.append(Tensor(name, () if counts else shape, fill, dtype))
        yield bundle


def _told(rules: Rules, rule: Layer) -> dict[str, int]:
    return {**rules.sizes, **rule.sizes, **sizes_of(rule.kind, rule.options)}


def _lies(rule: Layer, role: str, dialect: str) -> Axes:
    """How a role lies: with two spatial axes if it has any, else as flat as it can be."""
    sides = list[Side]()
    for rank in _RANKS:
        try:
            side = side_of(rule.kind, role, dialect, rank, rule.options)
        except SpecError:
            continue
        if side is not None:
            sides.append(side)
    spatial = [s for s in sides if {"kh", "kw"} <= {a.name for a in atoms(s.axes)}]
    return next(iter(spatial + sides), Side((), Axes())).axes
