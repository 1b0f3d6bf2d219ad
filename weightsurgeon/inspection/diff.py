"""`diff`: every tensor of two checkpoints compared, and what B is of A where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import MissingTensor, SpecError, SurgeryError, shown
from ..formats.base import Checkpoint
from ..mapping.rules import Mapping as Rules
from ..ops.reduction import DIFFER
from ..pending import reduction
from ..plan import Line
from ..reducing import reduce
from ..steps.sides import Openable, PathLike, opened
from .alignment import Aligned, Side, aligned, by_name, sides
from .comparing import TOWARDS, Towards
from .relation import CLASSES, Relation, related, told
from .selection import described, envelope, selected
from .showing import folded, html_table, index_of, number, plain

FINE = ("identical", "equal")
UPDATED = 1e-3  # a movement is one towards ONLINE if so little of it points elsewhere
HEAD = ("tensor", "shape", "class", "detail")


@dataclass(frozen=True)
class Pair:
    """Two tensors that stand for each other, and what the second is of the first."""

    a: str
    b: str
    shape: tuple[int, ...]
    relation: Relation
    towards: Towards | None = None

    @property
    def label(self) -> str:
        """One name where both are the same."""
        return shown(self.a) if self.a == self.b else f"{shown(self.a)} → {shown(self.b)}"

    @property
    def detail(self) -> str:
        """How they differ, in words."""
        r, t = self.relation, self.towards
        if self.relation.name == "soft-updated" and t is not None:
            return f"τ = {t.tau:.8g}   residual {number(t.residual)}"
        if r.name == "changed" and r.change is not None:
            text = told(r.change, index_of(r.change.at or 0, self.shape))
            if t is not None and t.tau is not None:
                text += f"   τ {t.tau:.4g} residual {number(t.residual)}"
            return text
        return r.detail

    def to_json(self) -> dict[str, Any]:
        """The pair as data."""
        r, c, t = self.relation, self.relation.change, self.towards
        return plain(  # type: ignore[no-any-return]
            {
                "a": self.a,
                "b": self.b,
                "shape": list(self.shape),
                "class": r.name,
                "detail": self.detail,
                "max_abs": None if c is None else c.worst,
                "at": None if c is None or c.at is None else index_of(c.at, self.shape),
                "rel": None if c is None else c.relative,
                "cosine": None if c is None else c.cosine,
                "changed": None if c is None else c.changed,
                "flips": None if c is None else c.flips,
                "ulp": None if c is None else c.ulp,
                "permutation": None
                if r.permutation is None
                else {"axis": r.permutation[0], "order": r.permutation[1]},
                "tau": None if t is None else t.tau,
                "residual": None if t is None else t.residual,
            }
        )


@dataclass(frozen=True)
class Diff:
    """What a comparison found; `equal` is what the exit code says.

    `allowed` are the classes that count as equal, `atol` the largest |Δ| that does.
    """

    inputs: tuple[Mapping[str, Any], ...]
    pairs: tuple[Pair, ...]
    a_only: tuple[str, ...]
    b_only: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    allowed: tuple[str, ...] = FINE
    atol: float = 0.0

    def fine(self, pair: Pair) -> bool:
        """Whether a pair counts as equal."""
        change = pair.relation.change
        near = change is not None and change.worst <= self.atol
        return pair.relation.name in self.allowed or (self.atol > 0 and near)

    @property
    def differing(self) -> tuple[Pair, ...]:
        """The pairs that do not count as equal."""
        return tuple(p for p in self.pairs if not self.fine(p))

    @property
    def equal(self) -> bool:
        """Whether every tensor has its counterpart and counts as equal to it."""
        return not (self.differing or self.a_only or self.b_only or self.lines)

    def to_json(self) -> dict[str, Any]:
        """The comparison as data."""
        return {
            **envelope("diff", [dict(i) for i in self.inputs]),
            "equal": self.equal,
            "atol": self.atol,
            "allowed": list(self.allowed),
            "pairs": [p.to_json() for p in self.pairs],
            "a_only": list(self.a_only),
            "b_only": list(self.b_only),
            "lines": [{"id": x.id, "names": list(x.names), "text": x.text} for x in self.lines],
        }

    def text(self, width: int | None = None, everything: bool = False) -> Iterator[str]:
        """What differs, a row a tensor; identical ones are counted."""
        listed = [p for p in self.pairs if everything or p.relation.name != "identical"]
        cells = [_cells(p) for p in listed]
        cells += [(shown(n), "", "A only", "") for n in self.a_only]
        cells += [(shown(n), "", "B only", "") for n in self.b_only]
        yield from folded(cells, (), width)
        yield from (f"{x.id}: {shown(x.text, 2000)}" for x in self.lines)
        yield self.total

    @property
    def total(self) -> str:
        """How many pairs are of which class."""
        counts = {c: sum(p.relation.name == c for p in self.pairs) for c in CLASSES}
        alone = len(self.a_only) + len(self.b_only)
        bad = len(self.differing) + alone
        parts = [f"{n} {c}" for c, n in counts.items() if n]
        parts += [f"{len(self.a_only)} only in A"] if self.a_only else []
        parts += [f"{len(self.b_only)} only in B"] if self.b_only else []
        of = len(self.pairs) + alone
        return " · ".join([f"{bad} of {of} differ", *parts])

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        rows = [_cells(p) for p in self.pairs if p.relation.name != "identical"]
        return html_table(HEAD, rows, self.total)


def _cells(p: Pair) -> tuple[str, str, str, str]:
    return p.label, "×".join(map(str, p.shape)) or "scalar", p.relation.name, p.detail


def diff(
    a: Openable,
    b: Openable,
    mapping: PathLike | Rules | None = None,
    toward: Openable | None = None,
    atol: float = 0.0,
    allowed: Sequence[str] = (),
    select: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    sizes: Mapping[str, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Diff:
    """Compare the values of two checkpoints; where they differ, say what B is of A.

    Within a dialect equal names are compared, else A is seen through `mapping`, or as `port` would
    bring it. `toward` asks whether A moved towards a third checkpoint to become B, and by which τ.
    `allowed` are classes that count as equal beside `identical` and `equal`.
    `select` and `exclude` are of B's names.

    Errors: FormatError of a file; PlanError of the mapping; SurgeryError for an unknown class.
    """
    unknown = [c for c in allowed if c not in CLASSES]
    if unknown:
        raise SurgeryError(f"no class is {shown(unknown[0])!r}; known: {', '.join(CLASSES)}")
    here, there, rules = sides(a, b, mapping)
    found = aligned(here, there, rules, sizes or {})
    if select or exclude:
        kept = set(selected(there, select, exclude))
        found = found._replace(
            pairs=tuple(s for s in found.pairs if s.b in kept),
            a_only=(),
            b_only=tuple(n for n in found.b_only if n in kept),
        )
    online = None if toward is None else opened(toward)
    pairs = tuple(_compared(here, there, found, progress))
    if online is not None:
        pairs = tuple(_updated(pairs, found, online))
    for checkpoint in (here, there, online):
        if checkpoint is not None:
            checkpoint.source.check_unchanged()
    inputs = tuple(described(c) for c in (here, there, online) if c is not None)
    fine = (*FINE, *(c for c in allowed if c not in FINE))
    return Diff(inputs, pairs, found.a_only, found.b_only, found.lines, fine, atol)


def _compared(
    here: Checkpoint, there: Checkpoint, found: Aligned, progress: Callable[[int], None] | None
) -> Iterator[Pair]:
    """Bits first, all tensors in one pass; only what differs is looked at again."""
    alike = {
        str(i): reduction(DIFFER, s.x, s.y)
        for i, s in enumerate(found.pairs)
        if s.x.spec.shape == s.y.spec.shape and s.x.spec.dtype == s.y.spec.dtype
    }
    bits = reduce(alike, progress)
    for i, s in enumerate(found.pairs):
        if str(i) in bits and not bits[str(i)].count:
            yield Pair(s.a, s.b, s.y.spec.shape, Relation("identical"))
            continue
        mine, theirs = here.meaning(s.a), there.meaning(s.b)
        if found.moved:
            mine = replace(mine, axes=s.x.spec.axes)
        try:
            yield Pair(s.a, s.b, s.y.spec.shape, related(s.x, s.y, mine, theirs))
        except SpecError as error:
            raise type(error)(f"{shown(s.b)}: {error}", error.id) from error


def _updated(pairs: Sequence[Pair], found: Aligned, online: Checkpoint) -> Iterator[Pair]:
    """Whether what changed moved towards ONLINE, whose names are B's."""
    by_b: dict[str, Side] = {s.b: s for s in found.pairs}
    moved = [p for p in pairs if p.relation.name in ("changed", "scaled")]
    missing = [p.b for p in moved if p.b not in online]
    if missing:
        raise MissingTensor(f"{shown(online.path)} holds no tensor {shown(missing[0])}")
    wave = {p.b: reduction(TOWARDS, by_b[p.b].x, by_b[p.b].y, online[p.b]) for p in moved}
    sums = reduce(wave)
    for pair in pairs:
        t: Towards | None = sums.get(pair.b)
        if t is None:
            yield pair
            continue
        relation = pair.relation
        if t.residual is not None and t.residual <= UPDATED:
            relation = relation._replace(name="soft-updated")
        yield replace(pair, relation=relation, towards=t)


__all__ = ["CLASSES", "Diff", "Pair", "by_name", "diff"]
