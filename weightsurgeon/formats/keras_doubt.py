"""Weights without a config: which layers could stand behind a Flatten.

Keras writes a group for each layer, also for those without variables, so that a file without such
a group has no Flatten. Where there is one, neither its map's shape nor who takes it is written.
"""

from __future__ import annotations

import re
from itertools import pairwise

from .hdf5 import Hdf5
from .keras_source import KerasSource

_NORMS = {"BatchNormalization", "LayerNormalization", "RMSNormalization", "PReLU"}
_CELLS = {"LSTMCell", "GRUCell", "SimpleRNNCell"}
_FLATTEN = re.compile(r"flatten(_\d+)?")
_BRANCHES = re.compile(r"(input_layer|reshape)(_\d+)?")  # a graph; a map made of a vector
_REMEDY = (
    "in this file without a config there is a Flatten; of which shape, and whether these stand "
    "behind it, is not known: give a mapping with kind: linear and options: "
    "{flatten_from: [h, w, c]} (no options where none does), or the .keras file"
)


def doubt_flattened(source: KerasSource) -> None:
    """Take the kind from each layer that could stand behind a Flatten, with one remark for all."""
    flattens = _places(source.tree, _FLATTEN)
    if not flattens:
        return
    kernels = {"Dense"} | (_CELLS if any(p.endswith("/layer") for p in flattens) else set())
    rows = {
        slot.layer: source.specs[name].shape[0]
        for name, slot in source.slots.items()
        if slot.kind in kernels and slot.leaf == "kernel"
    }
    chained = _chained(source)
    layers = {k: n for k, n in rows.items() if k not in chained and _composite(n)}
    layers |= dict.fromkeys(_normalisations(source, set(layers.values())), 0)
    for name, slot in source.slots.items():
        if slot.layer in layers:
            source.slots[name] = slot._replace(kind="")
    if layers:
        source.remarks.append(f"{', '.join(layers)}: {_REMEDY}")


def _places(tree: Hdf5, pattern: re.Pattern[str]) -> list[str]:
    """The places of layers of a class, by their class in the path or by their automatic name."""
    found = []
    for path in tree.groups:
        place = path.removesuffix("/vars")
        if place != path:
            name = tree.attribute(path, "name")
            names = (place.rpartition("/")[2], name if isinstance(name, str) else "")
            found += [place] if any(map(pattern.fullmatch, names)) else []
    return found


def _composite(rows: int) -> bool:
    """Only a product can be a map with more than one channel and more than one place."""
    return any(rows % n == 0 for n in range(2, min(rows, int(rows**0.5) + 1)))


def _chained(source: KerasSource) -> set[str]:
    """Each Dense of a Sequential that takes what the Dense before it makes, and so no map."""
    places = _places(source.tree, re.compile(".*"))
    if any(place and place.rpartition("/")[0] != "layers" for place in places):
        return set()
    if _places(source.tree, _BRANCHES):
        return set()
    dense = [
        (slot.layer, source.specs[name].shape)
        for name, slot in source.slots.items()
        if slot.kind == "Dense" and slot.leaf == "kernel"
    ]
    return {layer for (_, above), (layer, shape) in pairwise(dense) if above[-1] == shape[0]}


def _normalisations(source: KerasSource, rows: set[int]) -> list[str]:
    """Normalisations as wide as a layer in doubt, where no layer's channels are as many."""
    kernels = [source.specs[n].shape for n, s in source.slots.items() if s.leaf == "kernel"]
    channels = {n for shape in kernels for n in shape[-2 if len(shape) > 2 else -1 :]}
    wide = {(n,) for n in rows - channels}
    found = source.slots.items()
    return [s.layer for n, s in found if s.kind in _NORMS and source.specs[n].shape in wide]
