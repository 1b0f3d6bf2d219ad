"""torch's files from before version 1.6: five pickles in a row, then the bytes of the storages.

The pickles are a magic number, the version of the stream, facts about the machine, the object, and
the keys of the storages; of each key follow the number of elements and these. So every offset is
found by addition. The object means what it means in the later container. Never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from ..errors import BrokenFile, OutputError, UnsupportedFile, shown
from .base import Carries, Limits, Order, Source
from .files import File
from .inflate import STORED, Member
from .pickle_reader import Global, load, paused_gc
from .pickle_stream import read_pickle
from .torch_objects import GLOBALS, Storage, storage
from .torch_paths import leaves, versions
from .torch_source import WIDTHS, TorchSource

CARRIES = Carries(frozenset(), ties=True)  # nothing is written to it

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
# PROTO, perhaps FRAME, and LONG1 of the magic number
_START = re.compile(
    rb"\x80[\2-\5](\x95.{8})?\x8a\x0a" + re.escape(_MAGIC.to_bytes(10, "little")), re.DOTALL
)
_RESAVE = "load it with torch and torch.save it again"


def sniff(head: bytes, file: File) -> bool:
    """A pickle of the magic number, in any binary protocol."""
    return _START.match(head) is not None


def open(file: File, limits: Limits) -> Source:
    """Read the pickles; check storages against the file, and tensors against storages."""
    stream, storages = _Stream(file, limits), dict[str, Storage]()
    with paused_gc():
        _check_header(stream)
        begin = stream.at
        value = stream.load("object", GLOBALS, partial(_storage, file.path, storages))
        nbytes = stream.at - begin
        members = _members(stream, storages)
        # what a pickle says once it may mean many times, so the names it leads to are bounded
        named = leaves(value, 2**20 + 16 * nbytes, limits.depth, file.path)
        source = TorchSource("torch-legacy", file, members, named, limits)
        source.versions = versions(value)
        del value, named
    return source


def create(path: str, order: Order) -> NoReturn:
    """Refuse: whoever reads this container reads a later one too."""
    raise OutputError(f"{shown(path)}: torch-legacy is only read; choose .safetensors or .pt")


# -- the pickles -----------------------------------------------------------------------------


def _no_storage(pid: object) -> NoReturn:
    raise TypeError("a persistent id stands outside of the object")


class _Stream:
    """The pickles of a file, one after the other; `at` is where the next one starts."""

    def __init__(self, file: File, limits: Limits) -> None:
        self.file, self.limits, self.at = file, limits, 0

    def load(
        self,
        where: str,
        table: Mapping[str, Global] | None = None,
        persistent: Callable[[Any], Any] = _no_storage,
    ) -> Any:
        """The value of the next pickle; but for the object's, none names a global."""
        data = read_pickle(self.file, self.at, self.limits.json_bytes, where)
        self.at += len(data)
        return load(data, table or {}, persistent, self.file.path, where)


def _check_header(stream: _Stream) -> None:
    """The three pickles that say what the others are."""
    path = stream.file.path
    if stream.load("magic number") != _MAGIC:
        raise BrokenFile(path, "magic number", "is not that of torch")
    version = stream.load("version")
    if version != _VERSION:
        what = f"the stream is of version {shown(version, 40)}; {_VERSION} is read; {_RESAVE}"
        raise UnsupportedFile(path, "version", what)
    system = stream.load("system info")
    if type(system) is not dict or system.get("little_endian") is not True:
        what = f"the machine that wrote it was not little-endian; {_RESAVE}"
        raise UnsupportedFile(path, "system info", what)


def _storage(path: str, known: dict[str, Storage], pid: object) -> Storage:
    """The storage that a persistent id stands for, noted under its key."""
    if type(pid) is not tuple or len(pid) != 6:
        raise TypeError("a persistent id is no storage of six parts")
    found = storage(pid[:5])
    if pid[5] is not None:
        what = f"storage {found.key} is a part of another, as early torch had it; {_RESAVE}"
        raise UnsupportedFile(path, "object", what)
    # the first description counts: its elements are those that are counted behind the pickles
    first = known.setdefault(found.key, found)
    if _nbytes(found) != _nbytes(first):
        raise ValueError(f"storage {found.key} is of {_nbytes(first)} and {_nbytes(found)} bytes")
    return found


def _nbytes(storage: Storage) -> int:
    return storage.numel * WIDTHS[storage.dtype]


# -- the storages ----------------------------------------------------------------------------


def _members(stream: _Stream, storages: Mapping[str, Storage]) -> dict[str, Member]:
    """Where each storage lies: one behind the other, in the order of the keys."""
    keys, file, members = stream.load("storage keys"), stream.file, dict[str, Member]()
    _check_keys(file.path, keys, storages)
    at = stream.at
    for key in keys:
        name, declared = f"storage {key}", storages[key]
        numel = int.from_bytes(file.pread(at, 8, name), "little", signed=True)
        if numel != declared.numel:
            what = f"should have {declared.numel} elements, but has {numel}"
            raise BrokenFile(file.path, name, what)
        nbytes = _nbytes(declared)
        file.check_range(at + 8, nbytes, name)
        members[key] = Member(name, at + 8, nbytes, nbytes, STORED, None)
        at += 8 + nbytes
    if at != file.size:
        raise BrokenFile(file.path, "", f"{file.size - at} bytes follow the last storage")
    return members


def _check_keys(path: str, keys: object, storages: Mapping[str, Storage]) -> None:
    """Each storage of the object is listed, each once, and nothing else."""
    where = "storage keys"
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise BrokenFile(path, where, "are no list of texts")
    listed = set(keys)
    if len(listed) != len(keys):
        raise BrokenFile(path, where, "name a storage twice")
    for key in storages:
        if key not in listed:
            raise BrokenFile(path, where, f"lack {key}, which the object uses")
    for key in keys:
        if key not in storages:
            raise BrokenFile(path, where, f"name {shown(key, 80)}, which the object does not use")
