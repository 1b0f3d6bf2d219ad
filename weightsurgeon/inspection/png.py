"""Pixels as a PNG file, by the standard library: no plotting package for a picture of numbers.

The format: https://www.w3.org/TR/png-3/. The bytes depend on the zlib that compresses them; the
pixels do not.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2  # colour types


def png(pixels: Any) -> bytes:
    """A PNG of `h w` grey or `h w 3` RGB pixels, dtype uint8.

    Errors: ValueError for another shape or dtype.

    >>> import numpy as np
    >>> png(np.zeros((2, 3, 3), np.uint8))[:4]
    b'\\x89PNG'
    """
    import numpy as np

    pixels = np.ascontiguousarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ValueError(f"wants uint8 pixels `h w` or `h w 3`, not {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    kind = _RGB if pixels.ndim == 3 else _GREY
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    rows = pixels.reshape(height, -1)
    unfiltered = np.zeros((height, 1), np.uint8)  # each row says that it is stored as it is
    data = zlib.compress(np.hstack([unfiltered, rows]).tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
