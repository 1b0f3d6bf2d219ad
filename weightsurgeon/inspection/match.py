"""`match`: which tensors of B may be those of A, whatever they are called. Nothing is bound by it.

First the same bag of bits, in whatever order; then the same slices in another order; then units
whose directions agree. The last is a candidate and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import shown
from ..expr import Expr, evaluate
from ..formats.base import Checkpoint
from ..ops.movement import reshape
from ..pending import reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from .hashing import BAG
from .relation import related, same
from .selection import described, envelope
from .showing import folded, html_table, number, plain

if TYPE_CHECKING:
    from ..expr import Array

HEAD = ("A", "B", "ground", "detail", "score")
LARGEST = 4_194_304  # elements of a tensor whose units are compared by direction
MOST = 64  # tensors of one shape that are compared each with each
LEAST = 0.5  # a mean cosine below says nothing


class Candidate(NamedTuple):
    """Two tensors that may be the same, on which ground, and how sure: 1 is bit for bit.

    mean, coverage  of units that are each other's best: their cosine, and their share
    """

    a: str
    b: str
    ground: str
    detail: str = ""
    mean: float = 1.0
    coverage: float = 1.0


@dataclass(frozen=True)
class Matches:
    """Candidates, best first, and the tensors that have none."""

    inputs: tuple[Mapping[str, Any], ...]
    candidates: tuple[Candidate, ...]
    a_only: tuple[str, ...]
    b_only: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The candidates as data."""
        return {
            **envelope("match", [dict(i) for i in self.inputs]),
            "candidates": [plain(c._asdict()) for c in self.candidates],
            "a_only": list(self.a_only),
            "b_only": list(self.b_only),
        }

    def text(self, width: int | None = None) -> Iterator[str]:
        """A row a candidate."""
        yield from folded([HEAD, *map(_cells, self.candidates)], (4,), width)
        alone = f"{len(self.a_only)} of A and {len(self.b_only)} of B have none"
        yield f"{len(self.candidates)} candidates · {alone} · nothing is bound by this"

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        return html_table(HEAD, map(_cells, self.candidates))


def _cells(c: Candidate) -> tuple[str, ...]:
    return shown(c.a), shown(c.b), c.ground, c.detail, number(c.mean * c.coverage)


def match(a: Openable, b: Openable) -> Matches:
    """Which tensors of B may be those of A: candidates by bits, by slices, by directions."""
    here, there = opened(a), opened(b)
    mine, theirs = (_own(c) for c in (here, there))
    found = list(_by_bits(here, there, mine, theirs))
    taken_a, taken_b = {c.a for c in found}, {c.b for c in found}
    found += _by_direction(
        {n: x for n, x in mine.items() if n not in taken_a},
        {n: x for n, x in theirs.items() if n not in taken_b},
    )
    taken_a, taken_b = {c.a for c in found}, {c.b for c in found}
    for c in (here, there):
        c.source.check_unchanged()
    return Matches(
        (described(here), described(there)),
        tuple(found),
        tuple(n for n in mine if n not in taken_a),
        tuple(n for n in theirs if n not in taken_b),
    )


def _own(checkpoint: Checkpoint) -> dict[str, Expr]:
    return {n: checkpoint[n].named(None) for n in checkpoint if n not in checkpoint.ties}


def _by_bits(
    here: Checkpoint, there: Checkpoint, mine: Mapping[str, Expr], theirs: Mapping[str, Expr]
) -> Iterator[Candidate]:
    """Tensors that hold the same bag of bits; of several the one of the same name, or the next."""
    wave = {f"a {n}": reduction(BAG, x) for n, x in mine.items()}
    wave |= {f"b {n}": reduction(BAG, x) for n, x in theirs.items()}
    bags = reduce(wave)
    waiting: dict[Any, list[str]] = {}
    for n, x in theirs.items():
        waiting.setdefault((x.spec.dtype, x.spec.size, bags[f"b {n}"]), []).append(n)
    for n, x in mine.items():
        others = waiting.get((x.spec.dtype, x.spec.size, bags[f"a {n}"]), [])
        if not others:
            continue
        other = n if n in others else _of_shape(others, theirs, x)
        others.remove(other)
        y = theirs[other]
        if same(x, y):
            yield Candidate(n, other, "identical")
            continue
        relation = related(x, y, here.meaning(n), there.meaning(other))
        named = relation.name in ("transposed", "reshaped", "relayout", "permuted")
        detail = relation.detail if named else "the same values in no order that was found"
        yield Candidate(n, other, relation.name if named else "same bag", detail)


def _of_shape(names: Sequence[str], theirs: Mapping[str, Expr], x: Expr) -> str:
    fits = [n for n in names if theirs[n].spec.shape == x.spec.shape]
    return (fits or list(names))[0]


def _by_direction(mine: Mapping[str, Expr], theirs: Mapping[str, Expr]) -> Iterator[Candidate]:
    """Tensors of one shape whose units point the same way: each the other's best."""
    shapes = dict.fromkeys(x.spec.shape for x in mine.values())
    for shape in shapes:
        a = {n: _units(x) for n, x in mine.items() if x.spec.shape == shape and _small(x)}
        b = {n: _units(x) for n, x in theirs.items() if x.spec.shape == shape and _small(x)}
        if not a or not b or len(a) > MOST or len(b) > MOST:
            continue
        scores = {(n, m): _alike(u, v) for n, u in a.items() for m, v in b.items()}
        best_of_a = {n: max(b, key=lambda m: scores[n, m][0]) for n in a}
        best_of_b = {m: max(a, key=lambda n: scores[n, m][0]) for m in b}
        for n, m in best_of_a.items():
            score, mean, coverage = scores[n, m]
            if best_of_b[m] == n and mean >= LEAST and score > 0:
                text = f"{100 * coverage:.0f} % of units are each other's best, cosine {mean:.3f}"
                yield Candidate(n, m, "candidate", text, mean, coverage)


def _small(x: Expr) -> bool:
    return x.spec.dtype.kind == "float" and len(x.spec.shape) > 1 and 0 < x.spec.size <= LARGEST


def _units(x: Expr) -> Array:
    """Slices of the longest outer axis, first or last, as unit rows."""
    import numpy as np

    shape = x.spec.shape
    values = evaluate(reshape(x, (shape[0], x.spec.size // shape[0]))).astype("f8")
    if len(shape) > 2 and shape[-1] > shape[0]:  # a kernel that ends in its units
        values = values.reshape(-1, shape[-1]).T
    with np.errstate(all="ignore"):
        rows = values / np.linalg.norm(values, axis=1, keepdims=True)
    return np.where(np.isfinite(rows), rows, 0.0)


def _alike(a: Array, b: Array) -> tuple[float, float, float]:
    """Mean cosine × coverage of rows that are each other's best; the mean; the coverage."""
    import numpy as np

    cosines = a @ b.T
    best, back = cosines.argmax(1), cosines.argmax(0)
    mutual = np.flatnonzero(back[best] == np.arange(len(a)))
    if not mutual.size:
        return 0.0, 0.0, 0.0
    mean = float(cosines[mutual, best[mutual]].mean())
    coverage = mutual.size / len(a)
    return mean * coverage, mean, coverage
