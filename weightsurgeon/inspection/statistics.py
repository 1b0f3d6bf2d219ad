"""What `stats` found, as data: a row for each tensor, as a table, as JSON, in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import shown
from ..formats.base import Meaning
from ..grouping import natural
from ..table import human_count
from .axes import Along
from .selection import envelope, title
from .showing import folded, html_table, index_of, number, percent, plain, span, spark, superscript
from .spectra import Spectrum
from .summary import Summary
from .threshold import Threshold

HEAD = (
    *("tensor", "shape", "dtype", "mean", "std", "|w|p50", "|w|p99", "max", "L2", "zero %"),
    *("nan", "inf"),
)
RIGHT = range(3, 12)


@dataclass(frozen=True)
class Tensor:
    """A tensor, or the part of one, and its statistics; `tied_to` names where it was counted."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: Meaning
    summary: Summary
    tied_to: str | None = None
    along: Along | None = None
    spectrum: Spectrum | None = None

    @property
    def size(self) -> int:
        """All its elements, finite or not."""
        return self.summary.n + self.summary.nan + self.summary.inf

    def to_json(self) -> dict[str, Any]:
        """The statistics as data; what is not known is null."""
        s, m = self.summary, self.meaning
        names = "n mean std l1 l2 min max zeros tiny nan inf skew kurtosis unique quantiles bound"
        numbers = {name: plain(getattr(s, name)) for name in names.split()}
        along = self.along
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "axes": str(m.axes) if m.axes is not None else None,
            "role": m.role,
            "kind": m.kind,
            "ground": m.ground or None,
            **numbers,
            "first_bad": None if s.first_bad is None else index_of(s.first_bad, self.shape),
            "log2_histogram": None if s.low is None else {"low": s.low, "counts": list(s.counts)},
            "tied_to": self.tied_to,
            "spectrum": None if self.spectrum is None else self.spectrum.to_json(),
            "along": None if along is None else _along(along),
        }


def _along(along: Along) -> dict[str, Any]:
    names = ("l1", "l2", "max")
    return {"axis": along.axis, **{n: plain(getattr(along, n).tolist()) for n in names}}


@dataclass(frozen=True)
class Statistics:
    """The statistics of a checkpoint: a row for each tensor, in file order; totals; a threshold.

    `str` gives the table, `to_json` the data; in a notebook it shows itself.
    """

    input: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    threshold: Threshold | None = None

    def __getitem__(self, name: str) -> Summary:
        return self._summaries[name]

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        return {t.name: t.summary for t in self.tensors}

    @property
    def title(self) -> str:
        """What was read, in a line."""
        return title(dict(self.input))

    @property
    def totals(self) -> dict[str, int]:
        """Sums over all tensors; tied ones count once, the parts of a split one are one tensor."""
        own = [t for t in self.tensors if t.tied_to is None]
        found = {"tensors": len(self.tensors), "parameters": sum(t.size for t in own)}
        for key in ("zeros", "tiny", "nan", "inf"):
            found[key] = sum(getattr(t.summary, key) for t in own)
        return found

    def to_json(self) -> dict[str, Any]:
        """The statistics as data."""
        return {
            **envelope("stats", [dict(self.input)]),
            "tensors": [t.to_json() for t in self.tensors],
            "totals": self.totals,
            "threshold": None if self.threshold is None else self.threshold.to_json(),
        }

    def text(
        self, width: int | None = None, sort: str = "file", top: int | None = None
    ) -> Iterator[str]:
        """The table in lines, at most `width` characters each where names allow it."""
        rows = sorted(self.tensors, key=SORTS[sort]) if sort != "file" else list(self.tensors)
        kept = rows if top is None else rows[:top]
        ends = span((t.summary.low, t.summary.counts) for t in kept)
        last = f"log2|w| 2{superscript(ends[0])}…2{superscript(ends[1])}" if ends else ""
        cells = [(*HEAD, last, ""), *(_cells(t, ends) for t in kept)]
        yield from folded(cells, RIGHT, width)
        if len(kept) < len(rows):
            yield f"… and {len(rows) - len(kept)} more (--all)"
        yield self._total()
        if self.threshold is not None:
            yield str(self.threshold)

    def _total(self) -> str:
        t = self.totals
        bad = f" · {t['nan']:,} NaN · {t['inf']:,} Inf" if t["nan"] or t["inf"] else ""
        share = percent(t["zeros"], t["parameters"])
        return (
            f"{t['tensors']:,} tensors · {human_count(t['parameters'])} values read"
            f" · {share} % zero{bad}"
        )

    def __str__(self) -> str:
        return "\n".join([self.title, *self.text()])

    def _repr_html_(self) -> str:
        ends = span((t.summary.low, t.summary.counts) for t in self.tensors)
        cells = [_cells(t, ends) for t in self.tensors]
        return html_table((*HEAD, "log2|w|", ""), cells, self.title)


def _cells(t: Tensor, ends: tuple[int, int] | None) -> tuple[str, ...]:
    s, quantiles = t.summary, t.summary.quantiles or {}
    numbers = (s.mean, s.std, quantiles.get(0.5), quantiles.get(0.99), s.largest, s.l2)
    return (
        shown(t.name),
        "×".join(map(str, t.shape)) or "scalar",
        t.dtype,
        *(number(x) for x in numbers),
        percent(s.zeros, s.n),
        f"{s.nan:,}",
        f"{s.inf:,}",
        spark(s.low, s.counts, ends) if ends else "",
        _remark(t),
    )


def _remark(t: Tensor) -> str:
    if t.tied_to is not None:
        return f"= {shown(t.tied_to)}, counted once"
    if t.summary.first_bad is not None:
        word = "NaN" if t.summary.nan else "Inf"
        at = index_of(t.summary.first_bad, t.shape)
        return f"✗ {word if not (t.summary.nan and t.summary.inf) else 'NaN or Inf'} at {at}"
    if t.spectrum is not None:
        return str(t.spectrum)
    return "" if t.summary.unique is None else f"{t.summary.unique} different"


def _descending(key: Callable[[Tensor], float | None]) -> Callable[[Tensor], Any]:
    def sortable(t: Tensor) -> tuple[float, Any]:
        value = key(t)
        return (-value if value is not None else float("inf"), natural(t.name))

    return sortable


SORTS = {
    "file": lambda t: 0,
    "name": lambda t: natural(t.name),
    "size": _descending(lambda t: t.size),
    "max": _descending(lambda t: t.summary.largest),
    "std": _descending(lambda t: t.summary.std),
    "l2": _descending(lambda t: t.summary.l2),
    "zeros": _descending(lambda t: t.summary.zeros / t.size if t.size else None),
    "bad": _descending(lambda t: t.summary.nan + t.summary.inf),
}


__all__ = ["HEAD", "SORTS", "Statistics", "Tensor"]
