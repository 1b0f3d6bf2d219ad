"""Half a file is no file: every way to fail leaves what stood there, and no litter."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from weightsurgeon.errors import Interrupted, OutputError
from weightsurgeon.formats.commit import AtomicFile


def publish(path: Path | str, content: bytes = b"new") -> None:
    file = AtomicFile(path, len(content))
    try:
        os.pwrite(file.fd, content, 0)
        file.commit()
    finally:
        file.abort()  # nothing, after a commit


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    return path


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out", 3)
    assert not (tmp_path / "out").exists()
    os.pwrite(file.fd, b"new", 0)
    file.commit()
    assert (tmp_path / "out").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_an_abort_leaves_the_old_one(old: Path) -> None:
    file = AtomicFile(old, 100)
    file.abort()
    file.abort()
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["out"]


def test_modes(tmp_path: Path, old: Path) -> None:
    mask = os.umask(0o027)
    try:
        publish(tmp_path / "fresh")
        old.chmod(0o604)
        publish(old)
    finally:
        os.umask(mask)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o640
    assert old.stat().st_mode & 0o777 == 0o604


def test_a_link_is_followed_and_stays(old: Path) -> None:
    link = old.with_name("link")
    link.symlink_to("out")
    dangling = old.with_name("dangling")
    dangling.symlink_to("later")
    for path in (link, dangling):
        publish(path)
        assert path.is_symlink()
        assert path.read_bytes() == b"new"
    assert names(old.parent) == ["dangling", "later", "link", "out"]


def test_a_hard_link_keeps_the_old_bytes(old: Path) -> None:
    other = old.with_name("other")
    other.hardlink_to(old)
    publish(old)
    assert (old.read_bytes(), other.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("name", ["é" * 127, "x" * 255, "a.[0-9]+(", "重" * 85, " "])
def test_any_name_that_a_file_may_have(tmp_path: Path, name: str) -> None:
    publish(tmp_path / name)
    assert names(tmp_path) == [name]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cache = tmp_path / "models--a--b" / "blobs"
    cache.mkdir(parents=True)
    for path, match in (
        (tmp_path / "folder", "is a folder"),
        (tmp_path / "pipe", "is no regular file"),
        (os.devnull, "is no regular file"),
        (tmp_path / "gone" / "out", "there is no folder"),
        (cache / "hash", "shared model cache"),
        (tmp_path / ("x" * 300), "File name too long"),
        (str(tmp_path / "a\0b"), "null byte"),
    ):
        with pytest.raises(OutputError, match=match) as caught:
            AtomicFile(path, 1)
        assert str(caught.value).isprintable()
    assert names(tmp_path) == ["folder", "models--a--b", "pipe"]


def stale(path: Path, suffix: str) -> Path:
    other = path.with_name(f".{path.name}.{suffix}.tmp")
    other.write_bytes(b"half")
    return other


def test_what_a_dead_writer_left_is_swept_and_nothing_else(old: Path) -> None:
    dead = stale(old, "123.0a1b2c3d")
    dead.chmod(0o400)
    living = stale(old, "124.0a1b2c3d")
    others = [stale(old, s) for s in ("123.0A1b2c3d", "x.0a1b2c3d", "1.0a1b2c3d.bak", "1.0a1b2c3")]
    others.append(stale(old.with_name("output"), "123.0a1b2c3d"))
    os.mkfifo(old.with_name(".out.9.00000000.tmp"))
    fd = os.open(living, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    publish(old)
    os.close(fd)
    left = [living, *others, old]
    assert names(old.parent) == sorted(path.name for path in left)


def test_two_writers_do_not_sweep_each_other(old: Path) -> None:
    first, second = AtomicFile(old, 3), AtomicFile(old, 3)
    os.pwrite(first.fd, b"one", 0)
    os.pwrite(second.fd, b"two", 0)
    first.commit()
    second.commit()
    assert old.read_bytes() == b"two"
    assert names(old.parent) == ["out"]


def test_a_full_disk_is_found_before_the_first_byte(old: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(OutputError, match="out: cannot be written: File too large"):
            AtomicFile(old, 2**20 + 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["out"]


SEAMS = ["posix_fallocate", "fsync", "open", "fchmod", "fstat"]


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), Interrupted(15)]
)
def test_whatever_fails_leaves_the_old_one(
    seam: str, error: BaseException, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(os, seam, fails)
    expected = OutputError if isinstance(error, OSError) else Interrupted
    with pytest.raises(expected):
        publish(old)
    monkeypatch.undo()
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["out"]


def test_a_folder_that_cannot_be_synced_is_no_failure(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, seen = os.fsync, list[int]()

    def only_files(fd: int) -> None:
        seen.append(fd)
        if len(seen) > 1:
            raise OSError(errno.EINVAL, "no")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    publish(old)
    assert len(seen) == 2
    assert old.read_bytes() == b"new"
