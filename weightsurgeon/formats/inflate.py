"""A member of an archive, and a deflated one read by position in bounded memory.

Deflate can only be read forwards: reading on continues the stream, reading back starts it again.
What was inflated last is kept, so that small steps back cost nothing. A pass that reaches the end
has checked length and CRC.
"""

from __future__ import annotations

import zlib
from threading import Lock
from typing import NamedTuple

from ..errors import BrokenFile
from .files import File

STORED, DEFLATED = 0, 8
_PIECE = 2**18  # bytes of the file taken at once, and bytes inflated at once


class Member(NamedTuple):
    """A member of an archive: where its bytes lie in the file, and how."""

    name: str
    offset: int  # of its data, from the start of the file
    size: int
    stored: int  # bytes in the file
    method: int
    crc: int | None  # a container may have none


class Inflater:
    """Bytes of a deflated member by position; `BrokenFile` unless they are as it declares."""

    def __init__(self, file: File, member: Member) -> None:
        self.file, self.member = file, member
        self._lock = Lock()
        self._restart()

    def read(self, offset: int, nbytes: int) -> bytes:
        """Exactly these bytes."""
        if offset + nbytes > self.member.size:
            raise self._broken(f"bytes {offset}..{offset + nbytes} are past its end")
        with self._lock:
            if offset < self._begin:
                self._restart()
            parts = []
            while nbytes:
                part = self._kept[max(0, offset - self._begin) :][:nbytes]
                parts.append(part)
                offset, nbytes = offset + len(part), nbytes - len(part)
                if nbytes:
                    self._advance()
            return b"".join(parts)

    def _restart(self) -> None:
        self._stream = zlib.decompressobj(-15)
        self._taken = self._begin = self._crc = 0
        self._kept = b""

    def _advance(self) -> None:
        """Inflate the next piece into `_kept`."""
        self._begin, self._kept = self._begin + len(self._kept), b""
        self._kept = self._inflate(_PIECE)
        self._crc = zlib.crc32(self._kept, self._crc)
        end = self._begin + len(self._kept)
        if end > self.member.size or (end == self.member.size and self._inflate(1)):
            raise self._broken(f"inflates to more than {self.member.size} bytes")
        if end == self.member.size and self._crc != self.member.crc:
            raise self._broken("its CRC-32 does not match: it was damaged")

    def _inflate(self, most: int) -> bytes:
        """The next bytes, at most so many; none only at the stream's end."""
        while not self._stream.eof:
            given = self._stream.unconsumed_tail or self._take()
            try:
                found = self._stream.decompress(given, most)
            except zlib.error as error:
                raise self._broken(f"cannot be inflated: {error}") from error
            if found:
                return found
        if self._begin + len(self._kept) < self.member.size or self._rest():
            raise self._broken("its deflated stream ends early")
        return b""

    def _take(self) -> bytes:
        member = self.member
        count = min(_PIECE, member.stored - self._taken)
        if not count:
            raise self._broken("its deflated stream does not end")
        self._taken += count
        return self.file.pread(member.offset + self._taken - count, count, member.name)

    def _rest(self) -> int:
        return self.member.stored - self._taken + len(self._stream.unused_data)

    def _broken(self, what: str) -> BrokenFile:
        return BrokenFile(self.file.path, self.member.name, what)
