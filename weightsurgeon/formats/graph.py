"""What a file tells of the order of its layers: a graph of calls, the same for every container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Node(NamedTuple):
    """A call of a layer: what it takes, in order, and the shape of what it makes, without batch.

    `layer` is what the names of its tensors begin with; `kind` and `options` are its dialect's.
    """

    name: str
    layer: str
    kind: str
    options: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: tuple[int | None, ...] | None


class Graph(NamedTuple):
    """The calls of a model as its file tells them, inputs first, and those that are its outputs."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
