"""Legacy Keras `.h5`: variables under their own names, in the order that attributes list.

A whole model holds `model_weights` and its config as an attribute; a weights-only file has
`layer_names` at the root. `<layer>/<weight name>` is the path; the canonical name is the weight's,
with `:0` and the model's own name off and the layer's name in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import BrokenFile
from .base import Carries, Limits, Order, Source
from .files import File
from .hdf5 import Hdf5, Window, has_signature
from .keras_config import Layer, layers_of, parse
from .keras_source import (
    FAMILY,
    NOTE,
    OPTIMIZER,
    PLAIN_DTYPES,
    Entry,
    KerasSource,
    is_listed,
    listed,
    root_of,
    slot_kind,
)

if TYPE_CHECKING:
    from .file_sink import FileSink

CARRIES = Carries(PLAIN_DTYPES, ties=True, templates=FAMILY)  # bfloat16 would come back as bytes
OPTIMIZER_WEIGHTS = "optimizer_weights"


def sniff(head: bytes, file: File) -> bool:
    """HDF5 with the names of layers at the root or in `model_weights`."""
    return has_signature(head, file.pread, file.size) and is_listed(file)


def open(file: File, limits: Limits) -> Source:
    """Read the tree and the attributes that order it."""
    tree = Hdf5(Window(file.fd, 0, file.size), file.path, limits)
    layers: dict[str, Layer] = {}
    text, config = tree.attribute("", "model_config"), None
    if isinstance(text, str):
        config = parse(text.encode(), file.path, "model_config", limits)
        layers = layers_of(config, file.path, limits)
    source = KerasSource("keras-h5", file, tree, layers)
    source.config = config
    source.fill(_entries(source))
    source.read_note(limits)
    return source


def _entries(source: KerasSource) -> Iterator[Entry]:
    tree, root = source.tree, root_of(source.tree)
    taken = {NOTE}
    by_name = {layer.name: layer for layer in source.layers.values()}
    groups = [
        (name, f"{root}/{name}" if root else name) for name in listed(tree, root, "layer_names")
    ]
    top = f"{root}/top_level_model_weights" if root else "top_level_model_weights"
    if top in tree.groups:
        groups.append(("", top))
    weights = []
    for layer, group in groups:
        if group not in tree.groups:
            raise BrokenFile(source.path, group, "is listed in layer_names, but is not there")
        weights += [(layer, group, name) for name in listed(tree, group, "weight_names")]
    model = _model_name(source, [(layer, name) for layer, _, name in weights])
    for layer, group, name in weights:
        path = f"{group}/{name}"
        if path not in tree.datasets and path not in tree.links:
            raise BrokenFile(source.path, path, "is listed in weight_names, but is not there")
        taken.add(path)
        yield _entry(source, path, canonical(layer, name, model), by_name)
    for path in (*tree.datasets, *tree.links):
        if path not in taken:
            place, _, leaf = path.rpartition("/")
            kind = OPTIMIZER if path.startswith(OPTIMIZER_WEIGHTS + "/") else ""
            yield Entry(path, place, place, leaf.removesuffix(":0"), kind, {})


def _model_name(source: KerasSource, weights: list[tuple[str, str]]) -> str:
    """The name that a Sequential puts in front of all its variables, "" if it does not."""
    firsts = {name.partition("/")[0] for _, name in weights}
    behind = all(name.split("/")[1:2] == [layer] for layer, name in weights)
    return firsts.pop() if len(firsts) == 1 and behind else ""


def canonical(layer: str, weight: str, model: str = "") -> str:
    """The canonical name of a weight.

    >>> canonical("inner", "a/kernel:0"), canonical("d", "seq/d/kernel", "seq")
    ('inner/a/kernel', 'd/kernel')
    """
    name = weight.removesuffix(":0")
    if model:
        return name.removeprefix(model + "/")
    return name if not layer or name.startswith(layer + "/") else f"{layer}/{name}"


def _entry(source: KerasSource, path: str, name: str, by_name: dict[str, Layer]) -> Entry:
    layer_name, _, leaf = name.rpartition("/")
    layer = by_name.get(layer_name, Layer(layer_name, ""))
    options: dict[str, Any] = layer.options
    kind = slot_kind(layer, source.remarks)
    return Entry(path, layer_name, path.rpartition("/")[0], leaf, kind, options, layer.dtype)


# -- writing ---------------------------------------------------------------------------------


def create(path: str, order: Order) -> FileSink:
    """Lay out a legacy file as its template lists it."""
    from .file_sink import FileSink
    from .keras_writer import legacy_layout, note_of

    layout = legacy_layout(path, order, note_of(order))
    return FileSink(path, order.specs, layout.places, layout.pieces, layout.nbytes)
