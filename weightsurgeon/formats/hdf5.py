"""HDF5 read without trust: what is in a file, where its dense data lie, blocks of the rest.

Links are looked at before anything is opened: only hard ones are followed, each object is visited
once, and data that would come from another file, from a plugin or in a huge chunk is refused. h5py
sees the file through our descriptor and reads headers; dense data are read past it, by position.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import BrokenFile, LimitExceeded, RefusedFile, UnsupportedFile
from ..expr import Block, block_shape, slices
from .base import Limits
from .hdf5_dataset import Dataset, inspect

if TYPE_CHECKING:
    from ..expr import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_DEPTH = 4096
_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError)


class Window(io.RawIOBase):
    """A run of bytes of an open file as a file of its own: a member of an archive in its place.

    While `heaps` is set, heaps of strings are checked on their way: libhdf5 1.14 never returns from
    one whose objects are longer than the heap.
    """

    def __init__(self, fd: int, start: int, size: int) -> None:
        self.fd, self.start, self.size, self._at = fd, start, size, 0
        self.heaps = True

    def readable(self) -> bool:
        """It is only read."""
        return True

    def seekable(self) -> bool:
        """Any position can be read."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position."""
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the window reaches."""
        view = memoryview(buffer)[: max(0, self.size - self._at)]
        got = os.preadv(self.fd, [view], self.start + self._at) if view else 0
        self._at += got
        if self.heaps and bytes(view[:4]) == b"GCOL":
            _check_heap(view)
        return got


def _check_heap(view: memoryview) -> None:
    """The objects of a global heap, as far as they were read, lie one behind the other in it.

    Source: HDF5 file format specification 3.0, III.E.
    """
    nbytes, at = int.from_bytes(view[8:16], "little"), 16
    while at + 16 <= min(nbytes, len(view)):
        number = int.from_bytes(view[at : at + 2], "little")
        length = int.from_bytes(view[at + 8 : at + 16], "little")
        # number 0 is the free rest, and its length counts its own header
        step = length if number == 0 else 16 + -(-length // 8) * 8
        if step < 16 or at + step > nbytes:
            raise ValueError(f"a heap of {nbytes} bytes holds an object of {length} at {at}")
        at += step


class Hdf5:
    """The groups and datasets of an HDF5 file, by path without a leading slash; root is "".

    links    second path of a dataset → the path under which it is in `datasets`
    remarks  what was odd but legal
    """

    def __init__(self, window: Window, path: str, limits: Limits) -> None:
        import h5py

        self.window, self.path, self.limits = window, path, limits
        self.groups: dict[str, list[str]] = {}  # path → names in it
        self.datasets: dict[str, Dataset] = {}
        self.links: dict[str, str] = {}
        self.remarks: list[str] = []
        with self._sound(""):
            self._file = h5py.File(window, "r")
            self._walk()
        self._check_sizes()

    def attribute(self, path: str, key: str) -> str | list[str] | None:
        """A text attribute of a group: one string or a list; None where there is none."""
        from h5py import AttributeManager, Group, h5a, h5g, h5t

        self.window.heaps = True
        with self._sound(f"{path}@{key}"):
            group = h5g.open(self._file.id, path.encode() or b"/")
            if not h5a.exists(group, key.encode()):
                return None
            found = h5a.open(group, key.encode())
            if prod(found.shape) == 0:
                return []
            if not isinstance(found.get_type(), h5t.TypeStringID):
                raise BrokenFile(self.path, f"{path}@{key}", "is no text")
            if found.get_storage_size() > min(self.window.size, self.limits.json_bytes):
                raise LimitExceeded(self.path, f"{path}@{key}", "is longer than json_bytes allows")
            value = AttributeManager(Group(group))[key]
            return _text(value) if found.shape == () else [_text(v) for v in value.reshape(-1)]

    def read(self, path: str, block: Block, out: Array) -> Array:
        """A block of a dataset that has no place of its own in the file: by hyperslab."""
        import h5py

        if not prod(block_shape(block)):
            return out
        self.window.heaps = False  # data may begin with any bytes
        with self._sound(path):
            dataset = h5py.Dataset(h5py.h5d.open(self._file.id, path.encode()))
            values = dataset[slices(block)]
            if values.dtype.kind == "V":
                values = values.view(out.dtype)
            out[...] = values
        return out

    def close(self) -> None:
        """Give h5py's memory back; the descriptor is not ours."""
        self._file.close()

    # -- the walk ----------------------------------------------------------------------------

    def _walk(self) -> None:
        from h5py import h5g, h5o

        root = h5g.open(self._file.id, b"/")
        seen = {h5o.get_info(root).addr: ""}
        stack, again = [("", root)], list[str]()
        while stack:
            path, group = stack.pop()
            names = self.groups[path] = self._names(path, group)
            for name in names:
                child = f"{path}/{name}" if path else name
                opened = self._visit(child, group, name.encode(), seen)
                if opened is not None:
                    stack.append((child, opened))
                elif child not in self.datasets and child not in self.links:
                    again.append(child)
        if again:
            some = ", ".join(again[:3])
            self.remarks.append(f"{len(again)} second names of groups are not followed: {some}")

    def _names(self, path: str, group: Any) -> list[str]:
        import h5py

        names = []
        if path.count("/") >= MAX_DEPTH or len(path) > self.limits.name_bytes:
            raise LimitExceeded(self.path, path[:80], f"groups are nested over {MAX_DEPTH} deep")
        for raw in group:
            name = raw.decode("utf-8")
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_HARD:
                names.append(name)
            elif kind == h5py.h5l.TYPE_SOFT:
                self.remarks.append(f"{path}/{name} is a soft link and is not followed")
            else:
                raise RefusedFile(self.path, f"{path}/{name}", "is a link into another file")
        return names

    def _visit(self, path: str, group: Any, name: bytes, seen: dict[int, str]) -> Any:
        """Take note of an object; a group that is new is returned, opened."""
        import h5py

        info = h5py.h5o.get_info(group, name)
        first = seen.setdefault(info.addr, path)
        if len(seen) > self.limits.tensors:
            what = f"more than {self.limits.tensors} objects; raise --limit tensors"
            raise LimitExceeded(self.path, "", what)
        if first != path and first in self.datasets:
            self.links[path] = first
        elif first != path:
            pass  # a group that was seen: it is read once
        elif info.type == h5py.h5o.TYPE_GROUP:
            return h5py.h5g.open(group, name)
        elif info.type == h5py.h5o.TYPE_DATASET:
            opened = h5py.h5d.open(group, name)
            size, limits = self.window.size, self.limits
            self.datasets[path] = inspect(self.path, path, opened, size, limits)
        else:
            raise UnsupportedFile(self.path, path, "is a named type, neither group nor dataset")
        return None

    def _check_sizes(self) -> None:
        declared = sum(d.spec.nbytes for d in self.datasets.values())
        if declared > self.limits.expansion * self.window.size + 2**30:
            what = f"datasets declare {declared} bytes in a file of {self.window.size}"
            raise LimitExceeded(self.path, "", f"{what}; raise --limit expansion")
        spans = [(d.offset, d.spec.nbytes, p) for p, d in self.datasets.items() if d.offset]
        end = 0
        for begin, nbytes, path in sorted(spans):
            if begin < end:
                raise BrokenFile(self.path, path, "shares bytes with another dataset")
            end = begin + nbytes

    @contextmanager
    def _sound(self, where: str) -> Iterator[None]:
        """What libhdf5 says about a damaged file comes as many kinds of exception."""
        try:
            yield
        except _ERRORS as error:
            what = f"is no sound HDF5: {type(error).__name__}: {error}"
            raise BrokenFile(self.path, where, what) from error


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def has_signature(head: bytes, pread: Any, size: int) -> bool:
    """Is this HDF5: the signature at 0, or behind a user block of 512, 1024, 2048 … bytes."""
    if head.startswith(SIGNATURE):
        return True
    at = 512
    while at + 8 <= size:
        if pread(at, 8) == SIGNATURE:
            return True
        at *= 2
    return False
