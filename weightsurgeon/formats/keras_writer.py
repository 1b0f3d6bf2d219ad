"""The layout of a Keras weights file, as a template of the family gives it.

A template tells paths, names and order, never values; its optimizer is left out. One layout can be
had from the other where the template has a config: it says which number a variable has, and which
variables train.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import OutputError, shown
from ..spec import TensorSpec, dtype_of
from .base import Order
from .hdf5_layout import Skeleton, Text, lay_out
from .keras_names import STATISTICS, variables
from .keras_source import NOTE, KerasSource, listed, root_of, specs_of

LEGACY = "keras-h5"


class _Tree(NamedTuple):
    """What a file of one layout consists of."""

    paths: Mapping[str, str]  # name → path
    attributes: dict[str, dict[str, Text]]
    links: Mapping[str, str]  # path → path of the same values


def note_of(order: Order) -> bytes | None:
    """Our metadata as bytes."""
    if not order.metadata:
        return None
    return json.dumps(dict(order.metadata), sort_keys=True, separators=(",", ":")).encode()


def weights_layout(path: str, order: Order, note: bytes | None) -> Skeleton:
    """The layout with numbered variables."""
    template = _template(path, order)
    legacy = template.container == LEGACY
    tree = _numbered(path, template) if legacy else _as_numbered(template)
    return _laid_out(path, order, tree, note)


def legacy_layout(path: str, order: Order, note: bytes | None) -> Skeleton:
    """The layout with named variables in listed order."""
    template = _template(path, order)
    legacy = template.container == LEGACY
    tree = _as_listed(template) if legacy else _listed(path, template)
    return _laid_out(path, order, tree, note)


def _template(path: str, order: Order) -> KerasSource:
    if not isinstance(order.template, KerasSource):
        remedy = "give one with --template or --into, or convert from a Keras file"
        raise OutputError(f"{shown(path)}: a Keras file needs a template for its paths; {remedy}")
    _check_names(path, order, order.template)
    return order.template


def _check_names(path: str, order: Order, template: KerasSource) -> None:
    wanted, given = specs_of(template).keys(), order.specs.keys() | order.ties.keys()
    for names, what in ((given - wanted, "not in the template"), (wanted - given, "missing")):
        if names:
            some = ", ".join(shown(n, 80) for n in sorted(names)[:4])
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise OutputError(f"{shown(path)}: {some}{more}: {what}")


def _laid_out(path: str, order: Order, tree: _Tree, note: bytes | None) -> Skeleton:
    """The skeleton, its places by tensor name."""
    at = tree.paths
    datasets = {at[name]: spec for name, spec in order.specs.items()}
    links = {at[name]: at[stored] for name, stored in order.ties.items()}
    links |= {p: links.get(stored, stored) for p, stored in tree.links.items()}
    if note is not None:
        datasets[NOTE] = TensorSpec(dtype_of("uint8"), (len(note),))
    try:
        made = lay_out(datasets, links, tree.attributes)
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be laid out: {error}") from error
    pieces = made.pieces if note is None else [*made.pieces, (made.places[NOTE], note)]
    return Skeleton({n: made.places[at[n]] for n in order.specs}, pieces, made.nbytes)


# -- the same layout -------------------------------------------------------------------------


def _as_numbered(template: KerasSource) -> _Tree:
    """Paths and the `name` of every group, as they are."""
    attributes: dict[str, dict[str, Text]] = {}
    for group in template.tree.groups:
        numbered = group == "vars" or group.endswith("/vars")
        if numbered and group.partition("/")[0] != "optimizer":
            name = template.tree.attribute(group, "name")
            attributes[group] = {} if name is None else {"name": name}
    return _Tree(template.paths, attributes, template.copies)


def _as_listed(template: KerasSource) -> _Tree:
    """The lists of layers and weights, and the config, as they are."""
    tree, root = template.tree, root_of(template.tree)
    attributes: dict[str, dict[str, Text]] = {"": {}, root: {}}
    for group, texts in attributes.items():
        for key in ("keras_version", "backend", "model_config"):
            value = tree.attribute(group, key)
            if value is not None:
                texts[key] = value
    layers = listed(tree, root, "layer_names")
    attributes[root]["layer_names"] = layers
    for layer in (*layers, "top_level_model_weights"):
        group = f"{root}/{layer}" if root else layer
        if group in tree.groups:
            attributes[group] = {"weight_names": listed(tree, group, "weight_names")}
    return _Tree(template.paths, attributes, template.copies)


# -- one layout from the other ---------------------------------------------------------------


def _numbered(path: str, template: KerasSource) -> _Tree:
    """Paths from the config of a legacy file: a layer's variables in the order of its class."""
    paths, links = {}, {}
    attributes: dict[str, dict[str, Text]] = {}
    specs = specs_of(template)
    for place, layer in template.layers.items():
        group = f"{place}/vars" if place else "vars"
        own = layer.name.rpartition("/")[2]
        attributes[group] = {"name": own} if own else {}
        prefix = f"{layer.name}/" if layer.name else ""
        held = [n for n in specs if n.startswith(prefix) and "/" not in n[len(prefix) :]]
        copied = layer.kind == "SpectralNormalization"
        names = variables(layer.kind, layer.options, len(held) + copied) or ()
        for number, name in enumerate(names):
            paths[prefix + name] = f"{group}/{number}"
        if copied and names:
            links[paths.pop(f"{prefix}kernel")] = f"{place}/layer/vars/0"
    unknown = sorted(specs.keys() - paths.keys())
    if unknown:
        what = f"the template does not tell where {shown(unknown[0])} goes"
        raise OutputError(f"{shown(path)}: {what}; give a .keras or .weights.h5 as template")
    return _Tree(paths, attributes, links)


def _listed(path: str, template: KerasSource) -> _Tree:
    """Lists from the config: layers in its order, what trains before what does not."""
    if not template.layers:
        what = "a legacy file goes by the order of layers, which the template does not tell"
        raise OutputError(f"{shown(path)}: {what}; give a .keras file or a legacy .h5 as template")
    still = {layer.name for layer in template.layers.values() if not layer.trainable}
    groups: dict[str, list[str]] = {}
    for name in specs_of(template):
        layer = name.rpartition("/")[0]
        if not layer:
            raise OutputError(f"{shown(path)}: {shown(name)} belongs to no layer of the template")
        groups.setdefault(layer.partition("/")[0], []).append(name)
    for names in groups.values():
        names.sort(
            key=lambda n: n.rpartition("/")[0] in still or n.rpartition("/")[2] in STATISTICS
        )
    attributes: dict[str, dict[str, Text]] = {"": {"layer_names": list(groups)}}
    attributes |= {layer: {"weight_names": names} for layer, names in groups.items()}
    return _Tree({n: f"{g}/{n}" for g, names in groups.items() for n in names}, attributes, {})
