"""Zip archives, read strictly and written in place.

One meaning per file: wherever two honest zip readers could see different members (a name twice,
local and central header that disagree, overlaps, bytes before or after), the file is refused. A
member is a range of bytes, found from the directory alone; its name is a key and never a path.
Writing turns that round: from names and sizes alone every offset is known before the first byte.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator

from ..errors import BrokenFile, LimitExceeded, UnsupportedFile
from .archive_layout import (
    CENTRAL,
    END,
    END64,
    FULL16,
    FULL32,
    LOCAL,
    LOCATOR,
    Entry,
    Layout,
    crc_of,
    lay_out,
)
from .base import Limits
from .files import File
from .inflate import DEFLATED, STORED, Inflater, Member

__all__ = ["Archive", "Entry", "Layout", "Member", "crc_of", "lay_out"]

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_LATER = 0x0008  # sizes and CRC follow the data: the local header does not know them


class Archive:
    """The members of a zip file in directory order, each checked against its local header."""

    def __init__(self, file: File, limits: Limits) -> None:
        self.file, self.limits = file, limits
        self.members: dict[str, Member] = {}
        spans = []
        directory, entries = _find_directory(file, limits)
        for raw, start, name, size, stored, method, crc in _entries(file, directory, entries):
            if name in self.members:
                raise BrokenFile(file.path, name, "stands twice in the zip directory")
            offset = _data_offset(file, raw, start, (method, stored, size))
            self.members[name] = Member(name, offset, size, stored, method, crc)
            spans.append((start, offset + stored))
        _check_disjoint(file, spans, directory[0])
        self._check_sizes()

    def read(self, name: str, cap: int | None = None) -> bytes:
        """All bytes of a member, its CRC checked.

        Errors: KeyError without such a member; LimitExceeded above `cap` (default: json_bytes).
        """
        member = self.members[name]
        cap = self.limits.json_bytes if cap is None else cap
        if member.size > cap:
            what = f"{member.size} bytes are over the limit of {cap}"
            raise LimitExceeded(self.file.path, name, f"{what}; raise --limit json_bytes")
        if member.method == STORED:
            data = self.file.pread(member.offset, member.size, name)
        else:
            data = self.inflate(name).read(0, member.size)
        if zlib.crc32(data) != member.crc:
            raise BrokenFile(self.file.path, name, "its CRC-32 does not match: it was damaged")
        return data

    def inflate(self, name: str) -> Inflater:
        """A deflated member as a stream that can be read by position."""
        member = self.members[name]
        return Inflater(self.file, member)

    def _check_sizes(self) -> None:
        declared = sum(m.size for m in self.members.values())
        if declared > self.limits.expansion * self.file.size + 2**30:
            what = f"members inflate to {declared} bytes from a file of {self.file.size}"
            raise LimitExceeded(self.file.path, "", f"{what}; raise --limit expansion")


# -- reading ---------------------------------------------------------------------------------


def _find_directory(file: File, limits: Limits) -> tuple[tuple[int, int], int]:
    """(begin, end) of the central directory and the number of its entries."""
    at = file.size - END.size
    if at < 0:
        raise BrokenFile(file.path, "", "is too short for a zip archive; was it cut short?")
    mark, disk, first, here, entries, size, begin, comment = END.unpack(file.pread(at, END.size))
    if mark != b"PK\5\6" or comment:
        what = "no zip end record in the last 22 bytes: cut short, or bytes follow the archive"
        raise BrokenFile(file.path, "", what)
    if disk or first or here != entries:
        raise UnsupportedFile(file.path, "", "is one part of a zip archive split over files")
    end, wide = _zip64_end(file, at)
    narrow = zip((entries, size, begin), (FULL16, FULL32, FULL32), wide, strict=False)
    if any(n not in (full, w) for n, full, w in narrow):
        raise BrokenFile(file.path, "", "its two zip end records disagree")
    entries, size, begin = wide or (entries, size, begin)
    if entries > limits.members or size > limits.header_bytes:
        what = f"{entries} zip members in a directory of {size} bytes are over the limit"
        raise LimitExceeded(file.path, "", f"{what}; raise --limit members or header_bytes")
    if begin + size != end:
        what = f"its zip directory should end at byte {end}, but {begin} + {size} is {begin + size}"
        raise BrokenFile(file.path, "", f"{what}; bytes were added or removed")
    return (begin, end), entries


def _zip64_end(file: File, at: int) -> tuple[int, tuple[int, ...]]:
    """Where the directory must end, and its entries, size and offset if they are told here."""
    locator = file.pread(at - LOCATOR.size, LOCATOR.size) if at >= LOCATOR.size else b""
    if locator[:4] != b"PK\6\7":
        return at, ()
    _, disk, offset, disks = LOCATOR.unpack(locator)
    begin = at - LOCATOR.size - END64.size
    if offset != begin or disk or disks > 1:
        raise BrokenFile(file.path, "", "its zip64 end record is not where its locator says")
    record = END64.unpack(file.pread(begin, END64.size))
    mark, length, _, _, disk, first, here, entries, size, start = record
    if mark != b"PK\6\6" or length != END64.size - 12 or disk or first or here != entries:
        raise BrokenFile(file.path, "", "its zip64 end record is damaged")
    return begin, (entries, size, start)


def _entries(
    file: File, directory: tuple[int, int], entries: int
) -> Iterator[tuple[bytes, int, str, int, int, int, int]]:
    """Of each entry the raw name, header offset, name, size, stored size, method and CRC."""
    data = file.pread(directory[0], directory[1] - directory[0], "zip directory")
    at, unpack, width = 0, CENTRAL.unpack_from, CENTRAL.size
    for _ in range(entries):
        if at + width > len(data):
            raise BrokenFile(file.path, "", f"its zip directory holds less than {entries} entries")
        (mark, _, _, flags, method, _, _, crc, stored, size, n, m, k, disk, _, _, offset) = unpack(
            data, at
        )
        raw = data[at + width : at + width + n]
        extra = data[at + width + n : at + width + n + m]
        at += width + n + m + k
        if mark != b"PK\1\2" or at > len(data):
            raise BrokenFile(file.path, "", "its zip directory is damaged")
        name = _name(file, raw)
        if FULL32 in (size, stored, offset):
            size, stored, offset = _widened(file, name, extra, (size, stored, offset))
        _check_entry(file, name, (flags, method, disk), size, stored)
        yield raw, offset, name, size, stored, method, crc
    if at != len(data):
        raise BrokenFile(file.path, "", f"its zip directory holds more than {entries} entries")


def _name(file: File, raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenFile(file.path, raw, "a zip member's name is not UTF-8") from error
    if not name or "\0" in name:
        raise BrokenFile(file.path, name, "a zip member's name is empty or holds a NUL")
    return name


def _widened(file: File, name: str, extra: bytes, narrow: tuple[int, ...]) -> tuple[int, ...]:
    """Size, stored size and offset, each from the zip64 field where it did not fit."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        field = extra[at + 4 : at + 4 + length]
        if kind == 1 and length // 8 >= narrow.count(FULL32):
            words = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            return tuple(next(words, n) if n == FULL32 else n for n in narrow)
        at += 4 + length
    raise BrokenFile(file.path, name, "its size or offset needs a zip64 field, which is missing")


def _check_entry(file: File, name: str, how: tuple[int, int, int], size: int, stored: int) -> None:
    flags, method, disk = how
    if flags & _ENCRYPTED:
        raise UnsupportedFile(file.path, name, "is encrypted")
    if method not in (STORED, DEFLATED):
        raise UnsupportedFile(file.path, name, f"is compressed by method {method}, not deflate")
    if disk:
        raise UnsupportedFile(file.path, name, "lies in another part of a split zip archive")
    if size != stored if method == STORED else size > 1032 * stored:  # deflate reaches 1032 : 1
        raise BrokenFile(file.path, name, f"{size} bytes cannot come from {stored} stored ones")


def _data_offset(file: File, raw: bytes, start: int, declared: tuple[int, int, int]) -> int:
    """Where a member's data start, which only its local header tells."""
    width = LOCAL.size + len(raw)
    header = os.pread(file.fd, width, start) if start < file.size else b""
    if len(header) < width:
        raise BrokenFile(file.path, raw.decode(), f"should start at byte {start}, past the end")
    n: int
    m: int
    mark, _, flags, method, _, _, _, stored, size, n, m = LOCAL.unpack_from(header)
    if mark != b"PK\3\4" or n != len(raw) or header[LOCAL.size :] != raw:
        what = "its local zip header is missing or gives another name"
        raise BrokenFile(file.path, raw.decode(), what)
    sizes = declared[1:] if flags & _LATER else (stored, size)
    if (method, *sizes) != declared and not _is_widened((method, *sizes), declared):
        what = "its local zip header and the zip directory disagree"
        raise BrokenFile(file.path, raw.decode(), what)
    return start + width + m


def _is_widened(local: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """Sizes may stand in a zip64 field instead."""
    return all(here in (there, FULL32) for here, there in zip(local, declared, strict=True))


def _check_disjoint(file: File, spans: list[tuple[int, int]], end: int) -> None:
    """The first member starts the file, none overlaps another or the directory."""
    spans.sort()
    at = 0
    for begin, stop in spans:
        if begin < at:
            raise BrokenFile(file.path, f"byte {begin}", "two zip members overlap")
        at = stop
    first = spans[0][0] if spans else end
    if first:
        raise BrokenFile(file.path, "", f"{first} bytes stand before the zip archive")
    if at > end:
        raise BrokenFile(file.path, "", "a zip member reaches into the directory")
