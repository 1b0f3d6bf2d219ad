"""Pickles in a row: each ends where pickle says, however the file is cut into pieces."""

from __future__ import annotations

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import BrokenFile, LimitExceeded
from weightsurgeon.formats import pickle_stream
from weightsurgeon.formats.files import File
from weightsurgeon.formats.pickle_opcodes import ROWS, _refuse


def test_the_widths_of_opcodes_are_those_of_pickle() -> None:
    """For each opcode that is interpreted; the counted ones, names and STOP have no width."""
    known = {code for code, row in enumerate(ROWS) if row is not _refuse} | set(b"KXhr(t")
    counts = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4U: 4,
              pickletools.TAKEN_FROM_ARGUMENT8U: 8}  # fmt: skip
    for row in pickletools.opcodes:
        code, size = ord(row.code), row.arg.n if row.arg else 0
        named = code not in known or row.name in ("STOP", "GLOBAL")
        assert pickle_stream._COUNTS[code] == (0 if named else counts.get(size, 0))
        assert pickle_stream._WIDTHS[code] == (1 + size if not named and size >= 0 else 0)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(st.lists(st.tuples(plain, st.sampled_from([2, 3, 4, 5])), min_size=1), st.binary())
def test_pickles_in_a_row_are_told_apart(values: list[tuple[Any, int]], rest: bytes) -> None:
    pickles = [pickle.dumps(value, protocol) for value, protocol in values]
    descriptor = os.memfd_create("stream")
    os.write(descriptor, b"".join(pickles) + rest)
    file, start = File(f"/proc/self/fd/{descriptor}"), 0
    os.close(descriptor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickle_stream, "PIECE", 64)  # so that each opcode meets the end of a piece
        for expected in pickles:
            assert pickle_stream.read_pickle(file, start, 2**20) == expected
            start += len(expected)
    file.close()


def test_names_of_globals_are_followed_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x02c.\n.\nctorch\nSize\n\x85R.N.")
    found = pickle_stream.read_pickle(File(tmp_path / "x"), 0, 100)
    assert found == b"\x80\x02c.\n.\nctorch\nSize\n\x85R."


def test_a_pickle_may_end_at_the_limit(tmp_path: Path) -> None:
    data = b"\x80\x02N0N."
    (tmp_path / "x").write_bytes(data + b"more")
    assert pickle_stream.read_pickle(File(tmp_path / "x"), 0, len(data)) == data
    for limit in range(len(data)):
        with pytest.raises(LimitExceeded, match=f"there: is not over at byte {limit}, the limit"):
            pickle_stream.read_pickle(File(tmp_path / "x"), 0, limit, "there")


@pytest.mark.parametrize("data", [b"\x80\x02N", b"\x80\x02X\xff", b"\x80\x02X\xff\0\0\0.", b"\x80"])
def test_a_pickle_without_an_end_is_broken(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"." + data)
    with pytest.raises(BrokenFile, match="without an end, from byte 1 on; was the file cut short"):
        pickle_stream.read_pickle(File(tmp_path / "x"), 1, 2**20)


def test_no_more_than_a_piece_is_read_behind_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"N0" * 2**19)
    file, taken = File(tmp_path / "x"), []
    real = file.pread

    def pread(offset: int, nbytes: int, where: object = "") -> bytes:
        taken.append(nbytes)
        return real(offset, nbytes, where)

    monkeypatch.setattr(file, "pread", pread)
    with pytest.raises(LimitExceeded):
        pickle_stream.read_pickle(file, 0, 1000)
    assert taken == [pickle_stream.PIECE]
