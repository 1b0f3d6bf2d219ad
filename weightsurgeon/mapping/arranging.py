"""From a group of claims to its outputs: how many tensors are moved to lie as many others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..arrange import Arranged, Index, Sizes, rearrange
from ..conventions import SUMS, side_of, sizes_of
from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Meaning
from ..grouping import grouped
from ..layout import check_axes, meet
from ..notation import Side, atoms, expand_spatial
from ..ops.arithmetic import loses
from ..plan import Origin
from ..spec import Axes, Axis, TensorSpec
from .bind import Binder, Made, Unheld
from .claim import split
from .groups import Group, value_at
from .many import LIST, list_axis
from .rules import Layer, Move
from .stated import check_rows, check_words, renamed
from .values import NO_VALUES, Values


class Ask(NamedTuple):
    """What is asked of `rearrange`, and how the results are called."""

    have: Side
    want: Side
    sizes: Sizes
    repeat: tuple[str, ...]
    sums: tuple[str, ...]
    name: Callable[[Index], str]
    meaning: Meaning | None = None  # where a kind tells it

    @property
    def added(self) -> list[str]:
        """Axes of the source that are added up."""
        there = {a.name for a in (*self.want.over, *atoms(self.want.axes))}
        return [name for name in self.sums if name not in there]


class Bound(NamedTuple):
    """The outputs of a group, and what must be equal for them to be right: names, tensors."""

    made: list[Made]
    equal: list[tuple[tuple[str, str], tuple[Expr, Expr]]]
    added: list[str]


def bind_group(binder: Binder, group: Group) -> Bound:
    """The outputs of a group of tensors.

    Errors: MappingError with the rule's place, the tensors, the values.
    """
    rule, cells = group.rule, {i: binder.source[c.name] for i, c in sorted(group.cells.items())}
    try:
        ask = ask_of(binder, group, len(next(iter(cells.values())).spec.shape))
        found = _arranged(binder, ask, cells)
        made = [_made(binder, group, ask, i, found, cells) for i in found.cells]
    except SpecError as error:
        names = ", ".join(g.label for g in grouped(group.names)[:3])
        there = ", ".join(shown(p.text) for p in rule.targets[:3])
        if isinstance(error, Unheld):
            names, there = map(shown, binder.ends(next(iter(group.cells.values()))))
        raise rule.refused(error.id, f"{names} → {there}: {error}", *group.names) from error
    known = {id(cell): i for i, cell in cells.items()}
    equal = [((_first(group, a, known), _first(group, b, known)), (a, b)) for a, b in found.equal]
    return Bound(made, equal, ask.added)


def _first(group: Group, x: Expr, cells: Mapping[int, Index]) -> str:
    """The name of the tensor that a piece was taken from."""
    return group.cells[next(_used(x, cells))].name


def ask_of(binder: Binder, group: Group, rank: int) -> Ask:
    """What a rule with a bar in its layout, or in the rows of its kind, asks for."""
    rule = group.rule
    return (
        _of_layer(binder, group, rank)
        if isinstance(rule, Layer)
        else _of(binder, group, rule, rank)
    )


def _of_layer(binder: Binder, group: Group, rank: int) -> Ask:
    """What the rows of a kind ask for."""
    claim = next(iter(group.cells.values()))
    kind, options, names = binder.target_kind(claim), binder.held(claim), binder.all_targets(claim)
    here, there = (d or "" for d in binder.dialects)
    have = side_of(claim.kind, claim.role, here, rank, options)
    wanted = binder.wanted(names[0])
    want_rank = None if wanted is None else len(wanted.shape)
    want = side_of(kind, claim.role, there, want_rank, options, have.axes if have else None)
    if have is None or want is None:
        raise SpecError(binder.no_row(claim, kind, rank, have is None), "kind")
    known = {**binder.sizes, **sizes_of(kind, options), **getattr(group.rule, "sizes", {})}
    inside = {a.name for s in (have, want) for a in (*s.over, *atoms(s.axes))}
    sizes = {name: size for name, size in known.items() if name in inside}
    once = {a.name for a in (*have.over, *atoms(have.axes))} ^ {
        a.name for a in (*want.over, *atoms(want.axes))
    }
    sums = (SUMS[key],) if (key := f"{kind}.{claim.role}") in SUMS and SUMS[key] in once else ()
    meaning = Meaning(claim.role, kind, want.axes, "", options, "file")
    return Ask(have, want, sizes, (), sums, lambda i: names[i[0] if i else 0], meaning)


def _of(binder: Binder, group: Group, rule: Move, rank: int) -> Ask:
    """What a rule with a bar in its layout asks for, in tensors of this rank."""
    if rule.layout is None:
        raise SpecError("many tensors need a layout", "layout")
    have, want = rule.layout
    axes = expand_spatial(have.axes, rank)
    count = len(axes) - len(have.axes) + 1
    have, want = Side(have.over, axes), Side(want.over, expand_spatial(want.axes, count=count))
    sizes = _sizes(binder, rule, {a.name for s in (have, want) for a in (*s.over, *atoms(s.axes))})

    def name(index: Index) -> str:
        at = dict(zip(rule.over[1], index, strict=True))
        values = {n: value_at(rule, n, i) for n, i in at.items() if n != LIST}
        return binder.written(rule.targets[at.get(LIST, 0)], {**group.captures, **values})

    return Ask(have, want, sizes, tuple(rule.repeat), rule.sums, name)


def _sizes(binder: Binder, rule: Move, names: set[str]) -> Sizes:
    """Sizes as the file, the rule, its lists, words and ranges tell them."""
    from .tokens import captures_of

    given = {**binder.sizes, **rule.sizes}
    sizes: dict[str, int | tuple[int | None, ...]] = {n: v for n, v in given.items() if n in names}
    for name, parts in rule.parts.items():
        sizes[name] = tuple(_part(name, n, given) for n in parts)
    sizes |= rule.repeat
    if rule.layout is not None and (axis := list_axis(rule.over[1], rule.layout.want)):
        sizes[axis] = len(rule.targets)
    captures = captures_of(*rule.targets)
    for name in rule.over[1]:
        if name != LIST and captures[name].words:
            sizes[name] = len(captures[name].words)
        elif (span := rule.ranges.get(name)) is not None:
            sizes[name] = span[1] - span[0]
    return sizes


def _part(name: str, part: int | str | None, given: Mapping[str, int]) -> int | None:
    if isinstance(part, str) and part not in given:
        text = f"a part of {name} is as long as {part}; give sizes: {{{part}: …}}"
        raise SpecError(f"{text} or --set {part}=…", "size")
    return given[part] if isinstance(part, str) else part


def _arranged(binder: Binder, ask: Ask, cells: Mapping[Index, Expr]) -> Arranged:
    """The target's tensors; where sizes stay unknown, the base's shape may tell them."""
    ways = (ask.have, ask.want, ask.sizes, ask.repeat, ask.sums)
    try:
        return rearrange(cells, *ways)
    except SpecError as error:
        wanted = binder.wanted(ask.name((0,) * len(ask.want.over)))
        if error.id != "size" or wanted is None or len(wanted.shape) != len(ask.want.axes):
            raise
        return rearrange(cells, *ways, wanted.shape)


def _made(
    binder: Binder,
    group: Group,
    ask: Ask,
    index: Index,
    found: Arranged,
    cells: Mapping[Index, Expr],
) -> Made:
    """One output: checked against what both files know, in the dtype that is wanted."""
    rule, name, x = group.rule, ask.name(index), found.cells[index]
    values, cast = getattr(rule, "values", NO_VALUES), getattr(rule, "cast", None)
    used = set(_used(x, {id(cell): i for i, cell in cells.items()})) or set(cells)
    claims = [group.cells[i] for i in sorted(used)]
    wanted, specs = binder.wanted(name), [binder.source[c.name].spec for c in claims]
    moved = x.named(_axes(ask, specs, wanted))
    moved = values.computed(moved, _of_root(values, found), binder.demands.overflow)
    binder.demands.check(claims[0].name, moved, wanted)
    moved = binder.demands.in_dtype(moved, wanted, cast, specs[0].dtype)
    class_ = "function" if ask.added else values.class_
    class_ = "lossy" if loses(specs[0].dtype, moved.spec.dtype) else class_
    meaning = ask.meaning or binder.source.meaning(claims[0].name)
    meaning = replace(
        meaning, axes=moved.spec.axes, layer=split(name)[0], ground=meaning.ground or "mapping"
    )
    return Made(name, moved, meaning, Origin(rule.place, tuple(c.name for c in claims), class_))


def _of_root(values: Values, found: Arranged) -> dict[str, int]:
    """The sizes of axes, one of which a root may be of: it has the same one in every part."""
    uneven = {name.partition("[")[0] for name in found.sizes if name.endswith("]")}
    if odd := uneven & set(values.axes):
        raise SpecError(f"scale: {odd.pop()} differs from part to part", "size")
    return found.sizes


def _axes(ask: Ask, specs: Iterable[TensorSpec], wanted: TensorSpec | None) -> Axes | None:
    """What the axes of a result are; none is the opposite of what it is on the other side."""
    there = meet(ask.want.axes, wanted) if wanted is not None else {}
    met = dict[str, tuple[Axis, ...]]()
    for spec in specs:
        if ask.meaning is not None:
            check_rows((ask.have.axes, ask.want.axes), spec, wanted)
            continue
        here = meet(ask.have.axes, spec)
        check_words(ask.have.axes, spec)
        check_axes(here, there)
        met |= here
    return ask.want.axes if ask.meaning is not None else renamed(ask.want.axes, {**there, **met})


def _used(x: Expr, cells: Mapping[int, Index]) -> Iterator[Index]:
    """The cells that an output is made from."""
    if id(x) in cells:
        yield cells[id(x)]
        return
    for part in x.inputs:
        yield from _used(part, cells)
