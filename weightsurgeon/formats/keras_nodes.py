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
Path = tuple[int, ...]  # the numbers of the calls of the models around it, and its own
Call = tuple[str, Path]


def nodes_of(config: Json, path: str, limits: Limits) -> Graph:
    """The graph of a model, inputs first.

    Errors: LimitExceeded where models within models have more calls than `limits.tensors`.
    """
    found = _Graph(path, limits)
    outputs = found.model(config, "", None, ())
    return _named(found.calls, outputs)


def _named(calls: Mapping[Call, Node], outputs: list[Call]) -> Graph:
    """Nodes by their layers' names; numbered, in the order of calls, where there are several."""
    by_layer: dict[str, list[Call]] = {}
    for call in sorted(calls):
        by_layer.setdefault(call[0], []).append(call)
    names = {
        call: layer if len(of) == 1 else f"{layer}#{i}"
        for layer, of in by_layer.items()
        for i, call in enumerate(of)
    }
    nodes = (
        node._replace(name=names[call], inputs=tuple(names[i] for i in node.inputs))  # type: ignore[index]
        for call, node in calls.items()
    )
    return Graph(tuple(nodes), tuple(dict.fromkeys(names[o] for o in outputs)))


class _Graph:
    def __init__(self, path: str, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.calls: dict[Call, Node] = {}

    def model(self, item: Json, above: str, inputs: list[Call] | None, path: Path) -> list[Call]:
        """Add a model's calls; those of its outputs. Without `inputs` it makes its own."""
        if len(path) > self.limits.depth:
            raise LimitExceeded(self.path, "config", "models are nested too deeply")
        config = item["config"]
        layers = [x for x in config["layers"] if _sound(x)]
        if "input_layers" in config:
            return self.functional(config, layers, above, inputs, path)
        value = inputs
        for layer in layers:
            if layer["class_name"] == "InputLayer" and value is not None:
                continue
            value = self.layer(layer, above, value or [], (*path, 0), None)
        return value or []

    def functional(
        self, config: Json, layers: list[Json], above: str, inputs: list[Call] | None, path: Path
    ) -> list[Call]:
        """Add the calls of a functional model, each behind those it takes its inputs from."""
        made = dict[Key, list[Call]]()
        entries = [key for key, _ in references(config["input_layers"])]
        if inputs is not None:
            pairs = zip(entries, inputs, strict=False)
            made.update({key: [value] for key, value in pairs})
        sizes = _sizes(layers)
        for call in calls_of(layers):
            if call.key in made:
                continue
            values = [value for key in call.sources for value in made.get(key, [])]
            here = (*path, call.key[1])
            made[call.key] = self.layer(call.layer, above, values, here, sizes.get(call.key))
        ends = [key for key, _ in references(config.get("output_layers"))]
        return [value for key in ends for value in made.get(key, [])]

    def layer(
        self, item: Json, above: str, inputs: list[Call], path: Path, told: Shape | None
    ) -> list[Call]:
        """Add a layer's call; a model's are its layers' calls."""
        config, kind = item["config"], str(item["class_name"])
        own = str(config.get("name", item.get("name", snake(kind))))
        name = f"{above}/{own}" if above else own
        if isinstance(config.get("layers"), list):
            return self.model(item, name, inputs, path)
        if len(self.calls) >= self.limits.tensors:
            raise LimitExceeded(self.path, "config", "has more calls than --limit tensors allows")
        shape = told or _after(kind, config, [self.calls[i].shape for i in inputs])
        node = Node(name, name, kind, _plain(config), inputs, shape)  # type: ignore[arg-type]
        self.calls[name, path] = node  # its inputs are named when all calls are known
        return [(name, path)]


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
    """The options as plain values."""
    return {key: _word(value) for key, value in config.items()}


def _word(value: Any) -> Any:
    """A serialised activation as its name; everything else as it is."""
    if not isinstance(value, dict):
        return value
    inner = value.get("config")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        return inner["name"]
    return inner if isinstance(inner, str) else str(value.get("class_name", ""))
