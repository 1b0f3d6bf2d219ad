"""`embeddings`: a table whose rows are words or categories: norms, neighbours, rows never trained.

Rows are read in blocks, so that neither a large vocabulary nor a wide one counts. Rows that were
never drawn in training are as they were made: zero, equal to each other, or as in the checkpoint
that training began with (`init`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError, SurgeryError, shown
from ..expr import Expr, evaluate
from ..formats.base import Checkpoint
from ..pending import reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from .axes import ALONG, Along, has_axis, outermost, row_shape
from .hashing import row_hashes
from .selection import described, envelope
from .showing import folded, number, plain

if TYPE_CHECKING:
    from ..expr import Array

BLOCK = 2**20  # elements that are compared at once
MOST = 20  # rows of a list that are shown


class Near(NamedTuple):
    """A row close to another, by the cosine of the angle between them."""

    row: int
    cosine: float


@dataclass(frozen=True)
class Embeddings:
    """What a table of rows is like.

    norms      of each row · zero: rows of zeros · alike: groups of rows of the same bits
    untouched  rows bit for bit as in the initial checkpoint, None where none was given
    near       row → its closest rows, the closest first · names of the rows, where given
    """

    input: Mapping[str, Any]
    tensor: str
    shape: tuple[int, int]
    norms: Array
    zero: tuple[int, ...]
    alike: tuple[tuple[int, ...], ...]
    untouched: tuple[int, ...] | None
    near: Mapping[int, tuple[Near, ...]] = field(default_factory=dict)
    names: Sequence[str] = ()

    def label(self, row: int) -> str:
        """A row by its number, and its name where it has one."""
        return f"{row} {shown(self.names[row])}" if self.names else str(row)

    def to_json(self) -> dict[str, Any]:
        """The table as data."""
        return {
            **envelope("embeddings", [dict(self.input)]),
            "tensor": self.tensor,
            "shape": list(self.shape),
            "norms": plain(self.norms.tolist()),
            "zero": list(self.zero),
            "alike": plain(self.alike),
            "untouched": plain(self.untouched),
            "near": [
                {"row": row, "near": [n._asdict() for n in near]} for row, near in self.near.items()
            ],
        }

    def text(self, width: int | None = None) -> Iterator[str]:
        """The table in lines."""
        import numpy as np

        yield f"{shown(self.tensor)}   {self.shape[0]:,} rows of {self.shape[1]:,}"
        finite = np.sort(self.norms[np.isfinite(self.norms)])
        if finite.size:
            low, middle, high = (number(float(finite[i])) for i in (0, finite.size // 2, -1))
            least, most = int(np.nanargmin(self.norms)), int(np.nanargmax(self.norms))
            ends = f"{low} (row {self.label(least)}) … {high} (row {self.label(most)})"
            yield f"norms {ends}, median {middle}"
        if finite.size < self.norms.size:
            bad = np.flatnonzero(~np.isfinite(self.norms)).tolist()
            yield f"✗ not finite: {self._rows(bad)}"
        yield f"zero: {self._rows(self.zero)}"
        groups = " · ".join(" = ".join(map(self.label, g[:MOST])) for g in self.alike[:MOST])
        yield f"equal: {groups or 'no two rows'}{' · …' if len(self.alike) > MOST else ''}"
        if self.untouched is not None:
            yield f"as in the initial checkpoint: {self._rows(self.untouched)}"
        for row, near in self.near.items():
            yield f"nearest to {self.label(row)}, norm {number(float(self.norms[row]))}"
            yield from folded([(f"{n.cosine:.4f}", self.label(n.row)) for n in near], (0,), width)

    def _rows(self, rows: Sequence[int]) -> str:
        names = ", ".join(map(self.label, rows[:MOST])) + (", …" if len(rows) > MOST else "")
        return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}{f' ({names})' if rows else ''}"

    def __str__(self) -> str:
        return "\n".join(self.text())


def embeddings(
    checkpoint: Openable,
    tensor: str | None = None,
    rows: Iterable[int | str] = (),
    top: int = 5,
    names: Sequence[str] = (),
    init: Openable | None = None,
) -> Embeddings:
    """Look at an embedding: that of `tensor`, or the only one that the checkpoint knows.

    `rows` (numbers, or of `names`) are those whose `top` nearest rows by cosine are asked for.

    Errors: SurgeryError where the embedding is not the only one, a row is none, or `names` and
    rows are not as many; MissingTensor of `tensor`.
    """
    found = opened(checkpoint)
    name = tensor or _only(found)
    x = _by_row(found, name)
    count, width = x.spec.shape
    if names and len(names) != count:
        raise SurgeryError(f"{shown(name)} has {count} rows, the names are {len(names)}")
    asked = [_row(r, name, count, names) for r in rows]
    wave = {"norms": reduction(ALONG, x, **row_shape(x)), "hashes": row_hashes(x, 0)}
    if init is not None:
        first = _by_row(opened(init), name)
        if first.spec.shape[1] != width or first.spec.dtype != x.spec.dtype:
            raise SurgeryError(f"{shown(name)} is {x.spec}, in the initial one {first.spec}")
    results = reduce(wave)
    norms: Along = results["norms"]
    found.source.check_unchanged()
    return Embeddings(
        described(found), name, (count, width), norms.l2,
        tuple((norms.max == 0).nonzero()[0].tolist()), tuple(_alike(x, results["hashes"], norms)),
        None if init is None else tuple(_untouched(x, first)),
        _nearest(x, norms.l2, asked, top), names,
    )  # fmt: skip


def _only(found: Checkpoint) -> str:
    names = [n for n in found if found.meaning(n).role == "embedding" and n not in found.ties]
    if len(names) == 1:
        return names[0]
    known = ", ".join(map(shown, names[:8])) or "none"
    raise SurgeryError(f"{shown(found.path)}: which tensor is meant? embeddings known: {known}")


def _by_row(found: Checkpoint, name: str) -> Expr:
    x = found[name]
    if len(x.spec.shape) != 2 or x.spec.dtype.kind != "float":
        raise SpecError(f"{shown(name)} {x.spec} is no table of rows of floats")
    return outermost(x, "vocab" if has_axis(x, "vocab") else "0").named(None)


def _row(row: int | str, name: str, count: int, names: Sequence[str]) -> int:
    if isinstance(row, str) and row in names:
        return list(names).index(row)
    if isinstance(row, str) and not (row.isascii() and row.isdigit()):
        raise SurgeryError(f"no row is called {shown(row)!r}")
    if not 0 <= int(row) < count:
        raise SurgeryError(f"{shown(name)} has rows 0..{count - 1}, not {row}")
    return int(row)


def _alike(x: Expr, hashes: Array, norms: Along) -> Iterator[tuple[int, ...]]:
    """Groups of rows of the same bits that are not zero; hashes propose, bits decide."""
    proposed: dict[int, list[int]] = {}
    for row, value in enumerate(hashes.tolist()):
        if norms.max[row] != 0:
            proposed.setdefault(value, []).append(row)
    for rows in proposed.values():
        if len(rows) > 1:
            first = _bits(x, rows[0])
            same = tuple(row for row in rows if _bits(x, row) == first)
            yield from [same] if len(same) > 1 else []


def _bits(x: Expr, row: int) -> bytes:
    return evaluate(x, ((row, row + 1), (0, x.spec.shape[1]))).tobytes()


def _untouched(x: Expr, first: Expr) -> Iterator[int]:
    """Rows of the same bits; what a vocabulary has grown by was not there."""
    width, count = x.spec.shape[1], min(x.spec.shape[0], first.spec.shape[0])
    step = max(1, BLOCK // max(1, width))
    for lo in range(0, count, step):
        block = ((lo, min(lo + step, count)), (0, width))
        a, b = (evaluate(e, block).view(f"u{e.spec.dtype.itemsize}") for e in (x, first))
        yield from (lo + (a == b).all(1).nonzero()[0]).tolist()


def _nearest(x: Expr, norms: Array, asked: list[int], top: int) -> dict[int, tuple[Near, ...]]:
    """The rows of the largest cosine with each asked one, from one pass over blocks of rows."""
    import numpy as np

    if not asked:
        return {}
    count, width = x.spec.shape
    with np.errstate(all="ignore"):
        wanted = np.stack([evaluate(x, ((r, r + 1), (0, width)))[0] for r in asked]).astype("f8")
        wanted /= norms[asked, None]
        cosines = np.empty((len(asked), count))
        step = max(1, BLOCK // max(1, width))
        for lo in range(0, count, step):
            hi = min(lo + step, count)
            rows = evaluate(x, ((lo, hi), (0, width))).astype("f8") / norms[lo:hi, None]
            cosines[:, lo:hi] = wanted @ rows.T
    cosines[~np.isfinite(cosines)] = -2  # a row without a direction is near to nothing
    cosines[np.arange(len(asked)), asked] = -2
    found = {}
    for row, values in zip(asked, cosines, strict=True):
        order = np.argsort(-values, kind="stable")[:top]
        found[row] = tuple(Near(int(i), float(values[i])) for i in order if values[i] > -2)
    return found
