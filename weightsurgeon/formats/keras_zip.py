"""Keras `.keras`: a zip of the config, metadata and one weights file.

The config is read as data and names every layer, its class and its options; the weights file is
read in place where it is stored, from an unlinked temporary file where it is deflated.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from ..errors import BrokenFile, FormatError, OutputError, UnsupportedFile, shown
from .archive import Archive, Entry, crc_of, lay_out
from .base import Carries, Limits, Order, Source
from .files import File, write_all
from .hdf5 import Hdf5, Window
from .inflate import STORED
from .keras_config import layers_of, parse
from .keras_source import KerasSource, strings
from .keras_weights import CARRIES as _WEIGHTS
from .keras_weights import entries

if TYPE_CHECKING:
    from .file_sink import FileSink

CARRIES = Carries(_WEIGHTS.dtypes, ties=True, templates=("keras",))
CONFIG, WEIGHTS, NOTE = "config.json", "model.weights.h5", "weightsurgeon.json"
_FIRST = {b"metadata.json", b"config.json", b"model.weights.h5"}
_PIECE = 2**20


def sniff(head: bytes, file: File) -> bool:
    """A zip that starts with a member of ours, or whose directory holds a config and weights."""
    if not head.startswith(b"PK\3\4"):
        return False
    length = int.from_bytes(head[26:28], "little")
    if head[30 : 30 + length] in _FIRST:
        return True
    try:
        members = Archive(file, Limits()).members
    except FormatError:
        return False
    return CONFIG in members and any(name.startswith("model.weights.") for name in members)


class KerasArchive(KerasSource):
    """An open `.keras` file: a Keras source that knows the members beside its weights."""

    archive: Archive


def open(file: File, limits: Limits) -> Source:
    """Read the directory, the config and the tree of the weights."""
    archive = Archive(file, limits)
    _check_members(archive)
    window = _window(archive)
    tree = Hdf5(window, file.path, limits)
    config = parse(archive.read(CONFIG), file.path, CONFIG, limits)
    source = KerasArchive("keras", file, tree, layers_of(config, file.path, limits))
    source.archive, source.config = archive, config
    source.fill(entries(source))
    if NOTE in archive.members:
        source.metadata = strings(archive.read(NOTE), file.path, NOTE, limits)
    return source


def _check_members(archive: Archive) -> None:
    path, names = archive.file.path, archive.members
    weights = [n for n in names if n.startswith("model.weights.") or n == "model.weights"]
    if CONFIG not in names:
        raise BrokenFile(path, CONFIG, "is not in this zip, so it is no Keras file")
    if len(weights) > 1:
        raise BrokenFile(path, ", ".join(weights), "several members of weights: which one counts?")
    if not weights:
        raise BrokenFile(path, WEIGHTS, "is not in this zip: there are no weights")
    if weights != [WEIGHTS]:
        raise UnsupportedFile(path, weights[0], f"only {WEIGHTS} is read")


class _Inflated(Window):
    """A window on a file without a name, which goes when the window is closed."""

    def __init__(self, size: int) -> None:
        import tempfile

        with tempfile.TemporaryFile() as file:
            super().__init__(os.dup(file.fileno()), 0, size)

    def close(self) -> None:
        """Give the file back."""
        if not self.closed:
            os.close(self.fd)
        super().close()


def _window(archive: Archive) -> Window:
    member = archive.members[WEIGHTS]
    if member.method == STORED:
        return Window(archive.file.fd, member.offset, member.size)
    window, stream = _Inflated(member.size), archive.inflate(WEIGHTS)
    for at in range(0, member.size, _PIECE):
        data = stream.read(at, min(_PIECE, member.size - at))
        write_all(window.fd, memoryview(data), at)
    return window


# -- writing ---------------------------------------------------------------------------------


def create(path: str, order: Order) -> FileSink:
    """Lay out the zip: the template's members as they are, its weights anew."""
    from .file_sink import FileSink
    from .keras_writer import note_of, weights_layout

    template = order.template
    if not isinstance(template, KerasArchive):
        what = "a .keras file needs the config of one: --template or --into model.keras"
        raise OutputError(f"{shown(path)}: {what}")
    _check_shapes(path, order, template)
    weights = weights_layout(path, order, None)
    small = {
        n: template.archive.read(n) for n in template.archive.members if n not in (WEIGHTS, NOTE)
    }
    note = note_of(order)
    if note is not None:
        small[NOTE] = note
    archive = [Entry(name, len(data)) for name, data in small.items()]
    layout = lay_out([*archive, Entry(WEIGHTS, weights.nbytes, align=64)])
    start = layout.places[WEIGHTS]
    pieces = [(layout.places[name], data) for name, data in small.items()]
    pieces += [(start + offset, data) for offset, data in weights.pieces]

    def seal(fd: int) -> None:
        crcs = {name: zlib.crc32(data) for name, data in small.items()}
        crcs[WEIGHTS] = crc_of(fd, start, weights.nbytes)
        for offset, data in layout.headers(crcs):
            write_all(fd, memoryview(data), offset)

    places = {name: start + offset for name, offset in weights.places.items()}
    return FileSink(path, order.specs, places, pieces, layout.nbytes, seal)


def _check_shapes(path: str, order: Order, template: KerasSource) -> None:
    """The config is carried over, so the shapes it builds are fixed."""
    for name, spec in order.specs.items():
        wanted = template.specs.get(name)
        if wanted is not None and wanted.shape != spec.shape:
            what = f"{shown(name)} is {spec}, the template's config builds {wanted}"
            raise OutputError(
                f"{shown(path)}: {what}; write a .weights.h5, or give another template"
            )
