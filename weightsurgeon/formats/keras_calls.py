"""The calls of a functional Keras model: which layer is called on the outputs of which others.

Keras 3 writes a call as nested tensors with a history, Keras 2 as nested lists; both are only
walked for the outputs they name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Json = Mapping[str, Any]
Key = tuple[str, int]  # a layer's name and the number of its call
Size = tuple[int, ...]


class Call(NamedTuple):
    """A call of a layer: the outputs it takes, and the shape of the first where it is told."""

    layer: Json
    key: Key
    sources: list[Key]
    size: Size | None


def name_of(layer: Json) -> str:
    """The name under which a model refers to its layer."""
    return str(layer.get("name", layer["config"].get("name", "")))


def size_of(shape: object) -> Size | None:
    """A shape without its batch; None unless every size is known."""
    if not isinstance(shape, list) or not shape:
        return None
    return tuple(shape[1:]) if all(type(n) is int and n > 0 for n in shape[1:]) else None


def calls_of(layers: list[Json]) -> Iterator[Call]:
    """Each call of each layer, behind those it takes its inputs from; cycles are left out."""
    calls = {call.key: call for layer in layers for call in _calls(layer)}
    waiting = {key: len(call.sources) for key, call in calls.items()}
    users: dict[Key, list[Key]] = {}
    for call in calls.values():
        for source in call.sources:
            users.setdefault(source, []).append(call.key)
    ready = [key for key, count in waiting.items() if not count]
    while ready:
        key = ready.pop()
        yield calls[key]
        for user in users.get(key, ()):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)


def _calls(layer: Json) -> Iterator[Call]:
    nodes = layer.get("inbound_nodes")
    for number, node in enumerate(nodes if isinstance(nodes, list) and nodes else [None]):
        found = references(node)
        size = found[0][1] if found else None
        yield Call(layer, (name_of(layer), number), [key for key, _ in found], size)


def references(value: object) -> list[tuple[Key, Size | None]]:
    """The outputs that are named anywhere in this value, in order, each with its shape."""
    found: list[tuple[Key, Size | None]] = []
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            config = value.get("config")
            if value.get("class_name") == "__keras_tensor__" and isinstance(config, dict):
                key = _key(config.get("keras_history"))
                found += [(key, size_of(config.get("shape")))] if key else []
            else:
                stack.extend(reversed(value.values()))
        elif isinstance(value, list):
            key = _key(value)
            found += [(key, None)] if key else []
            stack.extend(() if key else reversed(value))
    return found


def _key(value: object) -> Key | None:
    """The output that a list names: [layer, call, output, …]."""
    if not isinstance(value, list) or len(value) < 3 or not isinstance(value[0], str):
        return None
    return (value[0], value[1]) if type(value[1]) is int and type(value[2]) is int else None
