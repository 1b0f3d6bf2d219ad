"""Where two models part: the first mapped layers that take equal inputs and give unequal outputs.

Layers are compared in the order in which the first model calls them. Where the inputs differ
already though all before agreed, what lies in between parts them: an activation, a pooling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .activations import named
from .arrangements import Gap, Shape, inner, moved, nearest
from .pairing import Pair
from .running import Call, Run

if TYPE_CHECKING:
    from ..expr import Array

_QUIET = ("Sequential", "InputLayer", "Dropout", "Identity", "ModuleList")


class Parting(NamedTuple):
    """Where the models part.

    what      `layer`: its outputs; `after`: what comes after it; `input`: already before the first
    pair      the layers; None where there are none before
    gap       how far they are apart there; None where the shapes do not fit
    shapes    of both sides
    ours      what comes after the layer in each model, as far as it is seen
    """

    what: str
    pair: Pair | None
    gap: Gap | None
    shapes: tuple[Shape, Shape]
    ours: str = ""
    theirs: str = ""


class _Seen(NamedTuple):
    """What agreed last: the pair, its calls, its output here and there."""

    pair: Pair
    calls: tuple[Call, Call]
    x: Array
    y: Array


def first_parting(
    pairs: Iterable[Pair], a: Run, b: Run, atol: float, maps: Iterable[Shape]
) -> Parting | None:
    """The first place where the runs part; None if all that can be compared agrees."""
    walk = _Walk(a, b, atol, tuple(maps))
    for pair, ours, theirs in in_order(pairs, a, b):
        found = walk.step(pair, ours, theirs)
        if found is not None:
            return found
    return walk.end()


def in_order(pairs: Iterable[Pair], a: Run, b: Run) -> list[tuple[Pair, Call, Call]]:
    """Pairs with their calls, the first with the first, in the order in which ours ended."""
    found = []
    for pair in pairs:
        ours = [(i, c) for i, c in enumerate(a.calls) if c.layer == pair.a]
        theirs = [c for c in b.calls if c.layer == pair.b]
        found += [(i, pair, x, y) for (i, x), y in zip(ours, theirs, strict=False)]
    return [(pair, x, y) for _, pair, x, y in sorted(found, key=lambda row: row[0])]


class _Walk:
    def __init__(self, a: Run, b: Run, atol: float, maps: tuple[Shape, ...]) -> None:
        self.a, self.b, self.atol, self.maps = a, b, atol, maps
        self.seen: _Seen | None = None

    def step(self, pair: Pair, ours: Call, theirs: Call) -> Parting | None:
        """Compare what a pair takes and gives; the parting, if it is here."""
        taken = self._nearest(ours.inputs[:1], theirs.inputs)
        if taken is not None and not taken[0].within(self.atol):
            return self._between(ours, theirs, taken[0])
        given = (ours.core or ours.outputs)[:1], theirs.core or theirs.outputs
        made = self._nearest(*given)
        if made is None or not given[0]:
            return self._misfit(pair, *given) if taken is not None else None
        if not made[0].within(self.atol):
            return Parting("layer", pair, made[0], (given[0][0].shape, made[1].shape))
        self.seen = _Seen(pair, (ours, theirs), given[0][0], made[1])
        return None

    def end(self) -> Parting | None:
        """The outputs of the models, which differ, behind the last layers, which agree."""
        if self.seen is None:
            return None
        x, y = self.a.outputs, self.b.outputs
        if self.b.refused is not None:
            ours = _following(self.a, self.seen.calls[0], None, self.seen.x, x)
            return Parting("after", self.seen.pair, None, ((), ()), ours, str(self.b.refused))
        found = self._nearest(x[:1], y[:1])
        gap = None if found is None else found[0]
        if gap is not None and gap.within(self.atol):
            return None
        return self._after(x, y, gap)

    def _between(self, ours: Call, theirs: Call, gap: Gap) -> Parting:
        if self.seen is None:
            shapes = ours.inputs[0].shape, theirs.inputs[0].shape
            return Parting("input", None, gap, shapes)
        return self._after(ours.inputs, theirs.inputs, gap, (ours, theirs))

    def _after(
        self,
        x: Sequence[Array],
        y: Sequence[Array],
        gap: Gap | None,
        until: tuple[Call, Call] | None = None,
    ) -> Parting:
        seen = self.seen
        if seen is None or not x or not y:
            return Parting("input", None, gap, ((), ()))
        ends = until or (None, None)
        ours = _following(self.a, seen.calls[0], ends[0], seen.x, x)
        theirs = _following(self.b, seen.calls[1], ends[1], seen.y, y)
        return Parting("after", seen.pair, gap, (x[0].shape, y[0].shape), ours, theirs)

    def _nearest(self, x: Sequence[Array], y: Sequence[Array]) -> tuple[Gap, Array] | None:
        if not x:
            return None
        fitting = (z for v in y for z in inner(v, x[0].shape, self.maps))
        return nearest(x[0], fitting)

    def _misfit(self, pair: Pair, x: Sequence[Array], y: Sequence[Array]) -> Parting | None:
        """Outputs of one rank and of other sizes are unequal; others cannot be compared."""
        alike = [v for v in y if x and v.ndim == x[0].ndim]
        if not alike:
            return None
        return Parting("layer", pair, None, (x[0].shape, alike[0].shape))


def _following(run: Run, after: Call, until: Call | None, x: Array, given: Iterable[Array]) -> str:
    """What a model does behind a layer: the function that makes its next input, else the classes
    that are called."""
    for y in given:
        for z in moved(x):  # a map may be flattened behind its activation
            found = named(z.reshape(y.shape), y) if (len(z), z.size) == (len(y), y.size) else None
            if found is not None:
                return found
    start = next(i for i, c in enumerate(run.calls) if c is after)
    end = next((i for i, c in enumerate(run.calls) if c is until), len(run.calls))
    between = run.calls[start + 1 : max(end, start + 1)]
    words = [f"{c.kind} ({c.layer})" for c in between if c.leaf and c.kind not in _QUIET]
    return ", ".join(words[:5])
