"""Zip archives: what is refused, what is read, and that other readers agree on what is written."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import tempfile
import types
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attacks.build_zip import Fake, build_zip
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import BrokenFile, FormatError, LimitExceeded, UnsupportedFile
from weightsurgeon.formats import archive_layout
from weightsurgeon.formats.archive import Archive, Entry, crc_of, lay_out
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.files import File


def opened(folder: Path, data: bytes, limits: Limits | None = None) -> Archive:
    path = folder / "x.zip"
    path.write_bytes(data)
    return Archive(File(path), limits or Limits())


def written(members: Sequence[tuple[str, bytes, int]]) -> bytes:
    """An archive by our own layout, its pieces put in reverse order."""
    layout = lay_out([Entry(name, len(data), align) for name, data, align in members])
    out = bytearray(layout.nbytes)
    for name, data, _ in reversed(members):
        out[layout.places[name] : layout.places[name] + len(data)] = data
    for offset, piece in layout.headers({name: zlib.crc32(data) for name, data, _ in members}):
        out[offset : offset + len(piece)] = piece
    assert len(out) == layout.nbytes
    return bytes(out)


HONEST = [Fake("a", b"hello"), Fake("b/ü", b"x" * 1000, method=8), Fake("empty", b"")]


def test_reads_stored_deflated_and_empty_members(tmp_path: Path) -> None:
    archive = opened(tmp_path, build_zip(HONEST))
    assert list(archive.members) == ["a", "b/ü", "empty"]
    assert [archive.read(name) for name in archive.members] == [b"hello", b"x" * 1000, b""]
    member = archive.members["a"]
    assert (member.offset, member.size, member.stored, member.method) == (31, 5, 5, 0)
    assert member.crc == zlib.crc32(b"hello")


def test_reads_what_zipfile_writes(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as judge:
        judge.writestr("deflated", b"abc" * 5000)
        with judge.open("wide", "w", force_zip64=True) as member:  # as np.savez does
            member.write(b"12345")
    archive = opened(tmp_path, out.getvalue())
    assert archive.read("deflated") == b"abc" * 5000
    assert archive.read("wide") == b"12345"


def test_reads_sizes_that_follow_the_data(tmp_path: Path) -> None:
    class Stream(io.RawIOBase):
        """Not seekable, so that zipfile writes data descriptors."""

        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as judge:
        judge.writestr("a", b"hello")
    assert opened(tmp_path, stream.data).read("a") == b"hello"


ATTACKS = {
    "a name twice": (build_zip([Fake("a", b"1"), Fake("a", b"2")]), BrokenFile, "stands twice"),
    "another local name": (
        build_zip([Fake("a", b"1", local_name="b")]), BrokenFile, "another name"),
    "a longer local name": (
        build_zip([Fake("a", b"1", local_name="ab")]), BrokenFile, "another name"),
    "a member that reaches into the next": (
        build_zip([Fake("a", b"1", size=2, stored=2), Fake("b", b"1")]), BrokenFile, "overlap"),
    "a member that reaches into the directory": (
        build_zip([Fake("a", b"1", size=2, stored=2)]), BrokenFile, "into the directory"),
    "another local method": (
        build_zip([Fake("a", b"1", local_method=8)]), BrokenFile, "disagree"),
    "another local size": (build_zip([Fake("a", b"1", local_size=7)]), BrokenFile, "disagree"),
    "two members in one place": (
        build_zip([Fake("a", b"PK"), Fake("a2", b"", at=0, local_name="a")]),
        BrokenFile, "another name"),
    "a member inside another": (
        build_zip([Fake("a", build_zip([Fake("b", b"1")])), Fake("b", b"1", at=31)]),
        BrokenFile, "overlap"),
    "encrypted": (build_zip([Fake("a", b"1", flags=0x0801)]), UnsupportedFile, "encrypted"),
    "another method": (build_zip([Fake("a", b"1", method=12)]), UnsupportedFile, "method 12"),
    "another disk": (build_zip([Fake("a", b"1", disk=1)]), UnsupportedFile, "split"),
    "bytes before": (build_zip(HONEST, prefix=b"#!/bin/sh\n"), BrokenFile, "10 bytes stand before"),
    "bytes before, unknown to it": (b"#!" + build_zip(HONEST), BrokenFile, "added or removed"),
    "bytes behind": (build_zip(HONEST, suffix=b"\n"), BrokenFile, "no zip end record"),
    "a comment": (build_zip(HONEST, comment=1, suffix=b"x"), BrokenFile, "no zip end record"),
    "more entries than there are": (build_zip(HONEST, count=4), BrokenFile, "less than 4"),
    "fewer entries than there are": (build_zip(HONEST, count=2), BrokenFile, "more than 2"),
    "a directory elsewhere": (build_zip(HONEST, shift=1), BrokenFile, "added or removed"),
    "a header past the end": (build_zip([Fake("a", b"1", at=10**6)]), BrokenFile, "past the end"),
    "stored and size differ": (build_zip([Fake("a", b"1", size=2)]), BrokenFile, "cannot come"),
    "more than deflate can": (
        build_zip([Fake("a", b"1", method=8, size=10**6)]), BrokenFile, "cannot come"),
    "a NUL in a name": (build_zip([Fake("a\0b", b"1")]), BrokenFile, "NUL"),
    "no zip64 field": (
        build_zip([Fake("a", b"1", at=0xFFFFFFFF)]), BrokenFile, "zip64 field"),
    "an empty zip64 field": (
        build_zip([Fake("a", b"1", at=0xFFFFFFFF, extra=b"\1\0\0\0")]), BrokenFile, "zip64 field"),
    "too short": (b"PK\3\4", BrokenFile, "too short"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_refuses_what_two_readers_could_read_differently(attack: str, tmp_path: Path) -> None:
    data, error, words = ATTACKS[attack]
    with pytest.raises(error, match=words):
        opened(tmp_path, data)


def test_the_honest_twin_of_the_attacks_opens(tmp_path: Path) -> None:
    assert opened(tmp_path, build_zip([Fake("a", b"1")])).read("a") == b"1"


def test_a_member_may_stand_in_a_zip64_field(tmp_path: Path) -> None:
    extra = struct.pack("<HHBHHQ", 9, 1, 0, 1, 8, 0)  # another field first
    archive = opened(tmp_path, build_zip([Fake("a", b"1", at=0xFFFFFFFF, extra=extra)]))
    assert archive.read("a") == b"1"


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    data = build_zip([Fake("ab", b"1")]).replace(b"ab", b"\xff\xfe")
    with pytest.raises(BrokenFile, match="not UTF-8"):
        opened(tmp_path, data)


@pytest.mark.parametrize("method", [0, 8])
def test_a_damaged_member_is_found_by_its_crc(method: int, tmp_path: Path) -> None:
    archive = opened(tmp_path, build_zip([Fake("a", b"hello", method=method, crc=1)]))
    with pytest.raises(BrokenFile, match="CRC-32"):
        archive.read("a")


@pytest.mark.parametrize(("size", "words"), [(4, "more than 4"), (6, "ends early")])
def test_inflates_to_exactly_the_declared_size(size: int, words: str, tmp_path: Path) -> None:
    archive = opened(tmp_path, build_zip([Fake("a", b"hello", method=8, size=size)]))
    with pytest.raises(BrokenFile, match=words):
        archive.read("a")


def test_a_deflated_stream_must_end_with_its_member(tmp_path: Path) -> None:
    whole = zlib.compress(b"hello" * 100, 9, -15)
    for stored, words in ((whole[:-3], "does not end"), (whole + b"!", "ends early"),
                          (b"\xff" * 9, "cannot be inflated")):  # fmt: skip
        data = build_zip([Fake("a", b"x" * len(stored))])
        data = data.replace(b"x" * len(stored), stored)
        archive = opened(tmp_path, data)
        fake = archive.members["a"]._replace(method=8, size=500, crc=zlib.crc32(b"hello" * 100))
        archive.members["a"] = fake
        with pytest.raises(BrokenFile, match=words):
            archive.read("a")


def test_a_deflated_member_is_read_by_position(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(1000) * 2000
    archive = opened(tmp_path, build_zip([Fake("a", data, method=8)]))
    stream = archive.inflate("a")
    for at, count in ((1_500_000, 500_000), (3, 9), (1_999_990, 10), (0, 2_000_000), (7, 0)):
        assert stream.read(at, count) == data[at : at + count]
    with pytest.raises(BrokenFile, match="past its end"):
        stream.read(len(data), 1)


def test_a_damaged_member_is_found_when_its_stream_ends(tmp_path: Path) -> None:
    archive = opened(tmp_path, build_zip([Fake("a", b"hello" * 10**6, method=8, crc=1)]))
    stream = archive.inflate("a")
    assert stream.read(0, 5) == b"hello"
    with pytest.raises(BrokenFile, match="CRC-32"):
        stream.read(5 * 10**6 - 5, 5)


def test_limits(tmp_path: Path) -> None:
    data = build_zip(HONEST)
    for name, value in (("members", 2), ("header_bytes", 50)):
        with pytest.raises(LimitExceeded, match=name):
            opened(tmp_path, data, Limits().with_(name, value))
    with pytest.raises(LimitExceeded, match="json_bytes"):
        opened(tmp_path, data, Limits(json_bytes=4)).read("a")
    assert opened(tmp_path, data, Limits(json_bytes=4)).read("a", cap=5) == b"hello"
    with pytest.raises(LimitExceeded, match="limit of 4"):
        opened(tmp_path, data).read("a", cap=4)


def test_what_all_members_inflate_to_is_bounded(tmp_path: Path) -> None:
    bomb = [Fake(f"{i}", b"", method=8) for i in range(3)]
    data = build_zip(bomb)
    assert len(opened(tmp_path, data).members) == 3
    big = build_zip([Fake(f"{i}", bytes(2**22), method=8, size=2**22) for i in range(2)])
    with pytest.raises(LimitExceeded, match="expansion"):
        opened(tmp_path, big, Limits(expansion=-(2**40)))


# -- the end records -------------------------------------------------------------------------


def with_zip64(data: bytes, **changes: int) -> bytes:
    """The archive with a zip64 end record and locator before its end record, as torch writes."""
    body, end = data[:-22], struct.unpack("<4s4H2IH", data[-22:])
    size, begin = end[5:7]
    record = {"length": 44, "disk": 0, "entries": end[3], "size": size, "begin": begin}
    record |= {k: v for k, v in changes.items() if k in record}
    e = record["entries"]
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", record["length"], 45, 45, record["disk"], 0, e, e,
                       record["size"], record["begin"])  # fmt: skip
    at = changes.get("at", len(body))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, changes.get("disks", 1))
    return body + wide + locator + data[-22:]


def test_zip64_end_records_agree_with_the_narrow_ones(tmp_path: Path) -> None:
    data = build_zip(HONEST)
    assert list(opened(tmp_path, with_zip64(data)).members) == ["a", "b/ü", "empty"]
    for field in ("entries", "size", "begin"):
        with pytest.raises(BrokenFile, match="disagree"):
            opened(tmp_path, with_zip64(data, **{field: 1}))
    for changes in ({"at": 5}, {"disks": 2}):
        with pytest.raises(BrokenFile, match="where its locator says"):
            opened(tmp_path, with_zip64(data, **changes))
    for changes in ({"length": 45}, {"disk": 1}):
        with pytest.raises(BrokenFile, match="damaged"):
            opened(tmp_path, with_zip64(data, **changes))


def test_a_split_archive_is_refused_by_name(tmp_path: Path) -> None:
    data = bytearray(build_zip(HONEST))
    data[-18] = 1
    with pytest.raises(UnsupportedFile, match="split over files"):
        opened(tmp_path, bytes(data))


def test_every_prefix_and_every_changed_byte_ends_in_our_error(tmp_path: Path) -> None:
    data = build_zip(HONEST)
    for cut in range(len(data)):
        with pytest.raises(FormatError):
            opened(tmp_path, data[:cut])
    for at in range(len(data)):
        for value in (0, 0x7F, 0xFF):
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                archive = opened(tmp_path, changed)
                for name in archive.members:
                    archive.read(name)
            except FormatError:
                continue


# -- writing ---------------------------------------------------------------------------------

MEMBERS = [("a", b"hello", 1), ("data/ü", b"x" * 1000, 64), ("e", b"", 64), ("z", b"1", 4096)]


def test_zipfile_and_unzip_agree_with_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(written(MEMBERS))
    with zipfile.ZipFile(path) as judge:
        assert judge.testzip() is None
        assert {i.filename: judge.read(i) for i in judge.infolist()} == {
            n: d for n, d, _ in MEMBERS
        }
        assert {i.date_time[:3] for i in judge.infolist()} == {(1980, 1, 1)}
    if Path("/usr/bin/unzip").exists():
        subprocess.run(["/usr/bin/unzip", "-tq", path], check=True, capture_output=True)


def test_data_start_where_they_are_asked_to(tmp_path: Path) -> None:
    archive = opened(tmp_path, written(MEMBERS))
    assert archive.members["data/ü"].offset % 64 == 0
    assert archive.members["z"].offset % 4096 == 0
    assert lay_out([Entry("a", 1, 4096, phase=192)]).places["a"] % 4096 == 192


@given(st.lists(st.tuples(st.text(min_size=1).filter(lambda n: "\0" not in n and n.isprintable()),
                          st.binary(max_size=200), st.sampled_from([1, 2, 64, 512])),
                unique_by=lambda m: m[0], max_size=8))  # fmt: skip
def test_what_is_written_is_read(members: list[tuple[str, bytes, int]]) -> None:
    with tempfile.NamedTemporaryFile() as out:
        out.write(written(members))
        out.flush()
        archive = Archive(File(out.name), Limits())
        assert {n: archive.read(n) for n in archive.members} == {n: d for n, d, _ in members}


def test_more_members_than_a_narrow_end_record_counts(tmp_path: Path) -> None:
    archive = opened(tmp_path, written([(str(i), b"", 1) for i in range(66_000)]))
    assert len(archive.members) == 66_000
    with zipfile.ZipFile(tmp_path / "x.zip") as judge:
        assert len(judge.namelist()) == 66_000


def test_members_beyond_four_gigabytes(tmp_path: Path) -> None:
    """In a sparse file: nothing of it is written but the headers."""
    entries = [Entry("big", 2**32 + 10, 64), Entry("small", 3, 64), Entry("last", 0, 1)]
    layout = lay_out(entries)
    path = tmp_path / "x.zip"
    with path.open("wb") as out:
        out.truncate(layout.nbytes)
        out.seek(layout.places["small"])
        out.write(b"abc")
        for offset, piece in layout.headers({"big": 7, "small": zlib.crc32(b"abc"), "last": 0}):
            out.seek(offset)
            out.write(piece)
    archive = Archive(File(path), Limits())
    assert archive.members["big"].size == 2**32 + 10
    assert archive.members["big"].offset == layout.places["big"]
    assert archive.read("small") == b"abc"
    with zipfile.ZipFile(path) as judge:
        assert judge.read("small") == b"abc"
        assert judge.getinfo("big").file_size == 2**32 + 10


def test_two_entries_of_one_name_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one name"):
        lay_out([Entry("a", 1), Entry("a", 1)])


def test_the_bytes_of_an_archive_are_known() -> None:
    known = """
        50 4b 03 04 14 00 00 08 00 00 00 00 21 00 b7 ef dc 83 01 00 00 00 01 00 00 00 01 00 00 00
        61 31
        50 4b 01 02 14 03 14 00 00 08 00 00 00 00 21 00 b7 ef dc 83 01 00 00 00 01 00 00 00 01 00
        00 00 00 00 00 00 00 00 00 00 a4 81 00 00 00 00 61
        50 4b 05 06 00 00 00 00 01 00 01 00 2f 00 00 00 20 00 00 00 00 00
    """
    assert written([("a", b"1", 1)]) == bytes.fromhex(known)


def test_crc_is_read_back_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 10)
    file = File(path)
    monkeypatch.setattr(archive_layout, "_BUFFER", 100)
    assert crc_of(file.fd, 3, 1001) == zlib.crc32((bytes(range(256)) * 10)[3:1004])
    assert crc_of(file.fd, 3, 0) == 0
    with pytest.raises(BrokenFile, match="early"):
        crc_of(file.fd, 0, 2561)


def test_isal_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = types.SimpleNamespace(crc32=lambda data, crc: 42)
    monkeypatch.setitem(sys.modules, "isal", types.ModuleType("isal"))
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", fast)
    archive_layout.fast_crc32.cache_clear()
    assert archive_layout.fast_crc32()(b"", 0) == 42
    archive_layout.fast_crc32.cache_clear()
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert archive_layout.fast_crc32() is zlib.crc32
