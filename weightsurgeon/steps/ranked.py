"""Masks from what is ranked: which elements, rows or blocks are among the smallest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import NamedTuple

from ..errors import SpecError, shown
from ..expr import Expr
from ..ops.keeping import kept, kept_each, kept_from, kept_of, random
from ..ops.ranking import RANK, Amount, Rank
from ..ops.units import SMALL, UNIT_SCORES, grid, spread, unit_scores
from ..pending import Pending, pending, reduction, reduction_over
from ..plan import Finding, Line
from ..random_bits import key_of
from ..ranking import magnitude_kind
from ..spec import TensorSpec, dtype_of
from .prune_keys import Pattern, Pruning, Units
from .work import Work

KEY, LAST = TensorSpec(dtype_of("uint64"), ()), TensorSpec(dtype_of("int64"), ())


class Ranked(NamedTuple):
    """A mask for each tensor, and what the ranking found."""

    masks: dict[str, Expr]
    findings: tuple[Finding, ...] = ()


def ranked(
    given: Pruning, work: Work, tensors: Mapping[str, Expr], scores: Mapping[str, Expr] | None
) -> Ranked:
    """The masks of the tensors: True where a value stays."""
    if given.pattern is not None:
        return Ranked({n: _pattern(given, work, n, x) for n, x in tensors.items()})
    sizes = {n: _unit_sizes(given, work, n, x) for n, x in tensors.items()}
    found = scores or {n: _scored(given, work, n, x, sizes[n]) for n, x in tensors.items()}
    if given.below is not None:
        masks = {n: kept_from(x, given.below) for n, x in found.items()}
        return Ranked({n: _spread(tensors[n], sizes[n], mask) for n, mask in masks.items()})
    amount, kind = _amount(given, work), _kind(given, found.values())
    if given.scope.startswith(":"):
        axis = given.scope[1:]
        return Ranked(
            {n: kept_each(x, axis_at(work, n, tensors[n], axis, "scope"), kind, amount)
             for n, x in found.items()}
        )  # fmt: skip
    groups = [[n] for n in found] if given.scope == "tensor" else [list(found)]
    masks, findings = dict[str, Expr](), list[Finding]()
    for group in groups:
        own = {n: found[n] for n in group}
        kind = _kind(given, own.values())
        made, finding = _together(own, kind, amount, work)
        masks |= {n: _spread(tensors[n], sizes[n], mask) for n, mask in made.items()}
        findings.append(finding)
    return Ranked(masks, tuple(findings))


def _together(
    found: Mapping[str, Expr], kind: str, amount: Amount, work: Work
) -> tuple[dict[str, Expr], Finding]:
    """The masks of tensors that are ranked as one, in the order of their names."""
    n = sum(x.spec.size for x in found.values())
    given = amount._asdict()
    if not amount.remaining or amount.sparsity is None:
        amount.of(n, 0)  # refused now if there are fewer
    source = Pending(reduction_over(RANK, [(x,) for x in found.values()], kind=kind, n=n, **given))
    key, last = pending(source, "key", KEY), pending(source, "last", LAST)
    masks, offset = dict[str, Expr](), 0
    for name, x in found.items():
        masks[name] = kept(x, key, last, kind, offset)
        offset += x.spec.size
    names = tuple(found)
    return masks, Finding(source, lambda rank: _told(rank, kind, names))


def trimmed(x: Expr, keep: int) -> tuple[Expr, Expr]:
    """The `key` and `last` of a rank that leaves so many of a tensor's values, the largest."""
    kind, n = magnitude_kind([x.spec.dtype]), x.spec.size
    source = Pending(reduction(RANK, x, kind=kind, n=n, keep=keep))
    return pending(source, "key", KEY), pending(source, "last", LAST)


def _told(rank: Rank, kind: str, names: tuple[str, ...]) -> Iterator[Line]:
    """What was found: how many, from where on, how many ties."""
    text = f"{rank.k:,} of {rank.n:,} (there were {rank.zeros:,} zeros)"
    if rank.ties:
        text += f", up to {_value(rank.key, kind)}; {rank.taken:,} of {rank.ties:,} equal to it"
    yield Line("pruned", text, names)


def _value(key: int, kind: str) -> str:
    """A threshold as a number, with its bits."""
    import numpy as np

    if kind in ("hash", "signed32", "signed64"):
        return f"key {key:#x}"
    word = {"bfloat16": key << 16, "float32": key}.get(kind)
    if word is not None:
        return f"{np.uint32(word).view('f4'):g} ({key:#x})"
    if kind == "float16":
        return f"{np.uint16(key).view('f2'):g} ({key:#x})"
    size = np.uint64(key).view("f8")
    return f"{np.sqrt(size) if kind == 'square' else size:g} ({key:#x})"


def _amount(given: Pruning, work: Work) -> Amount:
    if given.amount is None:
        raise work.place.refused("wants an amount")
    try:
        return given.amount(work.number)
    except ValueError as error:
        raise work.place.refused(str(error), "schedule") from error


def _kind(given: Pruning, found: Iterable[Expr]) -> str:
    """How these are ranked together."""
    dtypes = [x.spec.dtype for x in found]
    if given.seed is not None:
        return "hash"
    if given.scores is not None:
        return "signed64" if any(d.name == "float64" for d in dtypes) else "signed32"
    return magnitude_kind(dtypes)


def _scored(given: Pruning, work: Work, name: str, x: Expr, sizes: tuple[int, ...] | None) -> Expr:
    """What is ranked: the tensor itself, norms of its units, or random numbers."""
    shape = x.spec.shape if sizes is None else grid(x.spec.shape, sizes)
    if given.seed is not None:
        return random(shape, key_of("prune", given.seed, work.number or 0, name))
    if sizes is None or given.units is None:
        return x
    if prod(sizes) <= SMALL:
        return unit_scores(x, sizes, given.units.norm)
    params = {"shape": x.spec.shape, "sizes": sizes, "norm": given.units.norm}
    source = Pending(reduction(UNIT_SCORES, x, **params))
    return pending(source, "", TensorSpec(dtype_of("float64"), shape))


def _spread(x: Expr, sizes: tuple[int, ...] | None, mask: Expr) -> Expr:
    return mask if sizes is None else spread(mask, x.spec.shape, sizes, x.spec.axes)


# -- axes ------------------------------------------------------------------------------------


def axis_at(work: Work, name: str, x: Expr, axis: str, *keys: str) -> int:
    """The place of an axis by its name, or by its number where axes are not known."""
    if axis.isdecimal() and int(axis) < len(x.spec.shape):
        return int(axis)
    groups = enumerate(x.spec.axes or ())
    found = next((i for i, group in groups if [a.name for a in group] == [axis]), None)
    if found is None:
        text = f"{shown(name)} {x.spec} has no axis {shown(axis)} of its own"
        raise work.place.refused(text, *keys, id="axes", names=[name])
    return found


def _pattern(given: Pruning, work: Work, name: str, x: Expr) -> Expr:
    """The mask of an N:M pattern."""
    pattern = given.pattern
    if pattern is None:
        raise SpecError("no pattern")
    axis = axis_at(work, name, x, pattern.axis, "amount", "axis")
    whole_groups(given.ragged, work, name, x, axis, pattern)
    return kept_of(x, axis, pattern.most, pattern.group)


def whole_groups(ragged: bool, work: Work, name: str, x: Expr, axis: int, pattern: Pattern) -> None:
    """Refuse an axis whose tail fills no group, unless that is wanted."""
    size = x.spec.shape[axis]
    if size % pattern.group and not ragged:
        text = f"{shown(name)}: {pattern.axis}={size} is no multiple of {pattern.group}"
        raise work.place.refused(f"{text}; ragged: keep leaves the tail", id="ragged", names=[name])


def _unit_sizes(given: Pruning, work: Work, name: str, x: Expr) -> tuple[int, ...] | None:
    """The size of a unit along each axis."""
    units, shape = given.units, x.spec.shape
    if units is None:
        return None
    if units.axis is not None:
        at = axis_at(work, name, x, units.axis, "granularity")
        sizes = [1 if i == at else max(1, n) for i, n in enumerate(shape)]
    else:
        sizes = [1] * len(shape)
        for axis, size in units.block.items():
            sizes[axis_at(work, name, x, axis, "granularity")] = size
    ragged = [n for n, size in zip(shape, sizes, strict=True) if n % size]
    if ragged and not given.ragged and x.spec.size:
        text = f"{shown(name)} {x.spec}: blocks of {sizes} leave a tail; ragged: keep leaves it"
        raise work.place.refused(text, "granularity", id="ragged", names=[name])
    return tuple(sizes)


def unit_size(units: Units, x: Expr) -> int:
    """How many elements a unit of a tensor has, where its axes are known."""
    if units.axis is None:
        return prod(units.block.values())
    names = [[a.name for a in group] for group in x.spec.axes or ()]
    at = int(units.axis) if units.axis.isdecimal() else names.index([units.axis])
    return x.spec.size // max(1, x.spec.shape[at])
