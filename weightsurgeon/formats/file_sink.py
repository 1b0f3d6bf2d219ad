"""A Sink over one file in which every tensor's place is known before the first byte.

A container computes the places and the bytes around them; writing, copying and committing are the
same for all. What can only be known once the values stand (checksums) goes into `seal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..expr import Block
from ..spec import TensorSpec
from .base import Extent, Shape
from .commit import AtomicFile, output_error
from .files import FLUSH, start_writeback, write_all, write_block

if TYPE_CHECKING:
    from ..expr import Array


class FileSink:
    """Writes tensors at known offsets of a file that appears only on `commit`.

    places   name → offset of the tensor's dense little-endian bytes
    pieces   (offset, bytes) around them, written at once
    seal     called with the descriptor after the last value, before the commit
    """

    def __init__(
        self,
        path: str,
        specs: Mapping[str, TensorSpec],
        places: Mapping[str, int],
        pieces: list[tuple[int, bytes]],
        nbytes: int,
        seal: Callable[[int], None] | None = None,
    ) -> None:
        self.path, self.specs, self.places, self.seal = path, specs, places, seal
        self.durable = True
        self.unflushed = 0  # a count for a hint: threads may race on it
        self.file = AtomicFile(path, nbytes)
        try:
            for offset, data in pieces:
                write_all(self.file.fd, memoryview(data), offset)
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise output_error(path, error) from error
            raise

    def write(self, name: str, block: Block, values: Array, shape: Shape | None = None) -> None:
        """Write a block of a tensor at its place."""
        spec = self.specs[name]
        seen = spec if shape is None else spec._replace(shape=shape)
        try:
            write_block(self.extent(name), seen, block, values)
        except OSError as error:
            raise output_error(self.path, error) from error
        self.written(values.nbytes)

    def written(self, nbytes: int) -> None:
        """Now and then set the disk to work, so that the commit finds little left to do."""
        self.unflushed += nbytes
        if self.durable and self.unflushed >= FLUSH:
            self.unflushed = 0
            start_writeback(self.file.fd)

    def extent(self, name: str) -> Extent:
        """Where the tensor's bytes lie in the unpublished file."""
        return Extent(self.file.fd, self.places[name], self.specs[name].nbytes)

    def commit(self) -> None:
        """Seal, fsync where durability is wanted, rename."""
        try:
            if self.seal is not None:
                self.seal(self.file.fd)
        except OSError as error:
            raise output_error(self.path, error) from error
        self.file.commit(self.durable)

    def abort(self) -> None:
        """Remove the unpublished file."""
        self.file.abort()
