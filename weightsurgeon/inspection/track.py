"""`track`: how norms move over a series of checkpoints, and whether tensors still do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log10
from typing import Any, NamedTuple

from ..errors import SurgeryError, shown
from ..formats.base import Checkpoint
from ..pending import Reduction, reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from .comparing import CHANGE, TOWARDS
from .selection import described, envelope, selected
from .showing import BLOCKS, folded, html_table, number, plain
from .summary import STATISTICS, Summary

HEAD = ("tensor", "‖W‖ first", "last", "last change", "cos", "changes 10⁻⁷…10⁰", "")
STILL, GROWN = 1e-6, 2.0
LEAST = -7  # the power of ten at which the bars of changes begin


class Course(NamedTuple):
    """A tensor over the series: a norm a step; a change ‖Δ‖/‖W‖ and the cosine of two updates.

    A change stands between two steps, a cosine between two changes; None where there is none.
    """

    name: str
    norms: tuple[float | None, ...]
    changes: tuple[float | None, ...]
    cosines: tuple[float | None, ...]
    bad_since: int | None

    @property
    def marks(self) -> tuple[str, ...]:
        """What is remarkable: `non-finite since step t`, `still`, `growing`."""
        found = []
        if self.bad_since is not None:
            found.append(f"non-finite since step {self.bad_since}")
        last = self.changes[-2:]
        if len(last) == 2 and all(c is not None and c < STILL for c in last):
            found.append("still")
        norms = [n for n in self.norms if n is not None]
        rising = len(norms) > 1 and all(a < b for a, b in pairwise(norms))
        if rising and norms[-1] >= GROWN * norms[0] > 0:
            found.append("growing")
        return tuple(found)


@dataclass(frozen=True)
class Track:
    """The courses of all tensors that every checkpoint of the series holds."""

    inputs: tuple[Mapping[str, Any], ...]
    courses: tuple[Course, ...]
    left: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The series as data."""
        return {
            **envelope("track", [dict(i) for i in self.inputs]),
            "tensors": [
                plain({**c._asdict(), "marks": c.marks, "moved": c.changes}) for c in self.courses
            ],
            "left": list(self.left),
        }

    def text(self, width: int | None = None) -> Iterator[str]:
        """A row a tensor; its changes as bars on one scale."""
        yield from folded([HEAD, *map(_cells, self.courses)], range(1, 5), width)
        if self.left:
            names = ", ".join(shown(n) for n in self.left[:5])
            yield f"{len(self.left)} tensors are not in every checkpoint: {names}"
        yield f"{len(self.courses)} tensors · {len(self.inputs)} checkpoints"

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        return html_table(HEAD, map(_cells, self.courses))


def _cells(c: Course) -> tuple[str, ...]:
    last = [x for x in c.cosines if x is not None]
    return (
        shown(c.name),
        number(c.norms[0]),
        number(c.norms[-1]),
        number(c.changes[-1]),
        number(last[-1] if last else None),
        "".join(_bar(x) for x in c.changes),
        " · ".join(c.marks),
    )


def _bar(x: float | None) -> str:
    """A change as a bar: a step for each power of ten."""
    if x is None or not x > 0:
        return " "
    return BLOCKS[min(len(BLOCKS) - 1, max(0, floor(log10(x)) - LEAST))]


def track(
    checkpoints: Sequence[Openable],
    select: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
) -> Track:
    """How the tensors of a series of checkpoints move; at most three are open at a time.

    Errors: SurgeryError for fewer than two; MissingTensor if a selector fits nothing.
    """
    if len(checkpoints) < 2:
        raise SurgeryError("a series has at least two checkpoints")
    window, inputs = list[Checkpoint](), list[dict[str, Any]]()
    rows: dict[str, list[tuple[Summary | None, Any, Any]]] = {}
    wanted = list[str]()
    for step, given in enumerate(checkpoints):
        here = opened(given)
        inputs.append(described(here))
        if not step:
            wanted = selected(here, select, exclude)
        window = [*window[-2:], here]
        for name, row in _step(window, wanted).items():
            rows.setdefault(name, []).append(row)
        here.source.check_unchanged()
        if step >= 2 and not isinstance(checkpoints[step - 2], Checkpoint):
            window[0].close()
    steps = len(checkpoints)
    whole = {name: found for name, found in rows.items() if len(found) == steps}
    left = tuple(n for n in wanted if n not in whole)
    return Track(tuple(inputs), tuple(_course(n, r) for n, r in whole.items()), left)


def _step(window: Sequence[Checkpoint], wanted: Sequence[str]) -> dict[str, tuple[Any, Any, Any]]:
    """Norm, change and turn of each tensor at one step, in one pass."""
    here = window[-1]
    names = [n for n in wanted if _held(window, n)]
    wave: dict[str, Reduction] = {}
    for n in names:
        x = here[n]
        wave[f"s {n}"] = reduction(STATISTICS, x, dtype=x.spec.dtype.name, size=x.spec.size)
        if len(window) > 1:
            wave[f"c {n}"] = reduction(CHANGE, window[-2][n], x)
        if len(window) > 2:
            wave[f"t {n}"] = reduction(TOWARDS, window[-2][n], window[-3][n], x)
    found = reduce(wave)
    return {n: (found[f"s {n}"], found.get(f"c {n}"), found.get(f"t {n}")) for n in names}


def _held(window: Sequence[Checkpoint], name: str) -> bool:
    """Whether all of the window hold the tensor, in one shape."""
    shapes = {c[name].spec.shape if name in c else None for c in window}
    return len(shapes) == 1 and None not in shapes


def _course(name: str, rows: Sequence[tuple[Any, Any, Any]]) -> Course:
    bad = (i for i, (s, _, _) in enumerate(rows) if s.nan or s.inf)
    turns = (t.cosine for _, _, t in rows if t is not None)
    return Course(
        name,
        tuple(s.l2 for s, _, _ in rows),
        tuple(c.relative for _, c, _ in rows if c is not None),
        tuple(None if t is None else -t for t in turns),  # seen from the middle, both ways
        next(bad, None),
    )
