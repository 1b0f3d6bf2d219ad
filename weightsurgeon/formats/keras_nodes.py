"""The calls of a Keras model as a neutral graph: nested models are opened, each call is a node.

A layer that is called twice has two nodes, `sh#0` and `sh#1`; layers bear the names that their
tensors begin with. Nothing is decided here about what a layer does to its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import LimitExceeded
from .base import Limits
from .graph import Graph, Node
from .keras_calls import Key, calls_of, references
from .keras_names import snake
from .keras_shapes import size_after

Json = Mapping[str, Any]
Shape = tuple[int | None, ...]


def nodes_of(config: Json, path: str, limits: Limits) -> Graph:
    """The graph of a model, inputs first.

    Errors: LimitExceeded where models within models have more calls than `limits.tensors`.
    """
    found = _Graph(path, limits)
    outputs = found.model(config, "", None, 0)
    counts: dict[str, int] = {}
    for node in found.nodes:
        counts[node.layer] = counts.get(node.layer, 0) + 1
    return _named(found.nodes, outputs, counts)


def _named(nodes: list[Node], outputs: list[str], counts: Mapping[str, int]) -> Graph:
    """Nodes by their layers' names; numbered where a layer is called more than once."""
    names = {n.name: n.name if counts[n.layer] > 1 else n.layer for n in nodes}
    renamed = (
        n._replace(name=names[n.name], inputs=tuple(names[i] for i in n.inputs)) for n in nodes
    )
    return Graph(tuple(renamed), tuple(dict.fromkeys(names[o] for o in outputs)))


class _Graph:
    def __init__(self, path: str, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.nodes: list[Node] = []
        self.calls: dict[str, int] = {}
        self.shapes: dict[str, Shape | None] = {}

    def model(self, item: Json, above: str, inputs: list[str] | None, depth: int) -> list[str]:
        """Add a model's calls; the nodes of its outputs. Without `inputs` it makes its own."""
        if depth > self.limits.depth:
            raise LimitExceeded(self.path, "config", "models are nested too deeply")
        config = item["config"]
        layers = [x for x in config["layers"] if _sound(x)]
        if "input_layers" in config:
            return self.functional(config, layers, above, inputs, depth)
        value = inputs
        for layer in layers:
            if layer["class_name"] == "InputLayer" and value is not None:
                continue
            value = self.layer(layer, above, value or [], depth, None)
        return value or []

    def functional(
        self, config: Json, layers: list[Json], above: str, inputs: list[str] | None, depth: int
    ) -> list[str]:
        made = dict[Key, list[str]]()
        entries = [key for key, _ in references(config["input_layers"])]
        if inputs is not None:
            pairs = zip(entries, inputs, strict=False)
            made.update({key: [value] for key, value in pairs})
        sizes = _sizes(layers)
        for call in calls_of(layers):
            if call.key in made:
                continue
            values = [value for key in call.sources for value in made.get(key, [])]
            made[call.key] = self.layer(call.layer, above, values, depth, sizes.get(call.key))
        ends = [key for key, _ in references(config.get("output_layers"))]
        return [value for key in ends for value in made.get(key, [])]

    def layer(
        self, item: Json, above: str, inputs: list[str], depth: int, told: Shape | None
    ) -> list[str]:
        """Add a layer's call; a model's are its layers' calls."""
        config, kind = item["config"], str(item["class_name"])
        own = str(config.get("name", item.get("name", snake(kind))))
        name = f"{above}/{own}" if above else own
        if isinstance(config.get("layers"), list):
            return self.model(item, name, inputs, depth + 1)
        if len(self.nodes) >= self.limits.tensors:
            raise LimitExceeded(self.path, "config", "has more calls than --limit tensors allows")
        number = self.calls[name] = self.calls.get(name, -1) + 1
        key = f"{name}#{number}"
        before = [self.shapes[i] for i in inputs]
        self.shapes[key] = shape = told or _after(kind, config, before)
        self.nodes.append(Node(key, name, kind, _plain(config), tuple(inputs), shape))
        return [key]


def _sound(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("config"), dict)
        and isinstance(item.get("class_name"), str)
    )


def _sizes(layers: list[Json]) -> dict[Key, Shape]:
    """The shapes that calls state for what they take: what others made."""
    found = dict[Key, Shape]()
    stack: list[Any] = [layer.get("inbound_nodes") for layer in layers]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            inner = value.get("config")
            if value.get("class_name") == "__keras_tensor__" and isinstance(inner, dict):
                keys, shape = references(value), _shape(inner.get("shape"))
                found.update({key: shape for key, _ in keys if shape is not None})
            else:
                stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found


def _shape(value: object) -> Shape | None:
    """A shape without its batch; None for a size that is not known."""
    if not isinstance(value, list) or not value:
        return None
    return tuple(n if type(n) is int and n > 0 else None for n in value[1:])


def _after(kind: str, config: Json, before: list[Shape | None]) -> Shape | None:
    """The shape of an output, where the config or the rules of shapes tell it."""
    stated = _shape(config.get("batch_shape")) or _shape(config.get("batch_input_shape"))
    if kind == "InputLayer" or not before:
        return stated
    first = before[0]
    if kind == "Concatenate" and first is not None and all(b is not None for b in before):
        axis = config.get("axis", -1)
        at = axis if type(axis) is int and axis < 0 else len(first)  # counted with the batch
        if at == -1:
            last = [b[-1] if b else None for b in before if b is not None]
            known = [n for n in last if n is not None]
            return (*first[:-1], sum(known) if len(known) == len(last) else None)
        return None
    if first is None or None in first:
        width = config.get("units", config.get("filters"))
        return (None, width) if type(width) is int else None
    whole = tuple(n for n in first if n is not None)
    return size_after(kind, config, whole) if kind != "Flatten" else _flat(whole)


def _flat(size: tuple[int, ...]) -> Shape:
    total = 1
    for n in size:
        total *= n
    return (total,)


def _plain(config: Json) -> dict[str, Any]:
    """The options as plain values: a serialised activation is its name."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            inner = value.get("config")
            value = inner if isinstance(inner, str) else str(value.get("class_name", ""))
            if isinstance(inner, dict) and isinstance(inner.get("name"), str):
                value = inner["name"]
        found[key] = value
    return found
