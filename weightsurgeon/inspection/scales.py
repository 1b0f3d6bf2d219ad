"""How large a unit's output is, as far as weights tell: the path scale n of every channel.

At the first layer n_j = √(Σ (s_i V_ij)² + b_j²), s the scale of the inputs; deeper
n_j = Σ n_i |V_ij| + |b_j|. Where a ReLU unit is rescaled and its reader the other way, n·|W| stays.
An embedding is an input whose scale is the RMS of its columns; a batch normalisation is folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..conventions import sizes_of
from ..expr import Expr, evaluate
from ..formats.base import Checkpoint
from ..formats.graph import Graph, Node
from ..layout import relayout
from ..notation import atoms
from ..spec import Axes, Axis

if TYPE_CHECKING:
    from ..expr import Array

BLOCK = 2**19
KEEPS = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise"),
    *("GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity", "Rescaling"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "ThresholdedReLU", "Masking"),
    *(f"{p}Pooling{n}D" for p in ("Max", "Average") for n in (1, 2, 3)),
    *(f"Global{p}Pooling{n}D" for p in ("Max", "Average") for n in (1, 2, 3)),
    *(f"{p}{n}D" for p in ("UpSampling", "ZeroPadding", "Cropping") for n in (1, 2, 3)),
    *("Flatten", "BatchNormalization"),
}
HOMOGENEOUS = {"", "linear", "relu", "leaky_relu", "relu6", "None"}
BENT = {"ELU", "Softmax", "ThresholdedReLU"}


class Scale(NamedTuple):
    """n of each channel; `raw` for inputs; `bent` names the activation that spoils invariance."""

    n: Array
    raw: bool = False
    bent: str = ""


def channel_axis(axes: Axes) -> str:
    """The axis of a kernel along which branches lie: the channels, also of a flattened map."""
    names = [a.name for a in atoms(axes)]
    return "c" if "c" in names and "in" not in names else "in"


def channels_first(found: Checkpoint, name: str) -> Expr | None:
    """A kernel as (channels, places, out); None where it is not known how it lies."""
    x, m = found[name], found.meaning(name)
    if m.axes is None or m.kind is None:
        return None
    flat, at = atoms(m.axes), channel_axis(m.axes)
    if at not in [a.name for a in flat]:
        return None
    made = [a for a in flat if a.name.startswith("out") or a.name in ("g", "unit", "mult")]
    rest = [a for a in flat if a.name != at and a not in made]
    want = Axes([(Axis(at),), tuple(rest), tuple(made)])
    return relayout(x, m.axes, want, sizes_of(m.kind, m.options)).named(None)


def scales(found: Checkpoint, graph: Graph, input_scale: float = 1.0) -> dict[str, Scale]:
    """The path scale of what each node makes, where it is known."""
    return _Walk(found, graph, input_scale).all()


class _Walk:
    def __init__(self, found: Checkpoint, graph: Graph, input_scale: float) -> None:
        self.found, self.graph, self.input_scale = found, graph, input_scale
        self.nodes = {n.name: n for n in graph.nodes}
        self.roles: dict[str, dict[str, str]] = {}
        for name in found:
            m = found.meaning(name)
            self.roles.setdefault(m.layer, {})[m.role or ""] = name

    def all(self) -> dict[str, Scale]:
        made: dict[str, Scale] = {}
        for node in self.graph.nodes:
            scale = self.of(node, [made.get(i) for i in node.inputs])
            if scale is not None:
                made[node.name] = scale
        return made

    def of(self, node: Node, inputs: list[Scale | None]) -> Scale | None:
        """The scale of what a node makes."""
        import numpy as np

        roles = self.roles.get(node.layer, {})
        if node.kind == "InputLayer":
            width = node.shape[-1] if node.shape else None
            return None if width is None else Scale(np.full(width, self.input_scale), raw=True)
        if node.kind == "Embedding" and "embedding" in roles:
            return Scale(_rms(self.found[roles["embedding"]]), raw=True)
        known = [s for s in inputs if s is not None]
        if not known or len(known) < len(inputs):
            return None
        bent = next((s.bent for s in known if s.bent), "") or _bent(node)
        if node.kind == "Concatenate":
            return Scale(np.concatenate([s.n for s in known]), all(s.raw for s in known), bent)
        if node.kind in ("Add", "Average", "Subtract") and len({len(s.n) for s in known}) == 1:
            return Scale(sum((s.n for s in known), np.zeros(len(known[0].n))), False, bent)
        if node.kind == "BatchNormalization":
            return self.normalised(node, known[0], bent)
        if node.kind in KEEPS:
            return known[0]._replace(bent=bent)
        if "kernel" in roles and len(known) == 1:
            return self.layered(node, known[0], bent)
        return None

    def layered(self, node: Node, before: Scale, bent: str) -> Scale | None:
        """Through a kernel, with the batch normalisation behind it folded in."""
        import numpy as np

        roles = self.roles[node.layer]
        v = channels_first(self.found, roles["kernel"])
        if v is None or v.spec.shape[0] != len(before.n):
            return None
        bias = np.zeros(v.spec.shape[2])
        if "bias" in roles:
            bias = self.found[roles["bias"]].numpy().astype("f8").reshape(-1)
        sums = weighed(v, before.n, squared=before.raw)
        gain, shift, mean = self.folded(node, len(sums))
        b = (bias - mean) * gain + shift
        if before.raw:
            return Scale(np.sqrt(sums * gain**2 + b**2), False, bent)
        return Scale(sums * np.abs(gain) + np.abs(b), False, bent)

    def folded(self, node: Node, width: int) -> tuple[Array, Array, Array]:
        """Gain, shift and mean of the only reader, where that is a batch normalisation."""
        import numpy as np

        users = [n for n in self.graph.nodes if node.name in n.inputs]
        straight = str(node.options.get("activation") or "linear") == "linear"
        if straight and len(users) == 1 and users[0].kind == "BatchNormalization":
            return self.affine(users[0], width)
        return np.ones(width), np.zeros(width), np.zeros(width)

    def normalised(self, node: Node, before: Scale, bent: str) -> Scale | None:
        """A batch normalisation that was not folded into the kernel before it."""
        import numpy as np

        source = self.nodes[node.inputs[0]]
        alone = sum(source.name in n.inputs for n in self.graph.nodes) == 1
        alone = alone and str(source.options.get("activation") or "linear") == "linear"
        if alone and "kernel" in self.roles.get(source.layer, {}):
            return before._replace(bent=bent)
        gain, shift, mean = self.affine(node, len(before.n))
        return Scale(before.n * np.abs(gain) + np.abs(shift - mean * gain), False, bent)

    def affine(self, node: Node, width: int) -> tuple[Array, Array, Array]:
        """γ/√(σ² + ε), β, μ."""
        import numpy as np

        roles = self.roles.get(node.layer, {})

        def values(role: str, default: float) -> Array:
            if role not in roles:
                return np.full(width, default)
            return np.asarray(self.found[roles[role]].numpy().astype("f8").reshape(-1))

        epsilon = float(node.options.get("epsilon", 1e-3))
        gain = values("gamma", 1.0) / np.sqrt(values("variance", 1.0) + epsilon)
        return gain, values("beta", 0.0), values("mean", 0.0)


def _bent(node: Node) -> str:
    word = str(node.options.get("activation") or "")
    if word not in HOMOGENEOUS:
        return word
    return node.kind if node.kind in BENT else ""


def _rms(x: Expr) -> Array:
    import numpy as np

    rows, width = x.spec.shape
    return np.sqrt(weighed(_cube(x, rows, width), np.ones(rows), squared=True) / max(1, rows))


def _cube(x: Expr, rows: int, width: int) -> Expr:
    from ..ops.movement import reshape

    return reshape(x.named(None), (rows, 1, width))


def weighed(v: Expr, n: Array, squared: bool) -> Array:
    """Σ n_i |V_ij| over channels and places, or Σ (n_i V_ij)², in float64, block by block."""
    import numpy as np

    channels, places, out = v.spec.shape
    total = np.zeros(out)
    step = max(1, BLOCK // max(1, places * out))
    for lo in range(0, channels, step):
        hi = min(lo + step, channels)
        part = evaluate(v, ((lo, hi), (0, places), (0, out))).astype("f8")
        part = part * n[lo:hi, None, None]
        total += (part * part if squared else np.abs(part)).sum(axis=(0, 1))
    return total
