"""One page about a checkpoint: what is in it, what is odd about it, how it looks.

A section is a function in SECTIONS from what was measured to a part of the page, or nothing where
there is nothing to say. Everything is measured once, in as few passes as the measures need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import shown
from ..formats.base import Checkpoint
from ..reducing import Progress
from ..steps.sides import PathLike, opened
from ..table import human_bytes, human_count
from .diff import Diff, diff
from .filters import kernels as filters
from .filters import nmf
from .html import Cell, Section, Table, figure, page, steps
from .kernel import kernel_of, kernels
from .measuring import stats
from .selection import described, envelope
from .showing import index_of, number, percent, span, superscript
from .statistics import Statistics, Tensor

MOST_DRAWN = 2  # pictures of each kind
MOST_VALUES = 2**24  # a larger kernel is not drawn
MOST_UNITS = 64
NUMBERS = "parameters", "mean", "std", "median |w|", "99 % |w|", "max |w|", "L2", "zero %"
HEADINGS = (*NUMBERS, "NaN", "Inf", "shape", "dtype", "axes", "role")


@dataclass(frozen=True)
class Measured:
    """What the sections are made from."""

    checkpoint: Checkpoint
    statistics: Statistics
    against: Diff | None = None


@dataclass(frozen=True)
class Page:
    """The report: `html` is one file that needs nothing else; in a notebook it shows itself."""

    html: str
    data: dict[str, Any]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file."""
        Path(path).write_text(self.html, "utf-8")

    def to_json(self) -> dict[str, Any]:
        """What the page tells, as data."""
        return self.data

    def _repr_html_(self) -> str:
        from html import escape

        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="800"></iframe>'


def report(
    checkpoint: PathLike | Checkpoint,
    against: PathLike | Checkpoint | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Page:
    """Make the page of a checkpoint, compared with another where one is given.

    Errors: those of `stats` and `diff`.
    """
    found = opened(checkpoint)
    measured = Measured(
        found, stats(found, progress=progress), diff(found, against) if against else None
    )
    sections = [s for s in (make(measured) for make in SECTIONS) if s is not None]
    data = _data(measured)
    done = Page(page(Path(found.path).name, _card(measured), sections, data), data)
    if out is not None:
        done.write(out)
    return done


def _data(measured: Measured) -> dict[str, Any]:
    given = described(measured.checkpoint)
    given["path"] = Path(given["path"]).name  # a page that is passed on tells no folders
    found = envelope("report", [given])
    found["totals"] = measured.statistics.totals
    found["tensors"] = [t.to_json() for t in measured.statistics.tensors]
    for tensor in found["tensors"]:
        del tensor["log2_histogram"]  # the table draws it
    return found


def _card(measured: Measured) -> list[tuple[str, str]]:
    found, totals = measured.checkpoint, measured.statistics.totals
    given = described(found)
    nbytes = sum(s.nbytes for n, s in found.source.specs.items() if n not in found.ties)
    bad = totals["nan"] + totals["inf"]
    return [
        ("file", Path(found.path).name),
        ("format", given["format"]),
        ("dialect", f"{found.dialect or 'unknown'} ({found.dialect_ground or 'nothing tells'})"),
        ("tensors", f"{totals['tensors']:,}"),
        ("parameters", human_count(totals["parameters"])),
        ("bytes", human_bytes(nbytes)),
        ("zero", f"{percent(totals['zeros'], totals['parameters'])} %"),
        ("NaN and Inf", f"{bad:,}"),
        ("header", given["header_sha256"][:16]),
    ]


# -- tensors ---------------------------------------------------------------------------------


def _tensors(measured: Measured) -> Section:
    rows = measured.statistics.tensors
    ends = span((t.summary.low, t.summary.counts) for t in rows)
    drawn = f"|w| 2{superscript(ends[0])}…2{superscript(ends[1])}" if ends else "|w|"
    cells = [_row(t, ends) for t in rows]
    table = Table(["tensor", drawn, *HEADINGS], cells, frozenset(range(2, 12)))
    note = (
        "Statistics are of the finite values; a quantile of 32-bit floats is exact to 0.4 %."
        " Histograms of log2 |w| share one range."
    )
    return Section("Tensors", [table.html()], note)


def _row(t: Tensor, ends: tuple[int, int] | None) -> Sequence[Cell | str]:
    s, quantiles = t.summary, t.summary.quantiles or {}
    numbers = (s.mean, s.std, quantiles.get(0.5), quantiles.get(0.99), s.largest, s.l2)
    bars = _resampled(s.low, s.counts, ends) if ends else []
    zero = s.zeros / s.n if s.n else None
    return [
        t.name,
        _histogram(t, bars),
        Cell(human_count(t.size), t.size),
        *(Cell(number(x), None if x is None else float(x)) for x in numbers),
        Cell(percent(s.zeros, s.n), zero),
        Cell(f"{s.nan:,}", s.nan, "error" if s.nan else ""),
        Cell(f"{s.inf:,}", s.inf, "error" if s.inf else ""),
        "×".join(map(str, t.shape)) or "scalar",
        t.dtype,
        str(t.meaning.axes) if t.meaning.axes is not None else "",
        t.meaning.role or "",
    ]


def _histogram(t: Tensor, bars: list[int]) -> Cell:
    if t.tied_to is not None:
        return Cell(f"= {t.tied_to}")
    if t.summary.first_bad is not None and not any(bars):
        return Cell(f"first at {index_of(t.summary.first_bad, t.shape)}")
    words = f"histogram of log2 |w| of {shown(t.name)}"
    return Cell("", raw=steps(bars, words)) if bars else Cell("")


def _resampled(low: int | None, counts: Sequence[int], ends: tuple[int, int]) -> list[int]:
    """Counts on the range that all tensors share; what lies outside is in its end bins."""
    if low is None:
        return []
    first, last = ends
    bars = [0] * (last - first + 1)
    for i, count in enumerate(counts):
        bars[min(max(low + i - first, 0), last - first)] += count
    return bars


# -- pictures --------------------------------------------------------------------------------


def _pictures(measured: Measured) -> Section | None:
    found, parts = measured.checkpoint, list[str]()
    known = {n: i for n, i in kernels(found).items() if found[n].spec.size <= MOST_VALUES}
    first = [n for n, inputs in known.items() if inputs in (1, 3) and _plane(found, n)]
    hidden = [n for n, inputs in known.items() if inputs > 4 and _plane(found, n)]
    for name in first[:MOST_DRAWN]:
        kernel = kernel_of(found, name)
        units = range(min(MOST_UNITS, kernel.shape[3]))
        parts.append(figure(filters(kernel, _title(name, kernel), units=units)))
    for name in hidden[:MOST_DRAWN]:
        kernel = kernel_of(found, name)
        units = range(min(MOST_UNITS, kernel.shape[3]))
        parts.append(figure(nmf(kernel, _title(name, kernel), units)[0]))
    note = (
        "First layers in the colours of their inputs, hidden ones in three factors:"
        " factors are not neurons and may mix meanings."
    )
    return Section("Kernels", parts, note) if parts else None


def _plane(found: Checkpoint, name: str) -> bool:
    """Whether a kernel has more than a pixel to show."""
    axes = found[name].spec.axes
    names = {a.name for group in axes or () for a in group}
    return bool(names & {"kh", "h"}) and not names & {"kd", "d"}


def _title(name: str, kernel: Any) -> str:
    h, w, inputs, outputs = kernel.shape
    return f"{shown(name)} {h}×{w}, {inputs} → {outputs}"


# -- another file ----------------------------------------------------------------------------


def _difference(measured: Measured) -> Section | None:
    against = measured.against
    if against is None:
        return None
    rows: list[list[Cell | str]] = [
        [p.label, Cell(p.relation.name, mark="warning"), Cell(p.detail, mark="text")]
        for p in against.differing
    ]
    for word, names in (("A only", against.a_only), ("B only", against.b_only)):
        rows += [[name, Cell(word, mark="warning"), ""] for name in names]
    table = [Table(["tensor", "class", "how"], rows).html()] if rows else []
    return Section("Differences", table, against.total)


SECTIONS: tuple[Callable[[Measured], Section | None], ...] = (
    _difference,
    _tensors,
    _pictures,
)
