"""The config of a Keras model, as data: which layers there are, of which class, with which options.

Nothing is deserialised. The tree of layers is walked the way Keras walks it when it saves, so that
each layer gets both its place in a weights file (`layers/conv2d_1`, counted a class) and its name
(`inner/conv`, the layers' own names joined, the model's left out).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BrokenFile, LimitExceeded
from .base import Limits
from .json_data import loads
from .keras_flat import Flat
from .keras_graph import flattened
from .keras_names import ATTENTION, CELL_KINDS, CELLS, EQUATIONS, module_of, snake
from .keras_quantised import quantized_options

Json = Mapping[str, Any]

_OPTIONS = (
    *("groups", "reset_after", "equation", "bias_axes", "shared_axes", "axis", "epsilon"),
    *("padding", "strides", "data_format", "dilation_rate", "depth_multiplier", "momentum"),
    *("activation", "recurrent_activation", "use_bias", "center", "scale", "renorm"),
    *("rms_scaling", "use_scale", "score_mode", "use_gate", "go_backwards", "merge_mode"),
    *("key_dim", "value_dim"),
)
_OF_MODULES = ("merge_mode", "go_backwards", "use_gate", "heads", "kv_heads")
_RENAMED = {"num_heads": "heads", "num_query_heads": "heads", "num_key_value_heads": "kv_heads"}
_WRAPPED = {  # key of the config → attribute that holds the layer
    "Bidirectional": {"layer": "forward_layer", "backward_layer": "backward_layer"},
    "RNN": {"cell": "cell"},
}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a config. `unsure` says why its tensors cannot be given axes, "" if they can."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = ""
    trainable: bool = True
    unsure: str = ""


def parse(data: bytes, path: str, where: str, limits: Limits) -> Json:
    """The config as JSON data.

    Errors: BrokenFile, LimitExceeded; a config within a config at most `limits.depth` deep.
    """
    if len(data) > limits.json_bytes:
        raise LimitExceeded(path, where, "is longer than --limit json_bytes allows")
    config = loads(data, path, where, limits)
    if not is_layer(config):
        raise BrokenFile(path, where, "is no config of a Keras model")
    found: Json = config
    return found


def is_layer(value: object) -> bool:
    """Is this a serialised layer, with its class and a config of its own?"""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict)
    )


def layers_of(config: Json, path: str, limits: Limits) -> dict[str, Layer]:
    """Path in a weights file → layer, in the order of the config; "" is the model itself."""
    flats = flattened(config, path, limits)
    found: dict[str, Layer] = {}
    stack: list[tuple[str, Json, Layer]] = [("", config, Layer("", ""))]
    while stack:
        place, item, above = stack.pop()
        if place.count("/") > 4 * limits.depth:
            raise LimitExceeded(path, "config", f"layers are nested over {limits.depth} deep")
        layer = found[place] = _layer(item, above, flats.get(id(item)), root=not place)
        layer.options.update(_part(place, layer, above, found))
        inner = [(f"{place}/{at}" if place else at, x, layer) for at, x in _children(item)]
        stack.extend(reversed(inner))
    return found


def _layer(item: Json, above: Layer, flat: Flat | None, root: bool) -> Layer:
    config, kind = item["config"], item["class_name"]
    own = str(config.get("name", item.get("name", snake(kind))))
    name = "" if root else f"{above.name}/{own}" if above.name else own
    options = _options(kind, config)
    unsure = flat.doubt if flat else above.unsure
    if flat and flat.shape:
        options["flatten_from"] = list(flat.shape)
    trainable = above.trainable and config.get("trainable") is not False
    return Layer(name, kind, options, _dtype(config) or above.dtype, trainable, unsure)


def _part(place: str, layer: Layer, above: Layer, found: Mapping[str, Layer]) -> Json:
    """Of which layer this is a part, and which: a cell, a direction, a projection."""
    if layer.kind not in CELL_KINDS and above.kind not in ATTENTION:
        return {}
    outer, part = module_of(place)
    module = found.get(outer)
    if module is None or outer == place:
        return {}
    told = {k: v for k, v in module.options.items() if k in _OF_MODULES}
    return {**told, **layer.options, **part, "module": module.name}


def _options(kind: str, config: Json) -> dict[str, Any]:
    """The options that rows and notes ask for, as plain values, without those that are null."""
    found = {key: _plain(config[key]) for key in _OPTIONS if config.get(key) is not None}
    for key, name in _RENAMED.items():
        if config.get(key) is not None:
            found[name] = _plain(config[key])
    if found.get("rms_scaling"):  # such a layer has a gamma, always, and never a beta
        found["center"], found["scale"] = False, True
    if kind == "PReLU":  # null says that no axis is shared
        found.setdefault("shared_axes", [])
    if found.get("score_mode") == "concat":
        found["concat"] = True
    if kind == "ReversibleEmbedding" and config.get("tie_weights") is False:
        found["untied"] = True
    return found | quantized_options(kind, config)


def _plain(value: Any) -> Any:
    """A serialised activation as its name; everything else as it is."""
    if isinstance(value, dict):
        inner = value.get("config")
        return inner if isinstance(inner, str) else str(value.get("class_name", ""))
    return value


def _dtype(config: Json) -> str:
    """The dtype of the layer's variables, "" where the config does not say."""
    policy = config.get("dtype")
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
        policy = policy["config"].get("source_name", policy["config"].get("name"))
    name = policy if isinstance(policy, str) else ""
    return "float32" if name.startswith("mixed_") else name


# -- what is inside a layer ------------------------------------------------------------------


def contained(item: Json) -> list[Json]:
    """The layers of a model, in its order; a Sequential does not hold its InputLayer."""
    config = item["config"]
    layers = config.get("layers")
    found = [x for x in layers if is_layer(x)] if isinstance(layers, list) else []
    if "input_layers" in config:
        return found
    return [x for x in found if x["class_name"] != "InputLayer"]


def _children(item: Json) -> Iterator[tuple[str, Json]]:
    config, kind = item["config"], item["class_name"]
    yield from _counted("layers", contained(item))
    cells = config.get("cells")
    if isinstance(cells, list):
        yield from _counted("cells", [x for x in cells if is_layer(x)])
    for key, attribute in _WRAPPED.get(kind, {"layer": "layer"}).items():
        if is_layer(config.get(key)):
            yield attribute, config[key]
    if kind in CELLS:
        cell, name = CELLS[kind]
        yield "cell", {"class_name": cell, "config": {**config, "name": name}}
    for attribute, name in ATTENTION.get(kind, {}).items():
        yield attribute, _projection(config, name)


def _counted(attribute: str, layers: list[Json]) -> Iterator[tuple[str, Json]]:
    used: dict[str, int] = {}
    for layer in layers:
        segment = snake(layer["class_name"])
        count = used[segment] = used.get(segment, -1) + 1
        yield f"{attribute}/{segment}_{count}" if count else f"{attribute}/{segment}", layer


def _projection(config: Json, name: str) -> Json:
    """A sublayer of an attention layer: an EinsumDense onto heads, or back from them."""
    heads = config.get("num_heads", config.get("num_query_heads"))
    if name in ("key", "value"):
        heads = config.get("num_key_value_heads", heads)
    options: dict[str, Any] = {**EQUATIONS[name], "name": name, "num_heads": heads}
    if config.get("use_bias") is False:
        del options["bias_axes"]
    return {"class_name": "EinsumDense", "config": {**options, "dtype": config.get("dtype")}}
