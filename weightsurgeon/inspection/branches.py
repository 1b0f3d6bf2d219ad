"""`branches`: which rows of the layer behind a concatenation belong to which branch.

The order of branches is the order of the concatenation's inputs, never that of the layers. The
parts are carried forward through whatever keeps the channels, to every layer that reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

from ..errors import SpecError, SurgeryError, shown
from ..formats.base import Checkpoint
from ..formats.graph import Graph
from ..pending import reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from .axes import ALONG, Along, row_shape
from .scales import Scale, channels_first, scales
from .selection import described, envelope
from .showing import NONE, folded, html_table, number, percent, plain
from .tracks import Part, Track, tracks

HEAD = ("rows", "branch", "params", "‖W‖", "RMS", "gain", "raw share", "path share", "data share")
NOTE = (
    "note: raw share changes when a ReLU branch is rescaled, path share does not;"
    " what a branch does to the outputs, only data tell"
)


class Slice(NamedTuple):
    """The rows of a kernel that read one branch; shares are of the whole kernel."""

    branch: str
    low: int
    high: int
    params: int
    norm: float
    rms: float
    gain: float
    raw: float
    path: float | None


@dataclass(frozen=True)
class Consumer:
    """A layer that reads a concatenation: its slices, its bias, and on what ground."""

    layer: str
    kernel: str
    concat: str
    shape: tuple[int, ...]
    places: int
    slices: tuple[Slice, ...]
    bias: int
    ground: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The consumer as data."""
        found = {k: v for k, v in self.__dict__.items() if k != "slices"}
        found["slices"] = [s._asdict() | {"data": None} for s in self.slices]
        return plain(found)  # type: ignore[no-any-return]

    @property
    def title(self) -> str:
        """What reads what, in a line."""
        total = sum(s.params for s in self.slices) + self.bias
        sizes = "×".join(map(str, self.shape))
        head = f"{shown(self.layer)} ({sizes}, {total:,} scalars) ← concat {shown(self.concat)}"
        return f"{head}   {self.ground}"

    def cells(self) -> list[tuple[str, ...]]:
        """A row a branch."""
        each = f" of {self.places} places" if self.places > 1 else ""
        rows = [_cells(s, each) for s in self.slices]
        blank = ("",) * (len(HEAD) - 3)
        return [*rows, ("bias", "", f"{self.bias:,}", *blank)] if self.bias else rows


def _cells(s: Slice, each: str) -> tuple[str, ...]:
    path = NONE if s.path is None else percent(s.path, 1) + " %"
    return (
        f"{s.low}:{s.high}{each}",
        shown(s.branch),
        f"{s.params:,}",
        number(s.norm),
        number(s.rms),
        number(s.gain),
        percent(s.raw, 1) + " %",
        path,
        NONE,
    )


@dataclass(frozen=True)
class Branches:
    """The consumers of every concatenation, and what could not be told."""

    input: Mapping[str, Any]
    consumers: tuple[Consumer, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The branches as data."""
        return {
            **envelope("branches", [dict(self.input)]),
            "consumers": [c.to_json() for c in self.consumers],
            "notes": list(self.notes),
        }

    def text(self, width: int | None = None) -> Iterator[str]:
        """A table for each consumer."""
        for c in self.consumers:
            yield c.title
            yield from folded([HEAD, *c.cells()], range(2, 9), width)
            yield from (f"note: {shown(note, 500)}" for note in c.notes)
        yield from (f"note: {shown(note, 500)}" for note in self.notes)
        yield NOTE if self.consumers else "no layer reads a concatenation"

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        return "".join(html_table(HEAD, c.cells(), c.title) for c in self.consumers)


def branches(
    checkpoint: Openable,
    concat: Mapping[str, Mapping[str, int]] | None = None,
    input_scale: float = 1.0,
) -> Branches:
    """Which rows of each layer behind a concatenation belong to which branch, and their shares.

    The graph of a Keras file tells; for others `concat` declares it: layer → {branch: size}.
    Shares: raw ‖W[R]‖²/‖W‖²; path Σ n_i ‖W[i]‖₁ over the branch of that over all.

    Errors: SurgeryError where no graph is told and nothing declared, or sizes do not add up.
    """
    found = opened(checkpoint)
    graph = found.source.graph()
    if concat:
        pairs: list[tuple[_Reader, Scale | None]]
        pairs = [(_declared(found, layer, parts), None) for layer, parts in concat.items()]
        notes = list[str]()
    elif graph is None:
        what = f"{shown(found.path)} tells no graph; declare it: --concat LAYER=a:64,b:64"
        raise SurgeryError(what)
    else:
        pairs, notes = _told(found, graph, input_scale)
    consumers = tuple(_consumer(found, c, scale, notes) for c, scale in pairs)
    found.source.check_unchanged()
    return Branches(described(found), tuple(c for c in consumers if c is not None), tuple(notes))


class _Reader(NamedTuple):
    layer: str
    kernel: str
    track: Track
    ground: str


def _told(
    found: Checkpoint, graph: Graph, input_scale: float
) -> tuple[list[tuple[_Reader, Scale | None]], list[str]]:
    made, notes = tracks(graph)
    sizes = scales(found, graph, input_scale) if made else {}
    kernels = {found.meaning(n).layer: n for n in found if found.meaning(n).role == "kernel"}
    pairs = list[tuple[_Reader, Scale | None]]()
    for node in graph.nodes:
        if len(node.inputs) == 1 and node.inputs[0] in made and node.name not in made:
            kernel = kernels.get(node.layer)
            if kernel is None:
                notes.append(f"{node.name} ({node.kind}) reads a concatenation; not looked into")
                continue
            reader = _Reader(node.name, kernel, made[node.inputs[0]], "from graph")
            pairs.append((reader, sizes.get(node.inputs[0])))
    return pairs, notes


def _declared(found: Checkpoint, layer: str, parts: Mapping[str, int]) -> _Reader:
    names = [n for n in found if found.meaning(n).role == "kernel"]
    kernel = next((n for n in names if found.meaning(n).layer == layer), None)
    if kernel is None:
        known = ", ".join(shown(found.meaning(n).layer) for n in names[:8])
        raise SurgeryError(
            f"{shown(found.path)}: no kernel of {shown(layer)} is known; known: {known or 'none'}"
        )
    made = tuple(Part(branch, size) for branch, size in parts.items())
    return _Reader(layer, kernel, Track("as declared", made), "declared")


def _consumer(
    found: Checkpoint, reader: _Reader, scale: Scale | None, notes: list[str]
) -> Consumer | None:
    try:
        w = channels_first(found, reader.kernel)
    except SpecError as error:
        raise type(error)(f"{shown(reader.kernel)}: {error}", error.id) from error
    if w is None:
        notes.append(f"{reader.kernel}: how it lies is not known")
        return None
    channels, places, _ = w.spec.shape
    total = sum(p.size for p in reader.track.parts)
    if total != channels:
        text = f"{shown(reader.layer)}: the branches have {total} channels, the kernel {channels}"
        raise SurgeryError(text)
    rows: Along = reduce({"": reduction(ALONG, w, **row_shape(w))})[""]
    slices = tuple(_slices(reader.track, rows, w.spec.size // max(1, channels), scale))
    bias = next((n for n in found if _is_bias(found, n, reader)), None)
    more = [f"{reader.track.coupled} couples the branches"] if reader.track.coupled else []
    if scale is not None and scale.bent:
        more.append(f"path share: not invariant here, {scale.bent} is not homogeneous")
    shape, size = found[reader.kernel].spec.shape, found[bias].spec.size if bias else 0
    return Consumer(
        reader.layer, reader.kernel, reader.track.concat, shape, places, slices, size,
        reader.ground, tuple(more),
    )  # fmt: skip


def _is_bias(found: Checkpoint, name: str, reader: _Reader) -> bool:
    m = found.meaning(name)
    return m.role == "bias" and m.layer == found.meaning(reader.kernel).layer


def _slices(track: Track, rows: Along, each: int, scale: Scale | None) -> Iterator[Slice]:
    squares, low = rows.l2**2, 0
    total, fan_in = float(squares.sum()), len(squares)
    path = None if scale is None or len(scale.n) != fan_in else scale.n * rows.l1
    whole = 0.0 if path is None else float(path.sum())
    for part in track.parts:
        at, params = slice(low, low + part.size), part.size * each
        norm2, mean = float(squares[at].sum()), float(rows.sum[at].sum()) / max(1, params)
        spread = sqrt(max(0.0, norm2 / max(1, params) - mean * mean))
        share = None if path is None or not whole else float(path[at].sum()) / whole
        yield Slice(
            part.branch, low, low + part.size, params, sqrt(norm2), sqrt(norm2 / max(1, params)),
            spread * sqrt(fan_in), norm2 / total if total else 0.0, share,
        )  # fmt: skip
        low += part.size
