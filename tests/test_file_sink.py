"""A sink of one file: tensors in any order, bytes around them, errors that leave nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from weightsurgeon.errors import OutputError
from weightsurgeon.formats.file_sink import FileSink
from weightsurgeon.spec import DTYPES, TensorSpec

SPECS = {
    "a": TensorSpec(DTYPES["int16"], (2, 3)),
    "b": TensorSpec(DTYPES["uint8"], ()),
    "c": TensorSpec(DTYPES["uint8"], (0,)),
}
PLACES = {"a": 4, "b": 17, "c": 18}
A = np.arange(6, dtype="i2").reshape(2, 3)


def sink(path: Path, **more: object) -> FileSink:
    return FileSink(str(path), SPECS, PLACES, [(0, b"head"), (16, b"-"), (18, b"t")], 19, **more)  # type: ignore[arg-type]


def test_every_byte_has_its_place(tmp_path: Path) -> None:
    out = sink(tmp_path / "x")
    out.write("b", (), np.array(7, "u1"))
    out.write("c", ((0, 0),), np.zeros(0, "u1"))
    out.write("a", ((3, 6),), A.reshape(6)[3:].copy(), (6,))  # seen under another shape
    out.write("a", ((0, 1), (1, 3)), A[:1, 1:].copy())
    assert out.extent("a")[1:] == (4, 12)
    out.commit()
    out.abort()
    assert (tmp_path / "x").read_bytes() == b"head" + A.tobytes() + b"-\x07t"


def test_the_seal_is_set_after_the_values(tmp_path: Path) -> None:
    out = sink(tmp_path / "x", seal=lambda fd: os.pwrite(fd, b"HEAD", 0) and None)
    out.write("a", ((0, 2), (0, 3)), A)
    out.commit()
    assert (tmp_path / "x").read_bytes()[:4] == b"HEAD"


@pytest.mark.parametrize("when", ["head", "write", "seal"])
def test_an_error_is_one_line_and_leaves_nothing(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "head":
        monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match="x: cannot be written: No space left on device"):
        _write(sink(tmp_path / "x", seal=full if when == "seal" else None), when, monkeypatch, full)
    assert list(tmp_path.iterdir()) == []


def _write(out: FileSink, when: str, monkeypatch: pytest.MonkeyPatch, full: object) -> None:
    try:
        if when == "write":
            monkeypatch.setattr(os, "pwrite", full)
        out.write("a", ((0, 2), (0, 3)), A)
        out.commit()
    finally:
        out.abort()
