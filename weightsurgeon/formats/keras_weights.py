"""Keras `.weights.h5`: variables numbered in the `vars` group of each layer's path.

The path says the class and a counter, the attribute `name` of `vars` the layer's name; which
variable a number is, only the class and its options tell. `variable.path` is rebuilt from these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..grouping import natural
from .base import Carries, Limits, Order, Source
from .files import File
from .hdf5 import Hdf5, Window, has_signature
from .keras_config import Layer
from .keras_doubt import doubt_flattened
from .keras_names import (
    ATTENTION,
    CELL_KINDS,
    CELLS,
    EQUATIONS,
    cell_of,
    guessed,
    kind_of,
    module_of,
    variables,
)
from .keras_source import (
    FAMILY,
    NOTE,
    OPTIMIZER,
    PLAIN_DTYPES,
    Entry,
    KerasSource,
    is_listed,
    slot_kind,
)

if TYPE_CHECKING:
    from .file_sink import FileSink

_OLD_ROOT = "_layer_checkpoint_dependencies"  # Keras 2.12
CARRIES = Carries(PLAIN_DTYPES | {"bfloat16"}, ties=True, templates=FAMILY)


def sniff(head: bytes, file: File) -> bool:
    """HDF5, and not the legacy layout."""
    return has_signature(head, file.pread, file.size) and not is_listed(file)


def open(file: File, limits: Limits) -> Source:
    """Read the tree; names come from its attributes and the classes in its paths."""
    tree = Hdf5(Window(file.fd, 0, file.size), file.path, limits)
    source = KerasSource("keras-weights", file, tree, {})
    source.fill(entries(source))
    source.read_note(limits)
    doubt_flattened(source)
    return source


# -- names -----------------------------------------------------------------------------------


def entries(source: KerasSource) -> Iterator[Entry]:
    """All variables: in the order of the config, then of the paths, numbers as numbers."""
    places = {_place(path): path for path in source.tree.groups if _is_vars(path)}
    order = {place: i for i, place in enumerate(source.layers)}
    names = _names(source, places)
    taken = set[str]()
    for place in sorted(places, key=lambda p: (order.get(_modern(p), len(order)), natural(p))):
        found = list(_of_layer(source, place, places[place], names))
        taken |= {entry.path for entry in found} | set(source.copies)
        yield from found
    for path in (*source.tree.datasets, *source.tree.links):
        if path not in taken and path != NOTE:
            place, _, leaf = path.rpartition("/")
            yield Entry(path, place, place, leaf, "", {})


def _is_vars(path: str) -> bool:
    return path == "vars" or path.endswith("/vars")


def _place(path: str) -> str:
    return path.removesuffix("vars").removesuffix("/")


def _modern(place: str) -> str:
    return place.replace(_OLD_ROOT, "layers")


def _names(source: KerasSource, places: Mapping[str, str]) -> dict[str, str]:
    """Place → the names of it and all above it, joined; the config's, then the place, in doubt."""
    own = {place: source.tree.attribute(path, "name") for place, path in places.items()}
    found = {"": ""}
    for place in places:
        parts = place.split("/")
        chain = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        given = [own[p] for p in chain if isinstance(own.get(p), str)]
        layer = source.layers.get(_modern(place))
        if isinstance(own[place], str) and place:
            found[place] = "/".join(str(name) for name in given)
        else:
            found[place] = layer.name if layer else place
        if layer and layer.name != found[place]:
            source.remarks.append(f"{place} is named {found[place]}, {layer.name} in the config")
    return found


def _of_layer(
    source: KerasSource, place: str, path: str, names: Mapping[str, str]
) -> Iterator[Entry]:
    """The variables of one `vars` group."""
    indices = [n for n in source.tree.groups[path] if n.isdecimal() and n.isascii()]
    paths = [f"{path}/{n}" for n in sorted(indices, key=int)]
    paths = [p for p in paths if p in source.tree.datasets or p in source.tree.links]
    if place == "optimizer" or place.startswith("optimizer/"):
        for p in paths:
            yield Entry(p, "optimizer", place, p.removeprefix("optimizer/"), OPTIMIZER, {})
        return
    if not paths:
        return
    found = _told(source, place, paths, names)
    layer, leaves = found or (Layer(names[place], ""), None)
    kind = slot_kind(layer, source.remarks) if leaves else ""
    whole = (
        leaves if leaves and _numbered(paths) else [f"vars/{p.rpartition('/')[2]}" for p in paths]
    )
    for p, leaf in zip(paths, whole, strict=True):
        if kind == "SpectralNormalization" and leaf == "kernel":
            _note_copy(source, p, place)
        else:
            yield Entry(p, names[place], place, leaf, kind, layer.options, layer.dtype)


def _numbered(paths: list[str]) -> bool:
    return [p.rpartition("/")[2] for p in paths] == [str(i) for i in range(len(paths))]


def _note_copy(source: KerasSource, path: str, place: str) -> None:
    """SpectralNormalization stores its layer's kernel twice; Keras reads the inner one last."""
    inner = source.copies[path] = f"{place}/layer/vars/0"
    if source.tree.links.get(path, path) != source.tree.links.get(inner, inner):
        source.remarks.append(f"{path} is a second copy of {inner} and is not read")


def _told(
    source: KerasSource, place: str, paths: list[str], names: Mapping[str, str]
) -> tuple[Layer, list[str]] | None:
    """Class, options and variable names, as the config or the path tells them; None in doubt."""
    layer = source.layers.get(_modern(place))
    if layer is not None:
        found = variables(layer.kind, layer.options, len(paths))
        return (layer, found) if found else None
    shapes = [source.tree.datasets[source.tree.links.get(p, p)].spec.shape for p in paths]
    kind = _class_of(source, place, names, shapes)
    reading = guessed(kind, len(paths))
    if reading is None:
        return None
    options: dict[str, Any] = {"inferred": True, **reading[1]}
    if kind == "GRUCell" and reading[1].get("use_bias"):
        options["reset_after"] = len(shapes[2]) == 2
    if kind == "EinsumDense":
        options |= EQUATIONS.get(names[place].rpartition("/")[2], {}) if _projects(place) else {}
    if kind in CELL_KINDS or _projects(place):
        outer, part = module_of(place)
        options |= {**part, "module": names[outer]} if outer in names and outer != place else {}
    unsure = "" if kind != "EinsumDense" or options.get("equation") else "its equation is not known"
    return Layer(names[place], kind, options, unsure=unsure), reading[0]


def _projects(place: str) -> bool:
    """Is this one of the layers inside an attention layer?"""
    above, _, segment = place.rpartition("/")
    return segment in ATTENTION.get(kind_of(above.rpartition("/")[2]), {})


def _class_of(
    source: KerasSource, place: str, names: Mapping[str, str], shapes: list[tuple[int, ...]]
) -> str:
    """The class that a path segment was made from, where it was made from a class."""
    above, _, segment = _modern(place).rpartition("/")
    outer, parent = above.rpartition("/")[2], kind_of(above.rpartition("/")[2])
    if _projects(place):
        return "EinsumDense"
    if segment == "cell":
        known = CELLS.get(parent, ("", ""))[0]
        return known or cell_of(names[place].rpartition("/")[2], shapes)
    counted = outer in ("layers", "cells") or (above and f"{above}/vars" not in source.tree.groups)
    return kind_of(segment) if counted else ""


# -- writing ---------------------------------------------------------------------------------


def create(path: str, order: Order) -> FileSink:
    """Lay out a weights file as its template is laid out."""
    from .file_sink import FileSink
    from .keras_writer import note_of, weights_layout

    layout = weights_layout(path, order, note_of(order))
    return FileSink(path, order.specs, layout.places, layout.pieces, layout.nbytes)
