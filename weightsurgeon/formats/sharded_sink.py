"""A set of shards that becomes the checkpoint in one moment: when its index is renamed.

The new index and a copy of the old one are written first, beside their place, and so tell the next
run what a killed one may have left. Every shard is whole before it gets its name; no shard takes
the name of one that the published index uses, so that the old set stays whole until the new index
replaces the old. Only then goes what only the old index named.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, shown
from ..expr import Block
from ..spec import TensorSpec
from .base import OURS, Extent, Order, Shape, Sink
from .commit import AtomicFile, output_error, remove_dead, sync_folder
from .file_sink import FileSink
from .files import write_all
from .safetensors_layout import create_file
from .shard_index import SUFFIX, divided, encoded, named, shard_name, stem_of

if TYPE_CHECKING:
    from ..expr import Array


def create_shards(path: str, order: Order) -> Sink:
    """Shards of the order's size and their index; one file where one shard holds all."""
    shards = divided(order.specs, order.shard_bytes) if order.shard_bytes else [list(order.specs)]
    stem = Path(stem_of(path))
    folder = Folder(stem)
    try:
        return ShardedSink(folder, order, shards)
    except BaseException:
        folder.close()
        raise


class Folder:
    """The folder of a set, locked for one writer, rid of what killed ones left behind.

    Errors: OutputError where another writer is at work in it.
    """

    def __init__(self, stem: Path) -> None:
        self.path, self.stem = stem.parent, stem.name
        self.index = self.path / f"{self.stem}{SUFFIX}.index.json"
        self.single = self.path / f"{self.stem}{SUFFIX}"
        self.made = not self.path.exists()
        try:
            self.path.mkdir(exist_ok=True)  # a set has a folder of its own, if it is one level new
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise output_error(self.path, error) from error
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise OutputError(f"{shown(self.path)}: another writer is at work in it") from error
        self.old = self.index.read_bytes() if self.index.is_file() else b""
        self._sweep()

    def _sweep(self) -> None:
        """Remove shards that only an unpublished index names, and all dead temporaries."""
        stale = re.escape(f".{self.stem}") + r"(-[0-9]+-of-[0-9]+(-[0-9a-f]{8})?)?"
        ours = re.compile(stale + r"\.safetensors(\.index\.json)?\.[0-9]+\.[0-9a-f]{8}\.tmp")
        kept = named(self.old, self.stem)
        for path in [p for p in self.path.iterdir() if ours.fullmatch(p.name)]:
            journal = path.read_bytes() if ".index.json." in path.name else b""
            if remove_dead(path):
                self.unlink(named(journal, self.stem) - kept)

    def unlink(self, names: set[str]) -> None:
        """Remove files of this folder; one that is gone already is no matter."""
        for name in sorted(names):
            with suppress(OSError):
                (self.path / name).unlink()

    def close(self) -> None:
        """Let the next writer in; harmless when repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            if self.made:
                with suppress(OSError):  # it is not empty: the set stands in it
                    self.path.rmdir()
        self.fd = -1


class ShardedSink:
    """Writes a set of shards, or one file in the place of a set."""

    def __init__(self, folder: Folder, order: Order, shards: list[list[str]]) -> None:
        self.folder, self.old = folder, named(folder.old, folder.stem)
        self.path = str(folder.index if len(shards) > 1 else folder.single)
        self.sinks, self.published = list[FileSink](), set[str]()
        self.homes: dict[str, FileSink] = {}
        self.index: AtomicFile | None = None
        self.former: AtomicFile | None = None  # the old index once more, never published
        self._durable = True
        try:
            files = self._names(order, shards)
            if len(shards) > 1:
                self._write_index(order, shards, files)
            for names, file in zip(shards, files, strict=True):
                sink = create_file(str(folder.path / file), _part(order, names, len(shards) > 1))
                self.sinks.append(sink)
                self.homes |= dict.fromkeys(names, sink)
        except BaseException:
            self.abort()
            raise

    @property
    def durable(self) -> bool:
        """Whether `commit` waits until the disk has it."""
        return self._durable

    @durable.setter
    def durable(self, value: bool) -> None:
        self._durable = value
        for sink in self.sinks:
            sink.durable = value

    def _names(self, order: Order, shards: list[list[str]]) -> list[str]:
        """The shards' file names; all with a tag where one of them is taken."""
        stem, count = self.folder.stem, len(shards)
        if count == 1:
            return [self.folder.single.name]
        names = [shard_name(stem, i + 1, count) for i in range(count)]
        if any((self.folder.path / name).exists() for name in names):
            tag = _tag(order, shards, self.folder.old)
            names = [shard_name(stem, i + 1, count, tag) for i in range(count)]
        return names

    def _write_index(self, order: Order, shards: list[list[str]], files: list[str]) -> None:
        places = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        nbytes = sum(spec.nbytes for spec in order.specs.values())
        data = encoded(places, nbytes, order.metadata)
        self.index = _written(self.folder.index, data)
        if self.folder.old:
            self.former = _written(self.folder.index, self.folder.old)

    def write(self, name: str, block: Block, values: Array, shape: Shape | None = None) -> None:
        """Write a block of a tensor at its place in its shard."""
        self.homes[name].write(name, block, values, shape)

    def written(self, nbytes: int) -> None:
        """Now and then set the disk to work, on every shard that has something to write."""
        for sink in self.sinks:
            sink.written(nbytes)

    def extent(self, name: str) -> Extent:
        """Where the tensor's bytes lie in the unpublished shard."""
        return self.homes[name].extent(name)

    def commit(self) -> None:
        """Shards, then the index, then what only the old index named goes."""
        for sink in self.sinks:
            self.published.add(Path(sink.path).name)  # before it is: an abort may come in between
            sink.commit()
        if self.index is not None:
            self.index.commit(self._durable)
        self._retire()
        self._close()

    def _retire(self) -> None:
        """The new set stands: what only the old one needed goes."""
        self.folder.unlink(self.old - self.published)
        with suppress(OSError):
            (self.folder.index if self.index is None else self.folder.single).unlink()
        if self._durable:
            sync_folder(self.folder.path)

    def abort(self) -> None:
        """Remove what is not published; harmless after a commit.

        Where a signal came right after the commit point, the commit is brought to its end.
        """
        stands = bool(self.sinks) and (self.index or self.sinks[-1].file).published
        for sink in self.sinks:
            sink.abort()
        if self.index is not None:
            if not stands:
                self.folder.unlink(self.published)
            self.index.abort()
        if stands and self.folder.fd >= 0:
            self._retire()
        self._close()

    def _close(self) -> None:
        if self.former is not None:
            self.former.abort()
        self.folder.close()


def _written(path: Path, data: bytes) -> AtomicFile:
    """An unpublished file of these bytes: should we be killed, the next run reads there what the
    new set and the old one are made of."""
    file = AtomicFile(path, len(data))
    try:
        write_all(file.fd, memoryview(data), 0)
    except BaseException as error:
        file.abort()
        if isinstance(error, OSError):
            raise output_error(path, error) from error
        raise
    return file


def _part(order: Order, names: list[str], one_of_many: bool) -> Order:
    """What one shard is asked to be: its tensors, and the foreign strings; ours stand in the
    index, where they are not repeated."""
    if not one_of_many:
        return order
    specs: Mapping[str, TensorSpec] = {name: order.specs[name] for name in names}
    strings = {k: v for k, v in order.metadata.items() if not k.startswith(OURS)}
    align = order.align if order.align is not None and order.align[0] in specs else None
    return Order(specs, {}, strings, None, align)


def _tag(order: Order, shards: list[list[str]], old: bytes) -> str:
    """8 hex digits of what is written and of the index that it replaces."""
    run = [shards, sorted(order.metadata.items()), [str(s) for s in order.specs.values()]]
    return hashlib.sha256(repr(run).encode() + old).hexdigest()[:8]
