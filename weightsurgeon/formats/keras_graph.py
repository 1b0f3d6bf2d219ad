"""Where a map becomes a vector: which layers see a flattened map, and of what shape it was.

A Flatten puts a map's axes into one; every layer with weights on that axis, up to the next Dense,
must know the map, as its entries lie in another order where channels come first. Layers that keep
an axis as it is pass the fact on; where it cannot be told, the fact is doubt, never a guess. Nor is
it told what a Dense makes of a map's entries when a Reshape turns its output into one (`Origin`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import repeat
from typing import Any, NamedTuple

from ..errors import LimitExceeded
from .base import Limits
from .keras_calls import Key, Size, calls_of, references, size_of
from .keras_flat import NOTHING, PLAIN, Flat, Origin, Value
from .keras_names import CELLS, VARIABLES
from .keras_shapes import KEEPS, size_after, target_of

Json = Mapping[str, Any]


_UNFOLDED = (
    "a Reshape makes a map {} of what it makes, for a {}, which may want its entries in another "
    "order (a from/to rule with a layout such as `in (h w c) -> (c h w) in` says which)"
)
_Found = dict[int, tuple[str, Flat]]  # `id` of a layer → its class and what it sees

_NORMS = ("BatchNormalization", "LayerNormalization", "RMSNormalization", "Normalization")
_AWARE = {"Dense", "PReLU", *_NORMS}
_MERGE = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"}
_CONV = re.compile(r"(Separable|Depthwise)?Conv[123]D(Transpose)?")
_MAPS = re.compile(r"((Max|Average)Pooling|UpSampling|ZeroPadding|Cropping)[123]D|Permute")
_END = {*VARIABLES, *CELLS, "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Reshape"}
_END -= {"Attention", "AdditiveAttention"}  # whose output has the entries of its values
_STIRS = {"Lambda", "TFOpLambda", "Einsum", "Moveaxis", "Ravel", "Rot90", "Swapaxes", "Unflatten"}


def flattened(config: Json, path: str, limits: Limits) -> dict[int, Flat]:
    """`id` of each serialised layer → what it sees on its last axis."""
    found: _Found = {}
    doubts: dict[int, str] = {}
    _Walk(found, doubts, path, limits).model(config, [NOTHING])
    usable = {key: _usable(kind, flat) for key, (kind, flat) in found.items()}
    return usable | {key: usable[key]._replace(doubt=why) for key, why in doubts.items()}


def _usable(kind: str, seen: Flat) -> Flat:
    """What a layer can make use of: most know no rows for a flattened axis."""
    if not seen.shape or kind in _AWARE:
        return seen
    return Flat(doubt=f"a {kind} on a flattened map {seen.shape}")


class _Walk(NamedTuple):
    found: _Found
    doubts: dict[int, str]  # `id` of a layer → why the order of what it makes is not known
    path: str
    limits: Limits
    depth: int = 0

    def model(self, item: Json, inputs: list[Value]) -> Value:
        """Follow a model from its inputs; what its first output is."""
        layers = [x for x in item["config"]["layers"] if _sound(x)] if _is_model(item) else []
        if "input_layers" in item["config"]:
            return self.functional(item, layers, inputs)
        value = inputs[0]._replace(size=inputs[0].size or _built(item))
        for layer in layers:
            value = self.layer(layer, [value])
        return value

    def functional(self, item: Json, layers: list[Json], inputs: list[Value]) -> Value:
        """Follow a graph of calls."""
        config, made = item["config"], dict[Key, Value]()
        entries = [key for key, _ in references(config["input_layers"])]
        one = Value(_joined("model", [v.flat for v in inputs]))
        made.update(
            zip(entries, inputs if len(entries) == len(inputs) else repeat(one), strict=False)
        )
        for call in calls_of(layers):
            values = [made.get(key, NOTHING) for key in call.sources or [call.key]]
            first = values[0]._replace(size=call.size or values[0].size)
            made[call.key] = self.layer(call.layer, [first, *values[1:]])
        outputs = [made.get(key, NOTHING) for key, _ in references(config.get("output_layers"))]
        if len(outputs) == 1:
            return outputs[0]
        return Value(_joined("model", [v.flat for v in outputs] or [PLAIN]))

    def layer(self, item: Json, values: list[Value]) -> Value:
        """Note what a layer sees; return what it makes of it."""
        kind, config = str(item.get("class_name")), item["config"]
        if _is_model(item):
            return self.deeper().model(item, values)
        seen = _joined(kind, [v.flat for v in values])
        size = values[0].size or _built(item) or size_of(config.get("batch_shape"))
        size = size or size_of(config.get("batch_input_shape"))
        if seen.stirred and kind in _AWARE and (size is None or len(size) == 1):
            seen = Flat(doubt=seen.stirred)
        if kind == "TimeDistributed" and _sound(config.get("layer")):
            return self.deeper().layer(config["layer"], [Value(seen)])._replace(size=None)
        if kind == "SpectralNormalization" and _sound(config.get("layer")):
            return self.deeper().layer(config["layer"], values)
        if self.found.setdefault(id(item), (kind, seen))[1] != seen:
            seen = Flat(doubt="it is shared by inputs that are flattened differently")
            self.found[id(item)] = kind, seen
        after = size_after(kind, config, size)
        origin = self.origin(item, [v.origin for v in values], after)
        return Value(_made(item, kind, seen, size), after, origin)

    def origin(self, item: Json, origins: list[Origin], size: Size | None) -> Origin:
        """What made the entries of a layer's output; doubt of it where they become channels."""
        kind, config = str(item["class_name"]), item["config"]
        seen = next((o for o in origins if o.map), origins[0])
        seen = seen._replace(makers=frozenset().union(*(o.makers for o in origins)))
        if kind == "Dense":
            units = config.get("units")
            return Origin(frozenset([id(item)]), units if isinstance(units, int) else 0)
        if kind == "Reshape":
            return _unfolded(size or target_of(config), seen)
        if _CONV.fullmatch(kind) and seen.map and config.get("data_format") != "channels_first":
            self.doubts.update(dict.fromkeys(seen.makers, _UNFOLDED.format(list(seen.map), kind)))
        if kind in _AWARE and seen.makers and not seen.map:
            return seen._replace(makers=seen.makers | {id(item)})
        return seen if kind in KEEPS or kind in _MERGE or _MAPS.fullmatch(kind) else Origin()

    def deeper(self) -> _Walk:
        """The same walk, one model further in."""
        if self.depth >= self.limits.depth:
            raise LimitExceeded(self.path, "config", "models are nested too deeply")
        return self._replace(depth=self.depth + 1)


def _sound(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("config"), dict)


def _is_model(item: Json) -> bool:
    return isinstance(item["config"].get("layers"), list)


def _built(item: Json) -> Size | None:
    build = item.get("build_config")
    return size_of(build.get("input_shape")) if isinstance(build, dict) else None


def _joined(kind: str, flats: list[Flat]) -> Flat:
    """One fact for all inputs: the same, or doubt where only some are flattened."""
    if len(set(flats)) == 1:
        several = kind == "Concatenate" and len(flats) > 1 and flats[0].shape
        return Flat(doubt="flattened branches are concatenated") if several else flats[0]
    if any(f.shape or f.doubt for f in flats):
        return Flat(doubt=f"flattened and other inputs meet in a {kind}")
    maps, stirred = [f for f in flats if f.map], next((f.stirred for f in flats if f.stirred), "")
    return Flat(map=bool(maps), first=bool(maps) and all(f.first for f in maps), stirred=stirred)


def _made(item: Json, kind: str, seen: Flat, size: Size | None) -> Flat:
    """What a layer's output carries on its last axis."""
    config = item["config"]
    if kind == "Flatten":
        return _flatten(config, seen, size)
    if kind == "Permute":
        return _permuted(config.get("dims"), seen)
    if kind == "Transpose" and isinstance(config.get("axes"), list):
        return _permuted(config["axes"][1:], seen)  # an operation, which counts the batch
    if kind == "Reshape" and not seen.doubt and not seen.shape:
        return _reshape(target_of(config), seen, size)
    if _stirs(item, kind) and not (seen.doubt or seen.shape):
        is_map = seen.map or (size is not None and len(size) > 2)
        why = f"a {kind} may order the entries of a map in any way" if is_map else seen.stirred
        return Flat(stirred=why)
    if kind in KEEPS or kind in _MERGE or _MAPS.fullmatch(kind):
        return seen
    if _CONV.fullmatch(kind):
        return Flat(map=True, first=config.get("data_format") == "channels_first")
    if kind == "Dense" and not seen.shape and not seen.doubt:
        return seen  # on a map it is a convolution of size one
    if ".ops." in str(item.get("module")) and not (seen.shape or seen.doubt):
        return seen  # all others work on each element, or along an axis
    if kind in _END or not (seen.shape or seen.doubt):
        return PLAIN
    return Flat(doubt=seen.doubt or f"a {kind} stands between it and the Flatten")


def _stirs(item: Json, kind: str) -> bool:
    """Whether a layer may move entries as it likes: one of a user, an operation that does so."""
    module = item.get("module")
    if isinstance(module, str):
        return kind in _STIRS or module.partition(".")[0] not in ("keras", "tf_keras")
    return kind in _STIRS or isinstance(item.get("registered_name"), str)


def _flatten(config: Json, seen: Flat, size: Size | None) -> Flat:
    if seen.shape or seen.doubt:
        return seen
    if seen.stirred:
        return Flat(doubt=seen.stirred)
    if size is None:
        return Flat(doubt="the config does not say of which shape its Flatten takes a map")
    if config.get("data_format") == "channels_first":  # it moves the first axis last, then flattens
        if seen.map and not seen.first:
            return Flat(doubt="a channels_first Flatten takes a map whose channels are last")
        size = (*size[1:], *size[:1])
    elif seen.first:
        return PLAIN  # channels come first here as they do in torch
    if len(size) < 2 or (len(size) == 2 and not seen.map):
        return PLAIN  # a sequence lies in the same order everywhere
    return Flat(shape=size)


def _permuted(dims: object, seen: Flat) -> Flat:
    """Where a Permute puts the channels of a map; it may swap places only, or move them."""
    if seen.shape or seen.doubt or not isinstance(dims, (list, tuple)) or len(dims) < 2:
        return seen
    at = list(dims).index(1 if seen.first else len(dims)) if len(dims) in dims and 1 in dims else -1
    if at not in (0, len(dims) - 1):
        return Flat(doubt="a Permute puts the channels of a map amid its places")
    return seen._replace(first=at == 0)


def _reshape(target: object, seen: Flat, size: Size | None) -> Flat:
    """A Reshape to a vector is a Flatten of unknown order, unless there is but one axis."""
    vector = isinstance(target, list) and len(target) == 1
    if not vector or (size is not None and sum(n != 1 for n in size) < 2):
        return PLAIN
    if size is not None and len(size) == 2 and not seen.map:
        return PLAIN
    return Flat(doubt="a Reshape makes a vector of a map")


def _unfolded(shape: object, seen: Origin) -> Origin:
    """A Reshape splits a vector into a map, unless only one of its channels and places is many."""
    if not isinstance(shape, (list, tuple)) or len(shape) < 2 or shape[-1] in (1, seen.units):
        return Origin()
    return seen._replace(map=tuple(shape)) if any(n != 1 for n in shape[:-1]) else Origin()
