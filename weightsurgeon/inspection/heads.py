"""`heads`: what all outputs share and what belongs to one, by which outputs a layer reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SurgeryError, shown
from ..formats.base import Checkpoint
from ..formats.graph import Graph
from ..pending import reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from .axes import ALONG, row_shape
from .measuring import stats
from .scales import KEEPS, channels_first
from .selection import described, envelope
from .showing import folded, html_table, number, percent, plain

if TYPE_CHECKING:
    from ..expr import Array

HEAD = ("group", "tensors", "params", "‖W‖", "zero %", "layers")


class Group(NamedTuple):
    """The layers that reach the same outputs."""

    name: str
    layers: tuple[str, ...]
    tensors: int
    params: int
    norm: float
    zeros: int

    def cells(self) -> tuple[str, ...]:
        """The group as a row."""
        names = ", ".join(shown(n) for n in self.layers)
        zeros = percent(self.zeros, self.params)
        numbers = f"{self.tensors:,}", f"{self.params:,}", number(self.norm), zeros
        return (shown(self.name), *numbers, names)


class Profile(NamedTuple):
    """How strongly a head's first kernel reads each channel of what is shared."""

    head: str
    kernel: str
    shared: str
    norms: tuple[float, ...]


class Likeness(NamedTuple):
    """The cosine of two heads' profiles over the same shared channels."""

    a: str
    b: str
    shared: str
    cosine: float


@dataclass(frozen=True)
class Heads:
    """Groups of layers, and how alike the heads use what they share."""

    input: Mapping[str, Any]
    groups: tuple[Group, ...]
    profiles: tuple[Profile, ...]
    likenesses: tuple[Likeness, ...]

    def to_json(self) -> dict[str, Any]:
        """The groups as data."""
        return {
            **envelope("heads", [dict(self.input)]),
            "groups": [plain(g._asdict()) for g in self.groups],
            "profiles": [plain(p._asdict()) for p in self.profiles],
            "likeness": [plain(x._asdict()) for x in self.likenesses],
        }

    def text(self, width: int | None = None) -> Iterator[str]:
        """A row a group, a line for each two heads."""
        yield from folded([HEAD, *(g.cells() for g in self.groups)], range(1, 5), width)
        for x in self.likenesses:
            yield f"{shown(x.a)} and {shown(x.b)} read {shown(x.shared)} with cosine {x.cosine:.4f}"
        total = sum(g.params for g in self.groups)
        yield f"{' + '.join(f'{g.params:,}' for g in self.groups)} = {total:,} from graph"

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        return html_table(HEAD, (g.cells() for g in self.groups))


def reached(graph: Graph) -> dict[str, frozenset[str]]:
    """For each layer the outputs that its calls reach."""
    by_node: dict[str, set[str]] = {n.name: set() for n in graph.nodes}
    for name in graph.outputs:
        by_node[name].add(name)
    layers: dict[str, set[str]] = {}
    for node in reversed(graph.nodes):  # outputs first: those a node reaches are known
        for name in node.inputs:
            by_node[name] |= by_node[node.name]
        layers.setdefault(node.layer, set()).update(by_node[node.name])
    return {layer: frozenset(found) for layer, found in layers.items()}


def heads(checkpoint: Openable) -> Heads:
    """Group the tensors of a model by the outputs they reach, and compare its heads.

    Errors: SurgeryError where the file tells no graph.
    """
    found = opened(checkpoint)
    graph = found.source.graph()
    if graph is None:
        raise SurgeryError(f"{shown(found.path)} tells no graph: which layer reaches which output")
    reach = reached(graph)
    groups = tuple(_groups(found, graph, reach))
    order = list(graph.outputs)
    profiles = sorted(_profiles(found, graph, reach), key=lambda p: order.index(p.head))
    likenesses = tuple(
        Likeness(p.head, q.head, p.shared, _cosine(p.norms, q.norms))
        for i, p in enumerate(profiles)
        for q in profiles[i + 1 :]
        if p.shared == q.shared and len(p.norms) == len(q.norms) and p.head != q.head
    )
    return Heads(described(found), groups, tuple(profiles), likenesses)


def _called(outputs: frozenset[str], graph: Graph) -> str:
    if not outputs:
        return "unused"
    if len(outputs) == 1:
        return f"head:{next(iter(outputs))}"
    if outputs == frozenset(graph.outputs):
        return "shared"
    return f"shared[{','.join(o for o in graph.outputs if o in outputs)}]"


def _groups(
    found: Checkpoint, graph: Graph, reach: Mapping[str, frozenset[str]]
) -> Iterator[Group]:
    rows: dict[str, list[Any]] = {}
    for t in stats(found).tensors:
        outputs = _outputs(t.meaning.layer, reach)
        if t.tied_to is None and outputs is not None:
            rows.setdefault(_called(outputs, graph), []).append(t)
    order = ["shared", *(f"head:{name}" for name in graph.outputs), "unused"]
    for name, tensors in sorted(rows.items(), key=lambda kv: _place(kv[0], order)):
        norm = sqrt(sum((t.summary.l2 or 0.0) ** 2 for t in tensors))
        layers = tuple(dict.fromkeys(t.meaning.layer for t in tensors))
        params, zeros = sum(t.size for t in tensors), sum(t.summary.zeros for t in tensors)
        yield Group(name, layers, len(tensors), params, norm, zeros)


def _place(name: str, order: list[str]) -> int:
    """What all share, what some share, the heads in the order of the outputs, the rest."""
    return 2 * order.index(name) if name in order else 1


def _outputs(layer: str, reach: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """What a tensor's layer reaches; it may lie within a layer of the graph."""
    while layer and layer not in reach:
        layer = layer.rpartition("/")[0]
    return reach.get(layer)


def _profiles(
    found: Checkpoint, graph: Graph, reach: Mapping[str, frozenset[str]]
) -> Iterator[Profile]:
    """The first kernel of each head behind what is shared, channel by channel."""
    nodes = {n.name: n for n in graph.nodes}
    kernels = {found.meaning(n).layer: n for n in found if found.meaning(n).role == "kernel"}
    for node in graph.nodes:
        kernel = kernels.get(node.layer)
        if kernel is None or len(reach[node.layer]) != 1 or len(node.inputs) != 1:
            continue
        before = nodes[node.inputs[0]]
        while before.kind in KEEPS and before.layer not in kernels and len(before.inputs) == 1:
            before = nodes[before.inputs[0]]
        w = channels_first(found, kernel)
        if len(reach[before.layer]) < 2 or w is None:
            continue
        norms: Array = reduce({"": reduction(ALONG, w, **row_shape(w))})[""].l2
        (head,) = reach[node.layer]
        yield Profile(head, kernel, before.name, tuple(norms.tolist()))


def _cosine(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    size = sqrt(sum(x * x for x in a)) * sqrt(sum(y * y for y in b))
    return dot / size if size else 0.0
