"""The kernels of a checkpoint as matrices (out × in), in order, and which feeds which.

How a kernel lies is taken from its meaning. Of a torch file that tells no kinds a `weight` beside a
`bias` of its first size is taken to lie out first, and what rests on that is not called certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

from ..conventions import sizes_of
from ..errors import SpecError
from ..expr import Expr
from ..formats.base import Checkpoint
from ..formats.graph import Graph, Node
from ..layout import relayout
from ..notation import atoms
from ..ops.movement import reshape
from ..spec import Axes

FIRE = {"relu", "relu6", "sigmoid", "softmax", "softplus", "hard_sigmoid", "exponential"}
NORMS = {"batchnorm", "layernorm", "groupnorm", "rmsnorm"}
_NORM_KINDS = {
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"),
    *("UnitNormalization", "SpectralNormalization"),
}
_PASS = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Flatten", "Reshape"),
    *("ZeroPadding1D", "ZeroPadding2D", "Cropping2D", "Identity", "ActivityRegularization"),
    *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "Permute"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Rescaling"),
}


class Kernel(NamedTuple):
    """A kernel seen as a matrix, a row for each unit it makes.

    x        out × in, lazily · width: size of its `in` axis alone (the channels it reads)
    bias     name of its bias, None without one
    activation  as the file tells it: "" where it does not
    ground   how its layout is known: file, metadata, inferred
    apart    depthwise: each unit reads a channel of its own
    """

    name: str
    layer: str
    x: Expr
    width: int
    bias: str | None
    activation: str
    ground: str
    apart: bool = False

    @property
    def out(self) -> int:
        """How many units it makes."""
        return int(self.x.spec.shape[0])

    @property
    def fan_in(self) -> int:
        """How many values a unit adds up."""
        return int(self.x.spec.shape[1])


def kernels(checkpoint: Checkpoint) -> list[Kernel]:
    """The kernels of Dense layers and convolutions, in file order; a tied one comes once."""
    biases = {m.layer: n for n, m in checkpoint.meanings.items() if m.role == "bias"}
    found = (_kernel(checkpoint, n, biases) for n in checkpoint if n not in checkpoint.ties)
    return [k for k in found if k is not None]


def _kernel(checkpoint: Checkpoint, name: str, biases: Mapping[str, str]) -> Kernel | None:
    x, meaning = checkpoint[name], checkpoint.meaning(name)
    if meaning.role == "kernel" and meaning.axes is not None:
        apart = meaning.kind == "depthwise"
        makes = ("in", "mult") if apart else ("out",)
        out = tuple(a for a in atoms(meaning.axes) if a.name in makes)
        if len(out) != len(makes) or x.spec.dtype.kind != "float":
            return None
        rest = tuple(a for a in atoms(meaning.axes) if a.name not in makes)
        sizes = sizes_of(meaning.kind, meaning.options) if meaning.kind else {}
        try:
            seen = relayout(x, meaning.axes, Axes([out, rest]), sizes)
        except SpecError:
            return None  # a size that neither shape nor options tell
        alone = [
            n
            for group, n in zip(meaning.axes, x.spec.shape, strict=True)
            if [a.name for a in group] == ["in"]
        ]
        width = alone[0] if alone else seen.spec.shape[1]
        bias = biases.get(meaning.layer)
        if bias is not None and checkpoint[bias].spec.shape != seen.spec.shape[:1]:
            bias = None
        fires = str(meaning.options.get("activation") or "")
        x = seen.named(None)
        return Kernel(name, meaning.layer, x, width, bias, fires, meaning.ground, apart)
    return _inferred(checkpoint, name, x) if meaning.role is None else None


def _inferred(checkpoint: Checkpoint, name: str, x: Expr) -> Kernel | None:
    layer, _, leaf = name.rpartition(".")
    shape = x.spec.shape
    if checkpoint.dialect != "torch" or leaf != "weight" or not 2 <= len(shape) <= 5:
        return None
    bias = f"{layer}.bias"
    if bias not in checkpoint or checkpoint[bias].spec.shape != shape[:1]:
        return None
    if x.spec.dtype.kind != "float":
        return None
    seen = reshape(x.named(None), (shape[0], prod(shape[1:])))
    return Kernel(name, layer, seen, shape[1], bias, "", "inferred")


class Link(NamedTuple):
    """What a kernel reads: the kernel that made it (None: an input, a sum, or not known).

    resets   a normalisation stands between them
    fires    the activation between them, "" where not known, "linear" for none
    certain  the graph says so
    """

    before: Kernel | None
    resets: bool
    fires: str
    certain: bool


def links(checkpoint: Checkpoint, found: list[Kernel]) -> dict[str, Link]:
    """For each kernel what feeds it: by the graph, else by the order and the sizes in the file."""
    graph = checkpoint.source.graph()
    if graph is not None:
        return _by_graph(graph, found)
    result, before, norm = dict[str, Link](), None, False
    by_name = {k.name: k for k in found}
    for name in checkpoint:
        kernel = by_name.get(name)
        if kernel is None:
            norm = norm or _is_norm(checkpoint, name)
            continue
        reads = kernel.out if kernel.apart else kernel.fan_in
        fits = before is not None and reads % before.out == 0
        fires = before.activation if fits and before is not None else ""
        result[name] = Link(before if fits else None, norm, fires, False)
        before, norm = kernel, False
    return result


def _is_norm(checkpoint: Checkpoint, name: str) -> bool:
    """A normalisation's tensor: of such a kind, or one value a unit that is no bias."""
    kind = checkpoint.meaning(name).kind
    if kind is not None:
        return kind in NORMS
    return len(checkpoint[name].spec.shape) == 1 and name.rpartition(".")[2] == "weight"


def _by_graph(graph: Graph, found: list[Kernel]) -> dict[str, Link]:
    nodes, by_layer = {n.name: n for n in graph.nodes}, {k.layer: k for k in found}
    result = dict[str, Link]()
    for node in graph.nodes:
        kernel = by_layer.get(node.layer)
        if kernel is not None and kernel.name not in result:
            result[kernel.name] = _link(node, nodes, by_layer)
    return result


def _link(node: Node, nodes: dict[str, Node], by_layer: dict[str, Kernel]) -> Link:
    resets, fires = False, ""
    while len(node.inputs) == 1:
        node = nodes[node.inputs[0]]
        kernel = by_layer.get(node.layer)
        if kernel is not None:
            own = kernel.activation or "linear"
            return Link(kernel, resets, fires or own, True)
        resets = resets or node.kind in _NORM_KINDS
        if node.kind not in _PASS | _NORM_KINDS:
            break
        if node.kind in ("ReLU", "Softmax", "LeakyReLU", "PReLU", "ELU", "Activation"):
            fires = fires or str(node.options.get("activation") or node.kind.lower())
    return Link(None, resets, fires, True)


def readers(graph: Graph | None, found: list[Kernel]) -> dict[str, list[Kernel] | None]:
    """Who reads the units of each kernel, unit by unit; None where not every reader is known."""
    if graph is None:
        return {k.name: None for k in found}
    by_layer = {k.layer: k for k in found}
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    result = dict[str, list[Kernel] | None]()
    for node in graph.nodes:
        if node.layer in by_layer:
            result[by_layer[node.layer].name] = _readers(node, graph, users, by_layer)
    return result


def _readers(
    node: Node, graph: Graph, users: dict[str, list[Node]], by_layer: dict[str, Kernel]
) -> list[Kernel] | None:
    read, open_ = list[Kernel](), [node]
    while open_:
        here = open_.pop()
        if here.name in graph.outputs:
            return None
        for user in users.get(here.name, []):
            kernel = by_layer.get(user.layer)
            if kernel is not None and kernel.width == by_layer[node.layer].out:
                read.append(kernel)
            elif user.kind in _PASS - {"Flatten", "Reshape", "Permute", "Softmax"}:
                open_.append(user)
            else:
                return None
    return read or None
