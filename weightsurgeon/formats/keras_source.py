"""An open Keras file, whichever of the three containers it is: canonical names over an HDF5 tree.

The containers differ in where a variable's name stands; they fill `entries`, this makes specs,
slots and ties of them. Dense data are read from the file by position, all else through HDF5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BrokenFile, UnsupportedFile
from ..expr import Block
from ..spec import TensorSpec
from .base import Extent, Limits, Slot, Source
from .files import File, read_block
from .graph import Graph
from .hdf5 import Hdf5, Window
from .json_data import loads
from .keras_config import Layer

if TYPE_CHECKING:
    from ..expr import Array

NOTE = "__weightsurgeon__"  # the root dataset that holds our metadata
OPTIMIZER = "Optimizer"
MODEL = "model_weights"  # the group that holds the layers of a whole legacy model
_FLOATS = ("float64", "float32", "float16")
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
PLAIN_DTYPES = frozenset((*_FLOATS, *_INTEGERS, "bool", "complex64", "complex128"))
FAMILY = ("keras", "keras-weights", "keras-h5")


class Entry(NamedTuple):
    """A variable: its place in the file, its layer's name and the layer's path, and what it is."""

    path: str
    layer: str
    place: str
    leaf: str
    kind: str
    options: Mapping[str, Any]
    dtype: str = ""  # that the layer's config states


class KerasSource(Source):
    """An open Keras file.

    paths   name → path of the dataset in the HDF5 file
    copies  path → path of the variable that is stored there a second time
    layers  path of a layer in a weights file → what the config says; empty without a config
    config  the config as it stands, None without one
    """

    def __init__(self, container: str, file: File, tree: Hdf5, layers: Mapping[str, Layer]) -> None:
        super().__init__(file.path, container, "keras")
        self.file, self.tree, self.layers = file, tree, layers
        self.config: Mapping[str, Any] | None = None
        self.paths: dict[str, str] = {}
        self.copies: dict[str, str] = {}
        self.remarks += tree.remarks

    def fill(self, entries: Iterable[Entry]) -> None:
        """Make tensors of the variables; two of one name keep their paths in the file."""
        entries = list(entries)
        counts = Counter(_name(e.layer, e.leaf) for e in entries)
        stored: dict[str, str] = {}
        for entry in entries:
            layer = entry.layer
            if counts[_name(layer, entry.leaf)] > 1:
                layer = entry.place
                self.remarks.append(f"{_name(entry.layer, entry.leaf)} stands twice: {entry.path}")
            self._add(entry, _name(layer, entry.leaf), layer, stored)

    def _add(self, entry: Entry, name: str, layer: str, stored: dict[str, str]) -> None:
        if name in self.specs:
            raise BrokenFile(self.path, entry.path, f"is a second {name}")
        place = self.tree.links.get(entry.path, entry.path)
        dataset = self.tree.datasets[place]
        if not dataset.stated and entry.dtype != "bfloat16":
            raise UnsupportedFile(
                self.path, entry.path, "holds 2 bytes an element of unknown dtype"
            )
        self.specs[name], self.paths[name] = dataset.spec, entry.path
        self.slots[name] = Slot(layer, entry.kind, entry.options, entry.leaf)
        if stored.setdefault(place, name) != name:
            self.ties[name] = stored[place]

    def read_note(self, limits: Limits) -> None:
        """Take our metadata from the root dataset, if it is there."""
        note = self.tree.datasets.get(NOTE)
        if note is not None:
            from ..expr import fresh, whole

            if note.spec.dtype.name != "uint8" or len(note.spec.shape) != 1:
                raise BrokenFile(self.path, NOTE, f"is {note.spec}, not bytes of text")
            out = self._read(NOTE, whole(note.spec), fresh(note.spec, whole(note.spec)))
            self.metadata = strings(out.tobytes(), self.path, NOTE, limits)

    def graph(self) -> Graph | None:
        """The calls of its layers, where the file has a config."""
        if self.config is None:
            return None
        from .keras_nodes import nodes_of

        return nodes_of(self.config, self.path, Limits())

    # -- values ------------------------------------------------------------------------------

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block."""
        from ..expr import fresh

        out = fresh(self.specs[name], block) if out is None else out
        return self._read(self.paths[name], block, out)

    def _read(self, path: str, block: Block, out: Array) -> Array:
        extent = self._extent(path)
        place = self.tree.links.get(path, path)
        if extent is None:
            return self.tree.read(place, block, out)
        spec = self.tree.datasets[place].spec
        return read_block(extent, spec, block, out, self.path, path)

    def extent(self, name: str) -> Extent | None:
        """Where the tensor lies, if it lies dense and little-endian in the file."""
        return self._extent(self.paths[name])

    def _extent(self, path: str) -> Extent | None:
        dataset = self.tree.datasets[self.tree.links.get(path, path)]
        if dataset.offset is None:
            return None
        window = self.tree.window
        return Extent(window.fd, window.start + dataset.offset, dataset.spec.nbytes)

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if the file was changed since it was opened."""
        self.file.check_unchanged()

    def close(self) -> None:
        """Close the file."""
        self.tree.close()
        self.tree.window.close()
        self.file.close()


def _name(layer: str, leaf: str) -> str:
    return f"{layer}/{leaf}" if layer else leaf


def slot_kind(layer: Layer, remarks: list[str]) -> str:
    """The layer's class, or "" and a remark where its axes cannot be told from its class."""
    if layer.unsure:
        remark = f"{layer.name}: {layer.unsure}; how its tensors lie is not known"
        if remark not in remarks:
            remarks.append(remark)
        return ""
    return layer.kind


def strings(data: bytes, path: str, where: str, limits: Limits) -> dict[str, str]:
    """Our metadata: one JSON object of strings."""
    found = loads(data, path, where, limits)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise BrokenFile(path, where, "is not a map of strings")
    return found


def specs_of(source: KerasSource) -> dict[str, TensorSpec]:
    """The specs of the model's own variables, the optimizer's left out."""
    return {n: s for n, s in source.specs.items() if source.slots[n].kind != OPTIMIZER}


# -- the lists of a legacy file --------------------------------------------------------------


def is_listed(file: File) -> bool:
    """Is this an HDF5 file of the legacy layout: names of layers at the root or in its model."""
    import h5py

    try:
        with h5py.File(Window(file.fd, 0, file.size), "r") as found:
            whole = found.get(MODEL, getclass=True, getlink=True) is h5py.HardLink
            names = ("layer_names", "layer_names0", "model_config")
            return whole or any(key in found.attrs for key in names)
    except (OSError, RuntimeError, KeyError, ValueError):
        return False  # damaged: whoever reads it will say how


def listed(tree: Hdf5, path: str, key: str) -> list[str]:
    """A list of names, which long ones keep in numbered pieces."""
    found = tree.attribute(path, key)
    names = [] if found is None else [found] if isinstance(found, str) else list(found)
    number = 0
    while found is None and (piece := tree.attribute(path, f"{key}{number}")) is not None:
        names += [piece] if isinstance(piece, str) else piece
        number += 1
    return names


def root_of(tree: Hdf5) -> str:
    """The group that holds the layers."""
    return MODEL if MODEL in tree.groups else ""
