"""One page about a checkpoint: what is in it, what is odd about it, how it looks.

Everything is measured once, in as few passes as the measures need; the sections show it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..formats.commit import demand_suffix, write_text
from ..reducing import Progress
from ..steps.sides import Openable, opened
from ..table import human_bytes, human_count
from .diff import diff
from .doctor import examined
from .health import limits_of
from .html import page
from .measuring import stats
from .sections import SECTIONS, Measured
from .selection import described, envelope
from .showing import percent

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Page:
    """The report: `html` is one file that needs nothing else; in a notebook it shows itself."""

    html: str
    data: dict[str, Any]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file."""
        demand_suffix(path, "a page", SUFFIXES)
        write_text(path, self.html)

    def to_json(self) -> dict[str, Any]:
        """What the page tells, as data."""
        return self.data

    def __repr__(self) -> str:
        return f"Page({self.data['totals']['tensors']:,} tensors, {len(self.html):,} characters)"

    def _repr_html_(self) -> str:
        from html import escape

        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="800"></iframe>'


def report(
    checkpoint: Openable,
    against: Openable | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Page:
    """Make the page of a checkpoint, a file or a live model, compared with another where given.

    Errors: those of `stats` and `diff`; OutputError where `out` is no .html or .htm.
    """
    if out is not None:
        demand_suffix(out, "a page", SUFFIXES)  # before values are read
    found = opened(checkpoint)
    statistics = stats(found, progress=progress)
    health = examined(found, statistics, limits_of(None))
    measured = Measured(
        found, statistics, health, None if against is None else diff(found, against)
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
    found["findings"] = [f.to_json() for f in measured.health.findings]
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
