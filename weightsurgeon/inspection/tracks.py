"""Which channels come from which branch, carried forward through whatever keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..formats.graph import Graph, Node
from .scales import KEEPS


class Part(NamedTuple):
    """A run of channels that came from one branch."""

    branch: str
    size: int


class Track(NamedTuple):
    """What the channels of a value are made of, since which concatenation."""

    concat: str
    parts: tuple[Part, ...]
    coupled: str = ""  # a layer norm on the way mixes their sizes


def tracks(graph: Graph) -> tuple[dict[str, Track], list[str]]:
    """What the channels of each node's output are made of, and what cannot be told."""
    made, notes = dict[str, Track](), list[str]()
    nodes = {n.name: n for n in graph.nodes}
    for node in graph.nodes:
        before = [made.get(i) for i in node.inputs]
        if node.kind == "Concatenate":
            track = _joined(node, nodes, made, notes)
            if track is not None:
                made[node.name] = track
        elif before and before[0] is not None and len(before) == 1:
            if node.kind in KEEPS:
                made[node.name] = before[0]
            elif node.kind in ("LayerNormalization", "RMSNormalization", "GroupNormalization"):
                made[node.name] = before[0]._replace(coupled=node.name)
        elif any(before):
            notes.append(f"{node.name} ({node.kind}) merges branches: no slices behind it")
    return made, notes


def _joined(
    node: Node, nodes: Mapping[str, Node], made: Mapping[str, Track], notes: list[str]
) -> Track | None:
    axis, shapes = node.options.get("axis", -1), [nodes[i].shape for i in node.inputs]
    rank = next((len(s) for s in shapes if s is not None and len(s) > 1), None)
    if axis not in (-1, rank or 1):
        notes.append(f"{node.name} joins along axis {axis}, which is none of channels: no slices")
        return None
    parts = list[Part]()
    for name, shape in zip(node.inputs, shapes, strict=True):
        if name in made:  # a concatenation within: its parts are ours
            parts += made[name].parts
        elif shape is None or shape[-1] is None:
            notes.append(f"{node.name}: how many channels {name} has is not known")
            return None
        else:
            parts.append(Part(name, shape[-1]))
    return Track(node.name, tuple(parts))
