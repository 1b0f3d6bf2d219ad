"""Bytes by position: exact or refused; and the one way from a name in a file to another file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Array, arrays, blocks_of, same

from weightsurgeon.errors import BrokenFile, RefusedFile
from weightsurgeon.expr import array, fresh, slices
from weightsurgeon.formats import files
from weightsurgeon.formats.base import Extent
from weightsurgeon.formats.files import File, copy_range, read_block, resolve_sibling, write_block


@given(arrays(), st.data(), st.integers(0, 70))
def test_blocks_are_written_and_read_where_they_lie(
    values: Array, data: st.DataObject, start: int
) -> None:
    spec = array(values).spec
    fd = os.memfd_create("tensor")
    try:
        os.pwrite(fd, b"x" * (start + spec.nbytes + 5), 0)
        extent = Extent(fd, start, spec.nbytes)
        write_block(extent, spec, tuple((0, n) for n in spec.shape), values)
        content = os.pread(fd, start + spec.nbytes + 5, 0)
        assert content == b"x" * start + values.tobytes() + b"x" * 5
        block = data.draw(blocks_of(spec.shape))
        found = read_block(extent, spec, block, fresh(spec, block), "x", "t")
        expected = values.copy()
        part = expected[slices(block)] if block else expected
        assert same(found, part.copy())
        write_block(extent, spec, block, np.zeros_like(found))
        part[...] = np.zeros((), values.dtype)
        assert os.pread(fd, spec.nbytes, start) == expected.tobytes()
    finally:
        os.close(fd)


def test_short_reads_and_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    preadv, pwrite, copy = os.preadv, os.pwrite, os.copy_file_range
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: preadv(fd, [views[0][:7]], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
    monkeypatch.setattr(os, "copy_file_range", lambda a, b, n, *at: copy(a, b, min(n, 9), *at))
    file = File(path)
    assert file.pread(3, 90) == bytes(range(3, 93))
    out = os.open(tmp_path / "y", os.O_RDWR | os.O_CREAT)
    files.write_all(out, memoryview(bytes(range(100))), 5)
    copy_range(Extent(file.fd, 10, 60), Extent(out, 20, 60))
    assert (tmp_path / "y").read_bytes()[5:25] == bytes(range(15)) + bytes(range(10, 15))
    assert (tmp_path / "y").read_bytes()[20:80] == bytes(range(10, 70))
    os.close(out)


def test_what_is_not_in_the_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345678")
    file = File(path)
    for offset, nbytes in ((0, 9), (8, 1), (-1, 2), (0, -1), (0, 2**62), (2**62, 1)):
        with pytest.raises(BrokenFile, match=r"are not in a file of 8 bytes"):
            file.pread(offset, nbytes, "here")
    assert file.pread(8, 0) == b""
    os.truncate(path, 3)
    with pytest.raises(BrokenFile, match=r"here: ends 5 bytes early"):
        file.pread(0, 8, "here")
    with pytest.raises(BrokenFile, match="was changed while it was read"):
        file.check_unchanged()
    file.close()
    file.close()


def test_a_range_that_ends_early_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1234")
    source = File(tmp_path / "x")
    fd = os.memfd_create("out")
    with pytest.raises(BrokenFile, match="became shorter"):
        copy_range(Extent(source.fd, 0, 9), Extent(fd, 3, 9), "w")
    os.close(fd)


# -- names that lead to other files ----------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name in ("index.json", "a.bin", "sub/b.bin"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"s")
    return folder / "index.json"


def test_a_sibling_is_found(index: Path) -> None:
    assert resolve_sibling(str(index), "a.bin") == str(index.parent / "a.bin")
    assert resolve_sibling(str(index), "sub/b.bin") == str(index.parent / "sub/b.bin")
    (index.parent / "link").symlink_to("a.bin")
    assert resolve_sibling(str(index), "link") == str(index.parent / "a.bin")


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "sub/../a.bin", "./a.bin", "", "a\0b", "a\nb", "sub\\b", "c:a.bin",
     "sub//b.bin", "file://a", "..", "x" * 1025, "\ud800"],
    ids=repr,
)  # fmt: skip
def test_no_plain_name(index: Path, name: str) -> None:
    with pytest.raises(RefusedFile, match="is no plain relative file name"):
        resolve_sibling(str(index), name)


def test_links_that_lead_out_are_refused(index: Path) -> None:
    (index.parent / "out").symlink_to("../secret")
    (index.parent / "up").symlink_to("..")
    for name in ("out", "up/secret"):
        with pytest.raises(RefusedFile, match="leads out of the checkpoint's folder"):
            resolve_sibling(str(index), name)
    with pytest.raises(BrokenFile, match="no such file beside it"):
        resolve_sibling(str(index), "gone.bin")
    twin = index.parent.with_name("model-evil")
    twin.mkdir()
    (twin / "a.bin").write_bytes(b"e")
    (index.parent / "evil").symlink_to("../model-evil/a.bin")
    with pytest.raises(RefusedFile, match="leads out"):
        resolve_sibling(str(index), "evil")


def test_a_cached_repository_keeps_working(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot, blobs = repository / "snapshots" / "rev", repository / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    (blobs / "hash").write_bytes(b"x")
    for name in ("index.json", "a.bin"):
        (snapshot / name).symlink_to("../../blobs/hash")
    assert resolve_sibling(str(snapshot / "index.json"), "a.bin") == str(blobs / "hash")
    (tmp_path / "secret").write_bytes(b"s")
    (snapshot / "b.bin").symlink_to("../../../secret")
    with pytest.raises(RefusedFile, match="leads out"):
        resolve_sibling(str(snapshot / "index.json"), "b.bin")
    plain = tmp_path / "plain.json"
    plain.symlink_to(snapshot / "index.json")  # beside its target, too
    (blobs / "c.bin").write_bytes(b"c")
    assert resolve_sibling(str(plain), "c.bin") == str(blobs / "c.bin")
