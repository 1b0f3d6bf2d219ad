"""The sections of a report: functions from what was measured to a part of the page.

One that has nothing to say gives nothing. A new section is a function and its name in SECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SurgeryError, shown
from ..formats.base import Checkpoint
from ..table import human_count
from . import branches as branching
from . import heads as heading
from .diff import Diff
from .filters import kernels as filters
from .filters import nmf
from .health import Health
from .html import Cell, Section, Table, figure, steps, text
from .kernel import kernel_of, kernels
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
    health: Health
    against: Diff | None = None


# -- findings --------------------------------------------------------------------------------

MARKS = {"error": "✗ error", "warning": "! warning", "info": "info"}


def _findings(measured: Measured) -> Section:
    found = measured.health
    rows: list[list[Cell | str]] = [
        [
            Cell(f"{f.tensor} unit {f.unit}" if f.unit is not None else f.tensor),
            Cell(MARKS.get(f.level, f.level), mark=f.level),
            f"{f.code} {f.rule.title}",
            f.label,
            Cell(f.evidence, mark="text"),
            Cell(f"{f.rule.meaning} → {f.rule.next}", mark="text"),
        ]
        for f in found.findings
    ]
    headings = ("tensor", "severity", "finding", "sure", "evidence", "what it means, what to do")
    parts = [Table(headings, rows).html()] if rows else []
    parts += [f'<p class="note">{text(note)}</p>' for note in found.notes]
    return Section("Findings", parts, found.total)


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


# -- the graph ---------------------------------------------------------------------------------


def _branches(measured: Measured) -> Section | None:
    try:
        found = branching.branches(measured.checkpoint)
    except SurgeryError:  # no graph: `branches` says so when it is asked
        return None
    if not found.consumers:
        return None
    right = frozenset(range(2, 9))
    parts = [Table(branching.HEAD, c.cells(), right, c.title).html() for c in found.consumers]
    return Section("Branches", parts, branching.NOTE.removeprefix("note: "))


def _heads(measured: Measured) -> Section | None:
    try:
        found = heading.heads(measured.checkpoint)
    except SurgeryError:
        return None
    if len(found.groups) < 2:
        return None
    *_, total = found.text()
    table = Table(heading.HEAD, [g.cells() for g in found.groups], frozenset(range(1, 5)))
    return Section("Heads", [table.html()], total)


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


# -- what the numbers are ----------------------------------------------------------------------

METHOD = (
    "Every value was read once. Moments, quantiles and histograms are of the finite values; NaN and"
    " Inf are counted beside them. Sums are formed over fixed runs, so that the same file always"
    " gives the same page.",
    "A finding is certain where the numbers prove it, heuristic where they only point to it;"
    " thresholds can be moved (doctor --rules).",
    "Weights alone do not tell importance: a branch can be rescaled without any effect on the"
    " outputs. Names, axes and roles are what the file tells; nothing is concluded from a shape.",
)


def _method(measured: Measured) -> Section:
    return Section("Method", [f'<p class="note">{text(words)}</p>\n' for words in METHOD])


SECTIONS: tuple[Callable[[Measured], Section | None], ...] = (
    _findings,
    _difference,
    _branches,
    _heads,
    _tensors,
    _pictures,
    _method,
)
