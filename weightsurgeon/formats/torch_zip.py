"""torch's `.pt`: a zip archive of a pickle that describes tensors and of one member a storage.

Read and written without torch, and without running anything that a file asks for. Of a written
file every offset is known before the first byte; CRCs are taken by reading back what was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

from ..errors import BrokenFile, FormatError, LimitExceeded, OutputError, UnsupportedFile, shown
from .archive import Archive, Entry, Layout, Member, crc_of, lay_out
from .archive_layout import fast_crc32
from .base import Carries, Limits, Order, Source
from .commit import output_error
from .file_sink import FileSink
from .files import File, write_all
from .json_data import loads
from .pickle_reader import Ordered, load, paused_gc
from .pickle_writer import dumps
from .torch_objects import GLOBALS, STORAGES, UNTYPED, Storage, Tensor, storage
from .torch_paths import leaves, versions
from .torch_source import TorchSource

CARRIES = Carries(frozenset((*STORAGES.values(), *UNTYPED)), ties=True)

_ROOT = "archive"
_METADATA = "weightsurgeon.json"
_ALIGN = 64  # as torch does; it maps storages into memory
_PICKLE = re.compile(r"[^/]+/data\.pkl")


def sniff(head: bytes, file: File) -> bool:
    """A zip with `<root>/data.pkl`; also the tar files of the first torch, refused by name."""
    if head[257:262] == b"ustar":
        return True
    if not head.startswith(b"PK\3\4"):
        return False
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first.endswith(b"/data.pkl"):  # torch writes it first
        return True
    try:
        members = Archive(file, Limits()).members
    except FormatError:
        return False
    return any(_PICKLE.fullmatch(name) for name in members)


# -- reading ---------------------------------------------------------------------------------


def open(file: File, limits: Limits) -> Source:
    """Read the directory and the pickle; check every tensor against its storage."""
    _refuse_tar(file)
    with paused_gc():
        archive = Archive(file, limits)
        root = _root_of(archive)
        pickled = f"{root}/data.pkl"
        _check_ratio(archive, pickled)
        data = archive.read(pickled)
        value = load(data, GLOBALS, storage, file.path, "data.pkl")
        # what a pickle says once it may mean many times, so the names it leads to are bounded
        named = leaves(value, 2**20 + 16 * len(data), limits.depth, file.path)
        members = _storages(archive, f"{root}/data/")
        swapped = _is_swapped(archive, root)
        source = TorchSource("torch", file, members, named, limits, swapped)
        source.versions = versions(value)
        del value, named
    source.metadata = _strings(archive, f"{root}/{_METADATA}")
    return source


def _refuse_tar(file: File) -> None:
    if file.pread(0, min(512, file.size))[257:262] == b"ustar":
        resave = "load it with torch and torch.save its state_dict() again"
        raise UnsupportedFile(file.path, "", f"is a tar file, as of torch before 0.1.11; {resave}")


def _root_of(archive: Archive) -> str:
    """The folder that everything lies in."""
    path = archive.file.path
    roots = {name.partition("/")[0] for name in archive.members}
    if len(roots) != 1:
        raise BrokenFile(path, "", f"its members lie in {len(roots)} folders instead of one")
    (root,) = roots
    if f"{root}/constants.pkl" in archive.members:
        what = "is a TorchScript program; torch.save its state_dict() instead"
        raise UnsupportedFile(path, "", what)
    if f"{root}/data.pkl" not in archive.members:
        raise BrokenFile(path, "", "holds no data.pkl")
    return root


def _storages(archive: Archive, folder: str) -> dict[str, Member]:
    """The members that hold storages, by the keys of these."""
    start, found = len(folder), archive.members.items()
    return {name[start:]: member for name, member in found if name.startswith(folder)}


def _check_ratio(archive: Archive, name: str) -> None:
    """A pickle becomes many times its size in memory, so a deflated one may not be a bomb."""
    member = archive.members[name]
    if member.size > 2**22 + 32 * member.stored:
        what = f"inflates from {member.stored} to {member.size} bytes, more than pickles do"
        raise LimitExceeded(archive.file.path, name, what)


def _is_swapped(archive: Archive, root: str) -> bool:
    name = f"{root}/byteorder"
    order = archive.read(name, cap=64) if name in archive.members else b"little"
    if order not in (b"little", b"big"):
        raise BrokenFile(archive.file.path, name, "is neither little nor big")
    return order == b"big"


def _strings(archive: Archive, name: str) -> dict[str, str]:
    if name not in archive.members:
        return {}
    path = archive.file.path
    found = loads(archive.read(name), path, name, archive.limits)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise BrokenFile(path, name, "is not a map of strings")
    return found


# -- writing ---------------------------------------------------------------------------------


def create(path: str, order: Order) -> FileSink:
    """Lay out the archive: the pickle, then the storages in the order of the tensors."""
    _check_dtypes(path, order)
    fixed = {"data.pkl": dumps(_described(order)), "byteorder": b"little"}
    if order.metadata:
        text = json.dumps(dict(order.metadata), sort_keys=True, separators=(",", ":"))
        fixed[_METADATA] = text.encode()
    storages = [_entry(i, name, order) for i, name in enumerate(order.specs)]
    heads = [Entry(f"{_ROOT}/{name}", len(data)) for name, data in fixed.items()]
    fixed["version"] = b"3\n"
    layout = lay_out([*heads, *storages, Entry(f"{_ROOT}/version", 2)])
    members = {f"{_ROOT}/{name}": data for name, data in fixed.items()}
    places = {n: layout.places[e.name] for n, e in zip(order.specs, storages, strict=True)}
    pieces = [(layout.places[name], data) for name, data in members.items()]
    crcs = {name: fast_crc32()(data, 0) for name, data in members.items()}

    def seal(fd: int) -> None:
        _seal(path, fd, layout, storages, crcs)

    return FileSink(path, order.specs, places, pieces, layout.nbytes, seal)


def _check_dtypes(path: str, order: Order) -> None:
    bad = [name for name, spec in order.specs.items() if spec.dtype.name not in CARRIES.dtypes]
    if bad:
        kinds = ", ".join(sorted({order.specs[name].dtype.name for name in bad}))
        names = ", ".join(shown(name, 60) for name in bad[:5]) + (" …" if len(bad) > 5 else "")
        raise OutputError(f"{shown(path)}: a .pt file cannot hold {kinds}: {names}")


def _described(order: Order) -> dict[str, Tensor]:
    """The state dict with a record for each tensor; tied ones share their storage."""
    records = {name: _record(str(i), order, name) for i, name in enumerate(order.specs)}
    records |= {name: records[stored] for name, stored in order.ties.items()}
    versions = getattr(order.template, "versions", None)
    if not versions:
        return records
    found = Ordered(records)
    found.state = {"_metadata": Ordered(versions)}
    return found


def _record(key: str, order: Order, name: str) -> Tensor:
    dtype, shape, _ = order.specs[name]
    typed = dtype.name not in UNTYPED
    numel = order.specs[name].size if typed else order.specs[name].nbytes
    kept = Storage(key, dtype.name if typed else "", numel)
    return Tensor(kept, 0, shape, _strides(shape), dtype.name)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Those of the dense tensor; an axis without entries counts as one, as torch has it."""
    sizes = accumulate((max(n, 1) for n in reversed(shape[1:])), int.__mul__, initial=1)
    return tuple(sizes)[: len(shape)][::-1]


def _entry(index: int, name: str, order: Order) -> Entry:
    member, nbytes = f"{_ROOT}/data/{index}", order.specs[name].nbytes
    if order.align and order.align[0] == name and order.align[1] % _ALIGN == 0:
        return Entry(member, nbytes, 4096, order.align[1] % 4096)
    return Entry(member, nbytes, _ALIGN)


def _seal(
    path: str, fd: int, layout: Layout, storages: Sequence[Entry], fixed: Mapping[str, int]
) -> None:
    """Take the CRCs of what was written, on two threads, and write what lies around it."""

    def crcs_of(group: Sequence[Entry]) -> list[tuple[str, int]]:
        return [(e.name, crc_of(fd, layout.places[e.name], e.nbytes)) for e in group]

    try:
        with ThreadPoolExecutor(2) as pool:
            crcs = dict(fixed)
            for found in pool.map(crcs_of, _groups(storages)):
                crcs.update(found)
        for offset, data in layout.headers(crcs):
            write_all(fd, memoryview(data), offset)
    except OSError as error:
        raise output_error(path, error) from error


def _groups(entries: Sequence[Entry], nbytes: int = 2**23) -> Iterator[list[Entry]]:
    """Neighbours whose bytes together are worth a task."""
    group: list[Entry] = []
    total = 0
    for entry in entries:
        group.append(entry)
        total += entry.nbytes + 4096
        if total >= nbytes:
            yield group
            group, total = [], 0
    yield group
