"""A picture reads back as the pixels that were written."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from weightsurgeon.inspection.png import SIGNATURE, png


def read(data: bytes) -> np.ndarray:
    """Decode what our writer makes: 8 bit, unfiltered rows."""
    assert data.startswith(SIGNATURE)
    at, pixels, size = len(SIGNATURE), b"", (0, 0, 0)
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length :][:4])[0] == zlib.crc32(name + body)
        if name == b"IHDR":
            width, height, _, kind = struct.unpack(">IIBB", body[:10])
            size = (height, width, {0: 1, 2: 3}[kind])
        pixels += body if name == b"IDAT" else b""
        at += 12 + length
    height, width, channels = size
    rows = np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(height, 1 + width * channels)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(size)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (65, 65, 3)])
def test_rgb_reads_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert (read(png(pixels)) == pixels).all()


def test_grey_reads_back() -> None:
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    assert (read(png(pixels))[..., 0] == pixels).all()


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8)])
def test_other_pixels_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wants uint8 pixels"):
        png(pixels)
