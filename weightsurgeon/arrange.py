"""Many tensors to many: a layout whose axes may run over tensors, `g e | o d -> e (g o) d`.

An axis before the bar of one side and inside the other stacks or splits; before both bars, tensors
pair cell by cell; the rest is as in `relayout`. A cell is a tensor at its place before the bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import NamedTuple

from .expr import Expr
from .layout import entries
from .notation import Side, atoms
from .ops.addition import total
from .ops.arithmetic import full
from .ops.movement import concat, crop, permute, reshape, take
from .sizing import At, Index, Sizes, Sizing, side
from .spec import Axes

Cells = Mapping[Index, Expr]


class Arranged(NamedTuple):
    """The target's cells, pairs of tensors that must have the same bits, and the size of axes."""

    cells: dict[Index, Expr]
    equal: list[tuple[Expr, Expr]]
    sizes: dict[str, int]


def rearrange(
    cells: Cells,
    have: Side,
    want: Side,
    sizes: Sizes | None = None,
    repeat: Iterable[str] = (),
    sums: Iterable[str] = (),
    wanted: tuple[int, ...] | None = None,
) -> Arranged:
    """Move tensors that lie as `have` so that they lie as `want`.

    sizes   what shapes do not tell; a list for an axis that differs from part to part (None: what
            that tensor has); the fused side has it right behind the axis that counts the parts
    repeat  axes of one side only: on the right copies, on the left entries that must be equal
    sums    axes of one side only: on the left added, on the right entry 0 has all, the rest 0
    wanted  the shape that every target must have, where it is known: it may tell a size
    Errors: SpecError `layout`, `size` or `shape`.

    >>> from weightsurgeon.expr import array
    >>> from weightsurgeon.notation import parse_layout
    >>> cells = {(0,): array([[1, 2]]), (1,): array([[3, 4]])}
    >>> rearrange(cells, *parse_layout("p | o d -> (p o) d")).cells[()].numpy().tolist()
    [[1, 2], [3, 4]]
    """
    task = _Task(dict(cells), have, want, tuple(repeat), tuple(sums))
    task.solve(sizes or {}, wanted)
    made = {}
    for index in product(*(range(task.sizes[axis.name]) for axis in want.over)):
        made[index] = task.target(dict(zip((a.name for a in want.over), index, strict=True)))
    return Arranged(made, task.equal, task.sizes)


@dataclass
class _Task(Sizing):
    equal: list[tuple[Expr, Expr]] = field(default_factory=list)

    def target(self, at: At) -> Expr:
        """The tensor at a place of the target: its pieces stacked, then grouped."""
        plain = atoms(self.seen(self.want.axes, at))
        dims = [a.name.partition("[")[0] for a in plain]
        inside = [a.name for a in atoms(self.want.axes)]
        fixed = {a.name for a in self.have.over} | (self.there.keys() - self.here.keys())
        stacked = [name for name in inside if name in fixed]
        x = self._stack(at, stacked, dims)
        shape = [prod(self.sizes[a.name] for a in group) for group in self.seen(self.want.axes, at)]
        return reshape(x, shape, self.want.axes)

    def _stack(self, at: At, stacked: list[str], dims: list[str]) -> Expr:
        if not stacked:
            return self._entry(at, dims)
        name, *rest = stacked
        if name in self.repeat:
            return take(
                self._stack({**at, name: 0}, rest, dims), dims.index(name), [0] * self.sizes[name]
            )
        parts = [self._stack({**at, name: i}, rest, dims) for i in range(self.sizes[name])]
        where = next((u for u, counter in self.uneven.items() if counter == name), name)
        return parts[0] if len(parts) == 1 else concat(parts, dims.index(where))

    def _entry(self, at: At, dims: list[str]) -> Expr:
        """A piece, added up or compared along the axes that only the source has."""
        if any(at[n] for n in self.sums if n in at and n not in self.here):
            x = self._entry({**at, **dict.fromkeys(self.sums, 0)}, dims)
            return full(x.spec.shape, x.spec.dtype, 0, x.spec.axes)
        spans = [range(self.sizes[name]) for name in self.lost]
        pieces = {
            index: self._piece({**at, **dict(zip(self.lost, index, strict=True))}, dims)
            for index in product(*spans)
        }
        alike = [i for i, name in enumerate(self.lost) if name in self.repeat]
        for index, x in pieces.items():
            first = tuple(0 if i in alike else n for i, n in enumerate(index))
            if first != index:
                self.equal.append((pieces[first], x))
        added = [x for index, x in pieces.items() if not any(index[i] for i in alike)]
        return added[0] if len(added) == 1 else total(*added)

    def _piece(self, at: At, dims: list[str]) -> Expr:
        """What one tensor of the source gives, its axes as the target orders them."""
        index = {a.name: self._source(a.name, at) for a in self.have.over}
        x = self.cells[tuple(index.values())]
        here = atoms(self.seen(self.have.axes, {**at, **index}))
        x = reshape(x, [self.sizes[a.name] for a in here], Axes((a,) for a in here))
        for i, axis in enumerate(here):
            name = axis.name.partition("[")[0]
            if axis.name.endswith("[]") and self.uneven[name] in at:
                x = crop(x, i, *self._span(name, at))
            elif name in at:
                x = crop(x, i, (n := self._source(name, at)), n + 1)
            elif name in self.there and (order := self._order(name)) is not None:
                x = take(x, i, order)
        names = [a.name.partition("[")[0] for a in here]
        kept = [name for name in dims if name in names and name not in at]
        gone = [name for name in names if name not in kept]
        order = [names.index(name) for name in (*kept, *gone)]
        if order != sorted(order):
            x = permute(x, order)
        size = dict(zip((*kept, *gone), x.spec.shape, strict=True))
        return reshape(x, [size[name] if name in kept else 1 for name in dims])

    def _span(self, name: str, at: At) -> tuple[int, int]:
        """Where a part of an uneven axis lies in the joined one."""
        part = self._source(self.uneven[name], at)
        start = sum(self.sizes[f"{name}[{i}]"] for i in range(part))
        return start, start + self.sizes[f"{name}[{part}]"]

    def _source(self, name: str, at: At) -> int:
        """The place on an axis of the source from which a place of the target is taken."""
        order = self._order(name) if name in self.there else None
        return at[name] if order is None else order[at[name]]

    def _order(self, name: str) -> list[int] | None:
        return entries(self.here[name], self.there[name], self.sizes.get(name, 0))


__all__ = ["Arranged", "Index", "Sizes", "rearrange", "side"]
