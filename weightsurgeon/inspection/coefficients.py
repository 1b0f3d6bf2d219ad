"""`coef`: the weights of a Dense layer by the names of its features, or those of a linear stack.

A stack without non-linearities is one Dense: β = W₁W₂…, β₀ = (b₁W₂ + b₂)…. Features that were
standardised are un-standardised: β' = β/scale, β₀' = β₀ − Σ β·mean/scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SurgeryError, shown
from ..formats.base import Checkpoint
from ..formats.graph import Graph, Node
from ..steps.sides import Openable, opened
from .selection import described, envelope
from .showing import folded, html_table, number, plain

if TYPE_CHECKING:
    from ..expr import Array

HEAD = ("feature", "unit", "weight")
BIAS = "(bias)"
THROUGH = {"Dropout", "Identity", "ActivityRegularization", "GaussianNoise", "GaussianDropout"}


class Coefficient(NamedTuple):
    """The weight with which a feature counts for a unit."""

    feature: str
    unit: int
    weight: float


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of a layer, or of all layers `through` one, a row a feature and unit."""

    input: Mapping[str, Any]
    through: tuple[str, ...]
    rows: tuple[Coefficient, ...]
    standardised: bool

    def to_json(self) -> dict[str, Any]:
        """The coefficients as data."""
        return {
            **envelope("coef", [dict(self.input)]),
            "through": list(self.through),
            "unstandardised": self.standardised,
            "rows": [plain(r._asdict()) for r in self.rows],
        }

    def csv(self) -> Iterator[str]:
        """The rows as CSV, with all digits."""
        import csv
        import io

        for row in (HEAD, *((r.feature, r.unit, repr(r.weight)) for r in self.rows)):
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(row)
            yield line.getvalue()

    def text(self, width: int | None = None, top: int | None = None) -> Iterator[str]:
        """The rows, the largest first."""
        ordered = sorted(self.rows, key=lambda r: -abs(r.weight))
        cells = [(shown(r.feature), str(r.unit), number(r.weight)) for r in ordered[:top]]
        yield " · ".join(shown(name) for name in self.through)
        yield from folded([HEAD, *cells], (1, 2), width)
        if len(cells) < len(ordered):
            yield f"… and {len(ordered) - len(cells)} more (--all)"

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        rows = [(r.feature, str(r.unit), number(r.weight)) for r in self.rows]
        return html_table(HEAD, rows, " · ".join(self.through))


def coef(
    checkpoint: Openable,
    layer: str,
    to: str | None = None,
    features: Sequence[str] | None = None,
    scaler: Sequence[tuple[float, float]] | None = None,
) -> Coefficients:
    """The coefficients of a Dense layer, or of the linear stack from `layer` to `to`.

    `features` names the rows (`h,w,c` behind a Flatten, else numbers, where it is absent);
    `scaler` is the (mean, scale) by which each feature was standardised. In float64.

    Errors: SurgeryError for a layer that is no Dense, names or scalers of another length, and
    where something that is not linear, named, stands between the layers.
    """
    found = opened(checkpoint)
    stack = [layer] if to is None or to == layer else _stack(found, layer, to)
    beta, base = _collapsed(found, stack)
    names = list(features) if features is not None else _rows(found, layer, len(beta))
    if len(names) != len(beta):
        text = f"{shown(layer)} has {len(beta)} features, {len(names)} names are given"
        raise SurgeryError(text)
    if scaler is not None:
        beta, base = _unscaled(beta, base, scaler, layer)
    found.source.check_unchanged()
    rows = [
        Coefficient(name, unit, float(weight))
        for name, weights in zip(names, beta, strict=True)
        for unit, weight in enumerate(weights)
    ]
    rows += [Coefficient(BIAS, unit, float(b)) for unit, b in enumerate(base)]
    return Coefficients(described(found), tuple(stack), tuple(rows), scaler is not None)


def _collapsed(found: Checkpoint, stack: Sequence[str]) -> tuple[Array, Array]:
    beta, base = _dense(found, stack[0])
    for name in stack[1:]:
        w, b = _dense(found, name)
        if beta.shape[1] != len(w):
            raise SurgeryError(f"{shown(name)} takes {len(w)} values, {beta.shape[1]} are made")
        beta, base = beta @ w, base @ w + b
    return beta, base


def _dense(found: Checkpoint, layer: str) -> tuple[Array, Array]:
    """A Dense layer's kernel as in × out, and its bias."""
    import numpy as np

    roles = {found.meaning(n).role: n for n in found if found.meaning(n).layer == layer}
    kernel = roles.get("kernel")
    meaning = found.meaning(kernel) if kernel is not None else None
    if kernel is None or meaning is None or meaning.kind != "linear" or meaning.axes is None:
        known = [m.layer for m in found.meanings.values() if m.kind == "linear"]
        names = ", ".join(shown(n) for n in dict.fromkeys(known)) or "none"
        raise SurgeryError(f"{shown(layer)} is no Dense layer that is known; known: {names}")
    last = [a.name for group in meaning.axes[-1:] for a in group] == ["out"]
    values = found[kernel].numpy().astype("f8")
    w = values if last else values.T
    bias = roles.get("bias")
    return w, np.zeros(w.shape[1]) if bias is None else found[bias].numpy().astype("f8")


def _stack(found: Checkpoint, first: str, last: str) -> list[str]:
    """The Dense layers from one to the other, if all between them is linear."""
    graph = found.source.graph()
    if graph is None:
        raise SurgeryError(f"{shown(found.path)} tells no graph: what stands between the layers")
    nodes = {n.name: n for n in graph.nodes}
    here = _node(graph, last)
    stack = [here.layer]
    while here.layer != first:
        if len(here.inputs) != 1:
            raise SurgeryError(f"no single path leads from {shown(first)} to {shown(last)}")
        here = nodes[here.inputs[0]]
        word = str(here.options.get("activation") or "linear")
        if here.kind == "Dense" and word == "linear":
            stack.append(here.layer)
        elif not (here.kind in THROUGH or (here.kind == "Activation" and word == "linear")):
            what = word if here.kind in ("Dense", "Activation") else here.kind
            text = f"{shown(here.name)} ({shown(what)}) is not linear: no coefficients through it"
            raise SurgeryError(text)
    return stack[::-1]


def _node(graph: Graph, layer: str) -> Node:
    found = [n for n in graph.nodes if n.layer == layer]
    if len(found) != 1:
        what = "is called more than once" if found else "is in no graph of this file"
        raise SurgeryError(f"{shown(layer)} {what}")
    return found[0]


def _rows(found: Checkpoint, layer: str, count: int) -> list[str]:
    """Names of rows that the layer itself tells: places of a flattened map, else numbers."""
    kernel = next(n for n in found if found.meaning(n).layer == layer)
    shape = found.meaning(kernel).options.get("flatten_from")
    if shape:
        return [",".join(map(str, at)) for at in product(*(range(n) for n in shape))]
    return _positions(found, layer, count) or [str(i) for i in range(count)]


def _positions(found: Checkpoint, layer: str, count: int) -> list[str] | None:
    """`position.dim` behind an embedding that was flattened."""
    graph = found.source.graph()
    nodes = {n.name: n for n in graph.nodes} if graph is not None else {}
    node = next((n for n in nodes.values() if n.layer == layer), None)
    flat = nodes.get(node.inputs[0]) if node is not None and len(node.inputs) == 1 else None
    if flat is None or flat.kind != "Flatten" or len(flat.inputs) != 1:
        return None
    shape = nodes[flat.inputs[0]].shape
    if nodes[flat.inputs[0]].kind != "Embedding" or shape is None or None in shape:
        return None
    names = [".".join(map(str, at)) for at in product(*(range(n or 0) for n in shape))]
    return names if len(names) == count else None


def _unscaled(
    beta: Array, base: Array, scaler: Sequence[tuple[float, float]], layer: str
) -> tuple[Array, Array]:
    import numpy as np

    if len(scaler) != len(beta):
        text = f"{shown(layer)} has {len(beta)} features, the scaler {len(scaler)}"
        raise SurgeryError(text)
    mean, scale = np.array(scaler, "f8").T
    if not np.isfinite(scale).all() or (scale == 0).any():
        raise SurgeryError("the scaler has a scale that is 0 or not finite")
    raw = beta / scale[:, None]
    return raw, base - mean @ raw
