"""verify --forward: two live models on the same input, and where they part if they do.

First both are run as they are. Only if their outputs differ they are run again with their layers
listened to, the weights are compared through the mapping, and the first layers that part are named
with what explains it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..comparison import Verification, compare, expectation
from ..errors import FormatError, shown
from ..formats.base import Checkpoint
from ..mapping.rules import Mapping as Rules
from ..outcome import JSON_VERSION
from .arrangements import Gap, Shape, moved, nearest
from .inputs import Data, data_for
from .pairing import Pair, layer_pairs
from .reasons import Reason, reasons
from .running import Run, run
from .walking import Parting, first_parting

ATOL = 1e-5


class Output(NamedTuple):
    """An output of both models: its shapes, and how far they are apart; None if nothing fits."""

    shapes: tuple[Shape, Shape]
    gap: Gap | None


@dataclass(frozen=True)
class Forward:
    """What two models gave for one input, and if that differs, where and why.

    outputs   one with one, in order; `counts` how many each side has
    parting   the first place where they part; None where none was found
    weights   the comparison of the weights; None where the outputs agree
    """

    inputs: tuple[str, str]
    data: str
    atol: float
    outputs: tuple[Output, ...]
    counts: tuple[int, int]
    parting: Parting | None = None
    reasons: tuple[Reason, ...] = ()
    weights: Verification | None = None

    @property
    def worst(self) -> float:
        """The largest difference of all outputs."""
        gaps = (x.gap.worst if x.gap else float("inf") for x in self.outputs)
        return max(gaps, default=float("inf"))

    @property
    def equal(self) -> bool:
        """Whether there are outputs, and none differs by more than `atol`."""
        return self.worst <= self.atol

    def to_json(self) -> dict[str, Any]:
        """The result as data."""
        p = self.parting
        first = None
        if p is not None:
            tensors = [list(names) for names in p.pair.tensors] if p.pair else []
            first = {
                "where": p.what,
                "a": p.pair.a if p.pair else None,
                "b": p.pair.b if p.pair else None,
                "max_abs": _number(p.gap),
                "shapes": [list(s) for s in p.shapes],
                "tensors": tensors,
                "reasons": [r._asdict() for r in self.reasons],
            }
        return {
            "weightsurgeon_json": JSON_VERSION,
            "command": "verify",
            "inputs": [{"path": path} for path in self.inputs],
            "forward": True,
            "equal": self.equal,
            "atol": self.atol,
            "data": self.data,
            "outputs": [
                {"shapes": [list(s) for s in x.shapes], "max_abs": _number(x.gap)}
                for x in self.outputs
            ],
            "first": first,
            "weights": None if self.weights is None else self.weights.to_json(),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for i, x in enumerate(self.outputs):
            yield f"output {i} {x.shapes[0]}: {_told(x)}"
        if self.counts[0] != self.counts[1]:
            yield f"outputs: {self.counts[0]} here, {self.counts[1]} there: the first are compared"
        if not self.equal:
            yield from self._explained()
        word = "equal" if self.equal else "different"
        yield f"{word}: worst |Δ| {self.worst:.3g}, {self.atol:g} allowed, on {shown(self.data)}"

    def _explained(self) -> Iterator[str]:
        yield _place(self.parting)
        yield from (f"  {r.what}: {shown(r.text, 2000)}" for r in self.reasons)
        if self.parting is not None and not self.reasons:
            yield "  not explained: neither its weights differ nor an option that is known"
        if self.weights is not None:
            yield f"weights: {str(self.weights).rpartition(chr(10))[2]}"


def forward(
    a: Checkpoint,
    b: Checkpoint,
    rules: Rules | None = None,
    data: Any = None,
    atol: float | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Forward:
    """Run two live models on the same input, and find where they part if they do.

    `data` lies as `a` takes it; see `inputs` for the order of axes, and for what stands in for it.

    Errors: FormatError where a side is no live model, or refuses the input; those of `compare`.
    """
    bound = ATOL if atol is None else atol
    given = data_for(a, b, data)
    ours = run(a, given.ours, given.names)
    if ours.refused is not None:
        raise ours.refused
    tried = (_tried(ours, b, x, given, bound, a.path) for x in given.theirs)
    found, reading, refused = _best(tried)
    if found.equal:
        return found
    weights = compare(a, b, rules, 0.0, None, sizes or {})
    _, expected = expectation(a, b, rules, sizes or {})
    pairs = layer_pairs([(x, y) for y, (x, _) in expected.items()], a, b)
    traced_a = run(a, given.ours, given.names, {p.a for p in pairs} or {""})
    traced_b = run(b, reading, given.names, {p.b for p in pairs} or {""})
    parting = first_parting(pairs, traced_a, traced_b, bound, _maps(a, b))
    if parting is None and refused is not None:
        raise refused
    why = () if parting is None else tuple(reasons(parting, a, b, weights, expected))
    return replace(found, parting=parting, reasons=why, weights=weights)


_Tried = tuple[Forward, Any, FormatError | None]


def _tried(ours: Run, b: Checkpoint, x: Any, given: Data, atol: float, path: str) -> _Tried:
    """The outputs for one reading of the input; that reading; why there are none."""
    theirs = run(b, x, given.names)
    made = tuple(_output(x, y) for x, y in zip(ours.outputs, theirs.outputs, strict=False))
    counts = len(ours.outputs), len(theirs.outputs)
    return Forward((path, b.path), given.ground, atol, made, counts), x, theirs.refused


def _best(tried: Iterable[_Tried]) -> _Tried:
    """The first reading that gives equal outputs, else the one that is nearest."""
    seen = []
    for one in tried:
        if one[0].equal:
            return one
        seen.append(one)
    return min(seen, key=lambda one: one[0].worst)


def _output(x: Any, y: Any) -> Output:
    found = nearest(x, moved(y))
    return Output((x.shape, y.shape), None if found is None else found[0])


def _maps(*sides: Checkpoint) -> Iterator[Shape]:
    """The maps, channels last, that are flattened before a layer."""
    for side in sides:
        for meaning in side.meanings.values():
            if meaning.options.get("flatten_from"):
                yield tuple(meaning.options["flatten_from"])


def _number(gap: Gap | None) -> float | str:
    return "inf" if gap is None or gap.worst == float("inf") else gap.worst


def _told(x: Output) -> str:
    if x.gap is None:
        return f"{x.shapes[1]} there: the shapes do not fit"
    return f"worst |Δ| {x.gap.worst:.3g} at {list(x.gap.at)}"


def _place(parting: Parting | None) -> str:
    """Where the models part, in a line."""
    if parting is None:
        text = "every mapped layer gives equal outputs for equal inputs"
        return f"first: none: {text}; rounding that adds up, or what no mapped layer does"
    by = "other shapes" if parting.gap is None else f"|Δ| {parting.gap.worst:.3g}"
    if parting.pair is None:
        return f"first: before any mapped layer: its inputs differ by {by}"
    name = _name(parting.pair)
    if parting.what == "layer":
        return f"first: {name}: equal inputs, unequal outputs: {by}"
    return f"first: behind {name}, whose outputs agree: what comes next differs by {by}"


def _name(pair: Pair) -> str:
    a, b = (shown(x or "the layer itself") for x in (pair.a, pair.b))
    return a if a == b else f"{a} → {b}"


__all__ = ["ATOL", "Forward", "Run", "forward"]
