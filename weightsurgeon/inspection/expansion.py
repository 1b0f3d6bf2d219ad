"""`expand A:B`: the kernel from the input of layer A to the output of layer B, through a graph.

Each call on the way is a row of PIECES: what it does to the path that reaches it. A branch that
does not come from A is left out, and flagged; what is not linear is dropped, and flagged; what is
not the same at every position is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..conventions import NEUTRAL
from ..errors import SurgeryError, shown
from ..formats.base import Checkpoint
from ..formats.graph import Graph, Node
from ..outcome import JSON_VERSION
from .expanded import Cancellation, Path
from .kernel import kernel_of
from .pieces import PIECES

Transform = Callable[[Any], Any]  # what is done to every weight: nothing, its modulus, its square


@dataclass(frozen=True)
class Expansion:
    """What `expand` found: kernels `h w in out` (net, gross, chance), what was taken as linear."""

    start: str
    end: str
    cancellation: Cancellation
    stride: int
    flags: tuple[str, ...]

    def text(self) -> Iterable[str]:
        """The numbers and the caveats, in lines."""
        c = self.cancellation
        h, w, inputs, outputs = c.net.shape
        names = f"{shown(self.start)} → {shown(self.end)}"
        yield f"{names}: {h}×{w}, {inputs} → {outputs}, stride {self.stride}"
        yield (
            f"|net| is {c.ratio:.1%} of gross (all paths counted positive);"
            f" net / chance has median {c.against_chance:.3g} (random signs: 0.67)"
        )
        disputed = int(c.disputed().sum())
        if disputed:
            yield f"{disputed:,} entries cancel: they excite and inhibit, depending on context"
        yield from (f"note: {flag}" for flag in self.flags)

    def to_json(self) -> dict[str, Any]:
        """The numbers as data; the kernel itself is in the picture."""
        c = self.cancellation
        return {
            "weightsurgeon_json": JSON_VERSION,
            "command": "expand",
            "layers": [self.start, self.end],
            "shape": list(c.net.shape),
            "stride": self.stride,
            "ratio": c.ratio,
            "against_chance": c.against_chance,
            "disputed": int(c.disputed().sum()),
            "notes": list(self.flags),
        }


def expand(
    checkpoint: Checkpoint, start: str, end: str, units: Iterable[int] | None = None
) -> Expansion:
    """The expanded kernel of a pair of layers, by the names of their calls.

    Errors: SurgeryError without a graph, for unknown layers, where none leads to the other, or
    where something between them is no kernel: named.
    """
    graph = checkpoint.source.graph()
    if graph is None:
        what = "tells no graph; a .keras or a whole-model .h5 does"
        raise SurgeryError(f"{shown(checkpoint.path)} {what}")
    import numpy as np

    chosen = None if units is None else list(units)
    views: tuple[Transform, ...] = (np.asarray, np.abs, np.square)
    walks = [Walk(checkpoint, graph, start, end, chosen, view) for view in views]
    net, gross, squares = (walk.path() for walk in walks)
    c = Cancellation(net.kernel, gross.kernel, np.sqrt(squares.kernel))
    return Expansion(start, end, c, net.stride, tuple(dict.fromkeys(net.flags)))


@dataclass
class Walk:
    """One way through the graph, every weight seen through `view`."""

    checkpoint: Checkpoint
    graph: Graph
    start: str
    end: str
    units: list[int] | None
    view: Transform
    found: dict[str, Path | None] = field(default_factory=dict)

    def path(self) -> Path:
        """The path from the input of `start` to the output of `end`."""
        names = [node.name for node in self.graph.nodes]
        for name in (self.start, self.end):
            if name not in names:
                near = [n for n in names if name in n][:3] or names[:5]
                raise SurgeryError(
                    f"no call {shown(name)!r}; there are {', '.join(map(shown, near))}, …"
                )
        for node in self.graph.nodes:  # inputs come first
            self.found[node.name] = self.after(node)
            if node.name == self.end:
                break
        path = self.found[self.end]
        if path is None:
            raise SurgeryError(f"{shown(self.start)} does not lead to {shown(self.end)}")
        return path

    def after(self, node: Node) -> Path | None:
        """The path behind a call; None where it does not come from the start."""
        if node.name == self.start:
            piece = PIECES.get(node.kind)
            return None if piece is None else piece(self, node, [None])
        paths = [self.found.get(name) for name in node.inputs]
        if not any(p is not None for p in paths):
            return None
        piece = PIECES.get(node.kind)
        if piece is None:
            what = (
                f"{shown(node.name)} ({shown(node.kind)}) is not linear, or not the same everywhere"
            )
            raise SurgeryError(f"{what}: nothing can be expanded through it")
        return piece(self, node, paths)

    def kernel(self, node: Node, role: str = "kernel") -> Any:
        """A kernel of a call's layer; of the last one only the chosen units."""
        name = self.tensor(node, role)
        if name is None:
            raise SurgeryError(f"{shown(node.layer)} has no {role} here")
        kernel = self.view(kernel_of(self.checkpoint, name).astype("float64"))
        return self.chosen(node, kernel)

    def chosen(self, node: Node, kernel: Any) -> Any:
        """Of the last kernel only the units that are asked for."""
        if node.name != self.end or self.units is None:
            return kernel
        wrong = [u for u in self.units if not 0 <= u < kernel.shape[3]]
        if wrong:
            raise SurgeryError(
                f"{shown(node.name)} has units 0..{kernel.shape[3] - 1}, not {wrong[0]}"
            )
        return kernel[..., self.units]

    def tensor(self, node: Node, role: str) -> str | None:
        """The tensor of a role of a call's layer."""
        meanings = self.checkpoint.meanings.items()
        return next((n for n, m in meanings if m.layer == node.layer and m.role == role), None)

    def values(self, node: Node, role: str) -> Any:
        """The values of a vector of a layer; the neutral one where it has none."""
        name = self.tensor(node, role)
        return (
            float(NEUTRAL[role])
            if name is None
            else self.checkpoint[name].numpy().astype("float64")
        )
