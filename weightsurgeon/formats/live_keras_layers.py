"""What live Keras layers say of themselves: their classes and options, by their configs.

A config is taken as data, as from a file. A model of one's own may have none, or one that does not
tell its layers: then each layer inside is asked by itself.
"""

from __future__ import annotations

import json
from typing import Any

from .base import Limits
from .keras_config import Layer, layers_of, parse

Tree = list[tuple[str, Any]]


def layers_told(root: Any, tree: Tree, remarks: list[str]) -> dict[str, Layer]:
    """Canonical name → class and options of the layer; "" is the root."""
    found: dict[str, Layer] = {}
    for name, layer in tree:
        if name in found or (name and not layer.weights):
            continue
        for inner, told in _told(layer).items():
            found.setdefault("/".join(filter(None, (name, inner))), told)
    return found


def _told(layer: Any) -> dict[str, Layer]:
    """What a layer's config says of it and of those inside it, by their names below it."""
    from keras.saving import serialize_keras_object

    try:
        text = json.dumps(serialize_keras_object(layer))
    except Exception:  # noqa: BLE001  a class of the user's own: what is inside it is asked next
        return {}
    limits = Limits()
    config = parse(text.encode(), layer.name, "config", limits)
    return {told.name: told for told in layers_of(config, layer.name, limits).values()}
