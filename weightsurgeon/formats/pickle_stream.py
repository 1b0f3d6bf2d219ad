"""Pickles that stand in a row in a file: where each ends, found without interpreting it.

Only its last opcode ends a pickle, and what follows the last one may be gigabytes of weights. So
opcodes are followed by their widths alone, through one small piece of the file after another.
"""

from __future__ import annotations

import re

from ..errors import BrokenFile, LimitExceeded
from .files import File

PIECE = 2**16  # bytes looked at at once; no more than that is read behind a pickle

# bytes of an opcode and its argument: the opcodes
_FIXED = {
    1: b"()0NQR]abestu}\x81\x85\x86\x87\x88\x89\x8f\x93\x94",
    2: b"Khq\x80",
    3: b"M",
    5: b"Jjr",
    9: b"G\x95",
}
# bytes of the count that stands before an argument: the opcodes
_COUNTED = {1: b"CU\x8a\x8c", 4: b"BX", 8: b"\x8d\x8e"}

_WIDTHS = [next((n for n, row in _FIXED.items() if code in row), 0) for code in range(256)]
_COUNTS = [next((n for n, row in _COUNTED.items() if code in row), 0) for code in range(256)]
_NAMES = re.compile(rb"[^\n]*\n[^\n]*\n")  # of a global: the module and what it holds


def read_pickle(file: File, start: int, limit: int, where: str = "") -> bytes:
    """The bytes of the pickle that starts here, up to its STOP.

    An opcode that is never interpreted ends it as well: there the interpreter will refuse it.

    Errors: BrokenFile where the file ends first; LimitExceeded where it goes on past byte `limit`.
    """
    at, walked, ended = start, 1, False
    while walked and not ended and at <= limit and at < file.size:
        walked, ended = _walk(file.pread(at, min(PIECE, file.size - at), where))
        at += walked
    if limit < at <= file.size:
        what = f"is not over at byte {limit}, the limit; raise --limit json_bytes"
        raise LimitExceeded(file.path, where, what)
    if not ended:
        what = f"is a pickle without an end, from byte {start} on; was the file cut short?"
        raise BrokenFile(file.path, where, what)
    return file.pread(start, at - start, where)


def _walk(piece: bytes) -> tuple[int, bool]:
    """Where the opcodes lead to that can be told from this piece, and whether that is the end."""
    at, size, widths = 0, len(piece), _WIDTHS
    while at < size:
        code = piece[at]
        if widths[code]:
            at += widths[code]
        elif _COUNTS[code]:
            start = at + 1 + _COUNTS[code]
            if start > size:
                break
            at = start + int.from_bytes(piece[at + 1 : start], "little")
        elif code == ord("c"):
            names = _NAMES.match(piece, at + 1)
            if names is None:
                break
            at = names.end()
        else:
            return at + 1, True
    return at, False
