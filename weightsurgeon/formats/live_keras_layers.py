"""What live Keras layers say of themselves: their classes and options, by their configs.

A config is taken as data, as from a file. A model of one's own may have none, or one that does not
tell its layers: then each layer inside is asked by itself. What flattens a map before a layer is
outside of the layer's config: the graph that it was called in tells, else it is said to be open.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from .base import Limits
from .keras_config import Layer, layers_of, parse

Tree = list[tuple[str, Any]]
_FLAT = {"Dense", "BatchNormalization", "LayerNormalization", "RMSNormalization", "PReLU"}
_SPATIAL = re.compile(r".*(Conv|Pooling|ZeroPadding|Cropping|UpSampling)[123]D.*|Flatten|Reshape")
_END = re.compile(r"(Einsum)?Dense|(Reversible)?Embedding|.*Conv[123]D.*|Global.*Pooling.*")


def layers_told(root: Any, tree: Tree) -> dict[str, Layer]:
    """Canonical name → class and options of the layer; "" is the root."""
    found = _told(root, "", _before(root))
    open_ = len(tree) > 1 and any(_SPATIAL.fullmatch(type(x).__name__) for _, x in tree)
    for name, layer in tree:
        if name in found or not layer.weights:
            continue
        for place, told in _told(layer, name, []).items():
            found.setdefault(place, _left_open(told) if open_ else told)
    return found


def _told(layer: Any, place: str, before: list[Any] | None) -> dict[str, Layer]:
    """What a layer's config says of it, at `place`, and of those inside it, by their names.

    `before` are the layers that its input came through; None where they cannot be told.
    """
    from keras.saving import serialize_keras_object

    try:
        items = [serialize_keras_object(x) for x in (*(before or ()), layer)]
        chain = {"class_name": "Sequential", "config": {"name": "", "layers": items}}
        text = json.dumps(chain | ({"build_config": _shape(before[0])} if before else {}))
    except Exception:  # noqa: BLE001  a class of the user's own: what is inside it is asked next
        return {}
    limits = Limits()
    config = parse(text.encode(), layer.name, "config", limits)
    placed = layers_of(config, layer.name, limits)
    last = max(i for i, path in enumerate(placed) if path.count("/") == 1)  # of the chain itself
    named = list(placed.values())[last:]
    found = [_placed(x, named[0].name, place) for x in named]
    return {x.name: _left_open(x) if before is None else x for x in found}


def _placed(layer: Layer, own: str, place: str) -> Layer:
    """The layer with its names below `place` instead of below `own`."""

    def moved(name: str) -> str:
        inner = name.removeprefix(own).removeprefix("/")
        return "/".join(filter(None, (place, inner)))

    options = layer.options
    if "module" in options:
        options = {**options, "module": moved(options["module"])}
    return replace(layer, name=moved(layer.name), options=options)


def _left_open(layer: Layer) -> Layer:
    """The layer, of which is not known whether a map is flattened before it."""
    if layer.kind not in _FLAT or "flatten_from" in layer.options:
        return layer
    return replace(layer, options={**layer.options, "flatten_from": None})


def _shape(layer: Any) -> dict[str, Any]:
    return {"input_shape": list(layer._inbound_nodes[0].input_tensors[0].shape)}


def _before(layer: Any) -> list[Any] | None:
    """The layers that the input of a layer came through in its model, the first one first.

    They are followed up to one that makes an axis of its own. None where paths meet; a layer that
    was never called in a graph stands for itself.
    """
    chain: list[Any] = []
    while layer._inbound_nodes:
        inputs = [x for node in layer._inbound_nodes for x in node.input_tensors]
        above = {id(x._keras_history.operation): x._keras_history.operation for x in inputs}
        if not above or type(layer).__name__ == "InputLayer":
            break
        if len(above) > 1 or any(len(node.input_tensors) > 1 for node in layer._inbound_nodes):
            return None
        (layer,) = above.values()
        if type(layer).__name__ == "InputLayer":
            break
        chain.insert(0, layer)
        if _END.fullmatch(type(layer).__name__):
            break
    return chain
