"""Reading bytes of an untrusted file: one descriptor, checked once, read by position.

`pread` and never a mapping: a file that another process truncates is a short read that can be
reported, where a mapped one is SIGBUS. No path is opened twice, so nothing can be swapped between
the check and the use.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import BrokenFile, FormatError, RefusedFile
from ..expr import Block, block_shape
from ..spec import TensorSpec
from .base import Extent

if TYPE_CHECKING:
    from pathlib import Path

    from ..expr import Array


class File:
    """A regular file, open for reading by position."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            # O_NONBLOCK: opening a FIFO must not hang
            self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise FormatError(self.path, "", _reason(error)) from error
        self._state = os.fstat(self.fd)
        if not stat.S_ISREG(self._state.st_mode):
            self.close()
            kind = "a folder" if stat.S_ISDIR(self._state.st_mode) else "no regular file"
            raise FormatError(self.path, "", f"is {kind}, not a checkpoint file")
        self.size = self._state.st_size

    def pread(self, offset: int, nbytes: int, where: object = "") -> bytes:
        """Exactly these bytes, or `BrokenFile`."""
        self.check_range(offset, nbytes, where)
        out = bytearray(nbytes)
        read_into(self.fd, memoryview(out), offset, self.path, where)
        return bytes(out)

    def check_range(self, offset: int, nbytes: int, where: object) -> None:
        """Refuse a range that does not lie in the file, before anything is allocated for it."""
        if offset < 0 or nbytes < 0 or offset + nbytes > self.size:
            what = f"bytes {offset}..{offset + nbytes} are not in a file of {self.size} bytes"
            raise BrokenFile(self.path, where, f"{what}; was it cut short?")

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if the file was written to since it was opened."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self._state.st_size, self._state.st_mtime_ns):
            raise BrokenFile(self.path, "", "was changed while it was read; run again")

    def close(self) -> None:
        """Close the descriptor; harmless when repeated."""
        fd, self.fd = self.fd, -1  # first: a signal may come in between
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            self.close()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return getattr(error, "strerror", None) or str(error)


def read_into(fd: int, view: memoryview, offset: int, path: str = "", where: object = "") -> None:
    """Fill the buffer from the file; a short file is `BrokenFile`."""
    done, wanted = 0, view.nbytes
    while done < wanted:
        try:
            got = os.preadv(fd, [view[done:]], offset + done)
        except OSError as error:
            raise FormatError(path, where, f"cannot be read: {_reason(error)}") from error
        if got == 0:
            raise BrokenFile(path, where, f"ends {wanted - done} bytes early")
        done += got


def as_bytes(values: Any) -> memoryview:
    """The bytes of a C-contiguous array of any dtype (ml_dtypes have no buffer of their own)."""
    import numpy as np

    return memoryview(values.reshape(-1).view(np.uint8))


def segments(shape: tuple[int, ...], block: Block, itemsize: int) -> tuple[int, list[int]]:
    """The byte runs of a block of a dense tensor: length of each, and their offsets in order."""
    inner = len(shape)  # axes from here on are taken whole, so they join into one run
    while inner and block[inner - 1] == (0, shape[inner - 1]):
        inner -= 1
    if inner:
        inner -= 1
    tail = prod(shape[inner + 1 :]) * itemsize
    lo, hi = block[inner] if shape else (0, 1)
    offsets, stride = [lo * tail], tail
    for axis in range(inner - 1, -1, -1):
        stride *= shape[axis + 1]
        lo_, hi_ = block[axis]
        offsets = [i * stride + rest for i in range(lo_, hi_) for rest in offsets]
    return (hi - lo) * tail, offsets


def read_block(
    extent: Extent, spec: TensorSpec, block: Block, out: Array, path: str, name: str
) -> Array:
    """Read a block of a dense little-endian tensor into a C-contiguous array."""
    length, offsets = segments(spec.shape, block, spec.dtype.itemsize)
    if not prod(block_shape(block)):
        return out
    view, preadv, at = as_bytes(out), os.preadv, 0
    try:
        for offset in offsets:  # there may be very many runs: this loop is all that they cost
            run = view[at : at + length]
            if preadv(extent.fd, (run,), extent.offset + offset) != length:
                read_into(extent.fd, run, extent.offset + offset, path, name)
            at += length
    except OSError as error:
        raise FormatError(path, name, f"cannot be read: {_reason(error)}") from error
    return out


def write_block(extent: Extent, spec: TensorSpec, block: Block, values: Array) -> None:
    """Write a C-contiguous block of a tensor to its place in a file."""
    if not values.size:
        return
    length, offsets = segments(spec.shape, block, spec.dtype.itemsize)
    view, pwrite, at = as_bytes(values), os.pwrite, 0
    for offset in offsets:
        run = view[at : at + length]
        if length > PIECE or pwrite(extent.fd, run, extent.offset + offset) != length:
            write_all(extent.fd, run, extent.offset + offset)
        at += length


PIECE = 2**20  # larger pwrites were now and then stalled by the kernel, cause unknown


def write_all(fd: int, view: memoryview, offset: int) -> None:
    """Write the whole buffer at a position, in pieces."""
    done = 0
    while done < view.nbytes:
        done += os.pwrite(fd, view[done : done + PIECE], offset + done)


PAGES = 65536  # the kernel copies steps of 16 pages: every step shall start on such a boundary
FLUSH = 8 * 2**20  # written so far, then the disk is set to work: fsync finds little left to do


def copy_range(source: Extent, target: Extent, path: str = "") -> None:
    """Copy raw bytes from file to file inside the kernel, where it can."""
    done = 0
    first = -target.offset % PAGES
    while done < source.nbytes:
        step = min(first or 2**30, source.nbytes - done)
        got = _copy_some(source.fd, target.fd, step, source.offset + done, target.offset + done)
        if got == 0:
            raise BrokenFile(path, "", "became shorter while it was copied")
        done, first = done + got, max(0, first - got)


def start_writeback(fd: int, offset: int = 0, nbytes: int = 0) -> None:
    """Ask the kernel to write dirty pages to disk now (0 bytes: to the end), without waiting.

    The disk works while we compute, so a durable output costs hardly more than one in the cache.
    A hint: where the call is missing or fails, fsync does all of it later.
    """
    call = _sync_file_range()
    if call is not None:
        call(fd, offset, nbytes, 2)  # SYNC_FILE_RANGE_WRITE


@lru_cache
def _sync_file_range() -> Any:
    import ctypes

    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


def _copy_some(src: int, dst: int, count: int, src_offset: int, dst_offset: int) -> int:
    try:
        return os.copy_file_range(src, dst, count, src_offset, dst_offset)
    except OSError as error:
        import errno

        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return os.pwrite(dst, os.pread(src, min(count, PIECE), src_offset), dst_offset)


def resolve_sibling(path: str, name: str) -> str:
    """The path of a file that a file names, or `RefusedFile`: only below its own folder.

    Links are followed as far as the Hugging Face cache needs it: the real path must lie under the
    real folder of `path`, under the folder of `path`'s target, or in the `blobs` of the same
    cached repository.
    """
    if not _plain(name):
        raise RefusedFile(path, name, "is no plain relative file name; nothing else is opened")
    from pathlib import Path

    folder, target = (
        Path(os.path.normpath(Path(path).absolute())).parent,
        Path(path).resolve().parent,
    )
    roots = [folder.resolve(), target, *_blobs(folder)]
    for base in dict.fromkeys((folder, target)):
        if os.path.lexists(base / name):
            real = (base / name).resolve()
            if any(real.is_relative_to(root) for root in roots):
                return str(real)
            raise RefusedFile(path, name, "leads out of the checkpoint's folder")
    raise BrokenFile(path, name, "is named here, but there is no such file beside it")


def _plain(name: str) -> bool:
    parts = name.split("/")
    ordinary = all(p not in ("", ".", "..") for p in parts)
    legal = name.isprintable() and "\\" not in name and ":" not in name
    return ordinary and legal and len(name.encode("utf-8", "replace")) <= 1024


def _blobs(folder: Path) -> list[Path]:
    """The blob store of the cached repository whose snapshot folder this is, if it is one."""
    for snapshots in (folder, *folder.parents):
        repository = snapshots.parent
        if snapshots.name == "snapshots" and repository.name.startswith("models--"):
            return [(repository / "blobs").resolve()]
    return []
