"""The layout of a zip archive that is written in place.

Names and sizes fix every offset and the size of the whole file before the first byte; members are
then written in any order, and once their CRCs are known, so are all headers. Nothing in the bytes
tells when, where or by whom they were written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from .files import read_into

# records of a zip file, in the order of their fields
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF  # "look into the zip64 record"
_UTF8 = 0x0800
_DATE = 0x0021  # 1980-01-01
_PLAIN, _WIDE = 20, 45  # the version of the zip specification a reader must know
_UNIX, _MODE = 3 << 8, 0o100644 << 16  # else unzip makes other names of those beyond ASCII
_PADDING = 0x4246  # "FB", the field that torch pads with
_BUFFER = 2**20


class Entry(NamedTuple):
    """A member to be written: its data start at a multiple of `align`, plus `phase`."""

    name: str
    nbytes: int
    align: int = 1
    phase: int = 0


class Layout(NamedTuple):
    """Where everything will be: the data of each member, and the size of the file."""

    entries: Sequence[Entry]
    starts: Mapping[str, int]  # of the local headers
    places: Mapping[str, int]
    directory: int
    nbytes: int

    def headers(self, crcs: Mapping[str, int]) -> list[tuple[int, bytes]]:
        """(offset, bytes) of all that is not a member's data."""
        pieces = [(self.starts[e.name], self._local(e, crcs[e.name])) for e in self.entries]
        directory = b"".join(self._central(e, crcs[e.name]) for e in self.entries)
        end = _end(len(self.entries), len(directory), self.directory)
        return [*pieces, (self.directory, directory + end)]

    def _local(self, entry: Entry, crc: int) -> bytes:
        raw, wide = entry.name.encode(), _wide_sizes(entry)
        size = FULL32 if wide else entry.nbytes
        extra = _field(1, struct.pack("<2Q", entry.nbytes, entry.nbytes)) if wide else b""
        gap = self.places[entry.name] - self.starts[entry.name] - LOCAL.size - len(raw)
        if gap > len(extra):
            extra += _field(_PADDING, bytes(gap - len(extra) - 4))
        version = _WIDE if wide else _PLAIN
        fixed = (b"PK\3\4", version, _UTF8, 0, 0, _DATE, crc, size, size, len(raw), len(extra))
        return LOCAL.pack(*fixed) + raw + extra

    def _central(self, entry: Entry, crc: int) -> bytes:
        raw, start = entry.name.encode(), self.starts[entry.name]
        words = [entry.nbytes, entry.nbytes] if _wide_sizes(entry) else []
        size = FULL32 if words else entry.nbytes
        if start >= FULL32:
            words.append(start)
        extra = _field(1, struct.pack(f"<{len(words)}Q", *words)) if words else b""
        version = _WIDE if words else _PLAIN
        fixed = (b"PK\1\2", _UNIX | version, version, _UTF8, 0, 0, _DATE, crc, size, size, len(raw))
        return CENTRAL.pack(*fixed, len(extra), 0, 0, 0, _MODE, min(start, FULL32)) + raw + extra


def lay_out(entries: Sequence[Entry]) -> Layout:
    """Place members one behind the other, in this order.

    >>> lay_out([Entry("a", 3), Entry("b", 5, align=64)]).places
    {'a': 31, 'b': 128}
    """
    at, directory = 0, 0
    starts, places = {}, {}
    for entry in entries:
        width = len(entry.name.encode())
        starts[entry.name] = at
        at = places[entry.name] = _data_start(entry, at + LOCAL.size + width)
        at += entry.nbytes
        words = 2 * _wide_sizes(entry) + (starts[entry.name] >= FULL32)
        directory += CENTRAL.size + width + (4 + 8 * words if words else 0)
    if len(places) != len(entries):
        raise ValueError("two members have one name")
    return Layout(
        entries, starts, places, at, at + directory + len(_end(len(entries), directory, at))
    )


def _data_start(entry: Entry, at: int) -> int:
    """Where data may begin behind a header that ends at `at` without its extra fields."""
    at += 20 if _wide_sizes(entry) else 0
    if entry.align == 1:
        return at
    return at + 4 + (entry.phase - at - 4) % entry.align


def _wide_sizes(entry: Entry) -> bool:
    return entry.nbytes >= FULL32


def _field(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def _end(entries: int, size: int, begin: int) -> bytes:
    """The end record, behind its zip64 form where a number does not fit."""
    wide = b""
    if entries >= FULL16 or size >= FULL32 or begin >= FULL32:
        numbers = (0, 0, entries, entries, size, begin)
        wide = END64.pack(b"PK\6\6", END64.size - 12, _WIDE, _WIDE, *numbers)
        wide += LOCATOR.pack(b"PK\6\7", 0, begin + size, 1)
    count = min(entries, FULL16)
    narrow = (0, 0, count, count, min(size, FULL32), min(begin, FULL32), 0)
    return wide + END.pack(b"PK\5\6", *narrow)


def crc_of(fd: int, offset: int, nbytes: int) -> int:
    """CRC-32 of bytes of a file, read back in pieces."""
    crc32, crc = fast_crc32(), 0
    buffer = memoryview(bytearray(min(_BUFFER, nbytes)))
    while nbytes:
        piece = buffer[: min(len(buffer), nbytes)]
        read_into(fd, piece, offset, "the output")
        crc = crc32(piece, crc)
        offset, nbytes = offset + len(piece), nbytes - len(piece)
    return crc


@cache
def fast_crc32() -> Callable[[bytes | memoryview, int], int]:
    """isal computes the same values several times faster, where it is installed."""
    try:
        fast: Callable[[bytes | memoryview, int], int] = import_module("isal.isal_zlib").crc32
    except ImportError:
        return zlib.crc32
    return fast
