"""The sizes of the axes of many tensors: those that differ from part to part among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from .errors import SpecError
from .expr import Expr
from .layout import known_sizes, solve
from .notation import Side, atoms
from .spec import Axes, Axis

Index = tuple[int, ...]
Sizes = Mapping[str, "int | Sequence[int | None]"]
At = Mapping[str, int]
MOST = 100_000  # tensors that one makes: more is a slip, or meant to take memory


@dataclass
class Sizing:
    cells: dict[Index, Expr]
    have: Side
    want: Side
    repeat: tuple[str, ...]
    sums: tuple[str, ...]
    sizes: dict[str, int] = field(default_factory=dict)
    uneven: dict[str, str] = field(default_factory=dict)  # axis → the axis that counts its parts

    def __post_init__(self) -> None:
        self.here = {a.name: a for a in (*self.have.over, *atoms(self.have.axes))}
        self.there = {a.name: a for a in (*self.want.over, *atoms(self.want.axes))}
        once = {*self.repeat, *self.sums}
        if odd := (self.here.keys() ^ self.there.keys()) ^ once:
            what = "is on one side only; say repeat or sum"
            if odd & once:
                what = "is repeated or summed, but not on one side only"
            raise SpecError(
                f"[{side(self.have)}] and [{side(self.want)}]: {_list(odd)} {what}", "layout"
            )
        self.over = {a.name for a in self.want.over}
        self.lost = [name for name in self.here if name not in self.there]

    # -- sizes -------------------------------------------------------------------------------

    def solve(self, given: Sizes, wanted: tuple[int, ...] | None) -> None:
        """The size of every axis; of an uneven one under `h[0]`, `h[1]`, …, of all under `h[]`."""
        known = {**known_sizes(Axes((a,) for a in (*self.here.values(), *self.there.values())))}
        for i, axis in enumerate(self.have.over):
            count = 1 + max((index[i] for index in self.cells), default=-1)
            if known.setdefault(axis.name, count) != count:
                raise SpecError(f"{axis} has {count} tensors")
        joined = dict[str, list[str]]()
        for name, size in given.items():
            if isinstance(size, int):
                if known.setdefault(name, size) != size:
                    raise SpecError(f"{name} is given as {size}, but is {known[name]}")
                continue
            over = self.uneven[name] = self._counter(name, len(size), known)
            joined[f"{name}[]"] = [f"{name}[{i}]" for i in range(known[over])]
            known |= {f"{name}[{i}]": n for i, n in enumerate(size) if n is not None}
        names = [a.name for a in self.have.over]
        sides = [
            (self.seen(self.have.axes, dict(zip(names, index, strict=True))), x.spec.shape)
            for index, x in self.cells.items()
        ]
        if wanted is not None and not any(self._differs(n) for n in self.uneven):
            sides.append((self.seen(self.want.axes, {}), wanted))
        self.sizes = {**known, **solve(sides, known, joined)}
        missing = [a.name for a in self.there.values() if not self._known(a.name)]
        if missing:
            hint = f"give sizes: {{{missing[0]}: …}} or --set {missing[0]}=…"
            raise SpecError(f"[{side(self.want)}]: {_list(missing)} unknown; {hint}", "size")

        for several in (self.over, {*self.repeat, *self.sums}):
            count = prod(self.sizes.get(name, 1) for name in several)
            if not 0 < count <= MOST:
                text = f"{_list(several)}: {count} tensors; 1 to {MOST} are made of one"
                raise SpecError(f"[{side(self.want)}]: {text}", "size")

    def _counter(self, name: str, count: int, known: dict[str, int]) -> str:
        """The axis over tensors that counts the parts of an uneven one."""
        for mine, other in ((self.have, self.want), (self.want, self.have)):
            over = [a.name for a in other.over]
            for group in mine.axes:
                words = [a.name for a in group]
                at = words.index(name) if name in words else 0
                if at and words[at - 1] in over:
                    counter = words[at - 1]
                    if known.setdefault(counter, count) != count:
                        raise SpecError(f"{name} has {count} sizes for {known[counter]} parts")
                    return counter
        text = f"the uneven {name} stands right behind the axis over tensors that counts its parts"
        raise SpecError(f"[{side(self.have)}] and [{side(self.want)}]: {text}", "layout")

    def _differs(self, name: str) -> bool:
        """Whether the tensors of the target differ in this axis."""
        return self.uneven[name] in self.over

    def _known(self, name: str) -> bool:
        return name in self.sizes or f"{name}[]" in self.sizes

    def seen(self, axes: Axes, at: At) -> Axes:
        """The axes of one tensor: an uneven one and its counter, joined, are one axis `h[]`."""
        return Axes(tuple(self._joined(group, at)) for group in axes)

    def _joined(self, group: tuple[Axis, ...], at: At) -> Iterable[Axis]:
        counters = {self.uneven[a.name] for a in group if a.name in self.uneven}
        for axis in group:
            if counter := self.uneven.get(axis.name):
                inside = any(a.name == counter for a in group)
                yield Axis(f"{axis.name}[]" if inside else f"{axis.name}[{at[counter]}]")
            elif axis.name not in counters:
                yield axis


def side(x: Side) -> str:
    """One side as it is written.

    >>> from weightsurgeon.notation import parse_layout
    >>> side(parse_layout("p | a b -> (p a) b").have)
    'p | a b'
    """
    over = " ".join(map(str, x.over))
    return f"{over} | {x.axes}" if over else str(x.axes)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
