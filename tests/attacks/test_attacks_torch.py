"""Hostile `.pt` files, each beside a harmless twin: promises are no code, no lies, bounded work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest
from attacks.build_zip import Fake, build_pt, build_zip, number, state, tensor, text
from memory import peak_kib

from weightsurgeon.errors import (
    BrokenFile,
    FormatError,
    LimitExceeded,
    RefusedFile,
    SurgeryError,
    UnsupportedFile,
)
from weightsurgeon.expr import whole
from weightsurgeon.formats import open_source
from weightsurgeon.formats.base import Source

MARKER = "/nonexistent/weightsurgeon"
PICKLE = state(("w", tensor()))
STORAGE = Fake("x/data/0", bytes(range(24)))


class Attack(NamedTuple):
    """A file, and the refusal it must meet."""

    data: bytes
    error: type[FormatError]
    words: str


def with_members(*members: Fake) -> bytes:
    return build_zip([Fake("x/data.pkl", PICKLE), *members])


def saved(**changes: object) -> bytes:
    return build_pt(state(("w", tensor(**changes))))  # type: ignore[arg-type]


CYCLE = b"\x80\x02}q\0" + text("a") + b"h\0s."
LAUGHS = b"\x80\x02" + b"](" + b"N" * 40 + b"eq\0" + b"".join(
    b"0](" + bytes([0x68, i]) * 40 + b"eq" + bytes([i + 1]) for i in range(9)
) + b"."  # fmt: skip

ATTACKS = {
    # code
    "os.system by REDUCE": Attack(
        build_pt(b"\x80\x02cposix\nsystem\n" + text(f"touch {MARKER}") + b"\x85R."),
        RefusedFile, r"posix\.system"),
    "eval beside a tensor": Attack(
        build_pt(state(("w", tensor()), ("x", b"cbuiltins\neval\n" + text("1") + b"\x85R"))),
        RefusedFile, r"builtins\.eval"),
    "a class of the user's": Attack(
        build_pt(b"\x80\x02c__main__\nNet\n)\x81}b."), RefusedFile, r"__main__\.Net"),
    "INST": Attack(build_pt(b"\x80\x02(iposix\nsystem\n."), RefusedFile, "INST"),
    "slots of a function": Attack(
        build_pt(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}\x86b."), BrokenFile, "attributes"),
    # lies of length
    "a storage with fewer elements": Attack(saved(numel=5), BrokenFile, "should have 20 bytes"),
    "a storage with more elements": Attack(saved(numel=7), BrokenFile, "should have 28 bytes"),
    "a storage beyond 2^64": Attack(saved(numel=2**70), BrokenFile, "should have"),
    "a storage that is not there": Attack(saved(key="1"), BrokenFile, "not in the archive"),
    "a view past its storage": Attack(saved(shape=(3, 3)), BrokenFile, "reaches past the 24"),
    "a view that starts past it": Attack(saved(offset=1), BrokenFile, "reaches past"),
    "a view that ends past it": Attack(saved(strides=(4, 1)), BrokenFile, "reaches past"),
    "a stride beyond 2^64": Attack(saved(strides=(2**70, 1)), BrokenFile, "reaches past"),
    "a negative stride": Attack(saved(strides=(-3, 1)), BrokenFile, "whole numbers"),
    "a negative size": Attack(saved(shape=(-2, 3)), BrokenFile, "whole numbers"),
    "a size that wraps": Attack(
        saved(shape=(2**63, 2), strides=(0, 0)), BrokenFile, "sizes are whole numbers"),
    "a product that wraps": Attack(
        saved(shape=(2**40, 2**40), strides=(0, 0)), BrokenFile, "more elements"),
    "a rank of 65": Attack(saved(shape=(1,) * 65, strides=(0,) * 65), BrokenFile, "at most 64"),
    "one storage of two types": Attack(
        build_pt(state(("a", tensor()), ("b", tensor(kind="IntStorage")))),
        BrokenFile, "described two ways"),
    "a bool as a size": Attack(
        build_pt(state(("w", tensor().replace(number(2) + number(3) + b"t", b"\x88\x88t", 1)))),
        BrokenFile, "whole numbers"),
    # amplification
    "a stride-0 view of 2^40 elements": Attack(
        saved(shape=(2**40,), strides=(0,)), LimitExceeded, "expansion"),
    "a pickle that is a bomb": Attack(
        build_pt(b"\x80\x02" + b"N0" * 2**22 + b"N.", method=8),
        LimitExceeded, "more than pickles"),
    "objects of one byte": Attack(
        build_pt(b"\x80\x02" + b"}" * 10**6), LimitExceeded, "too many objects"),
    "lists that laugh": Attack(build_pt(LAUGHS), LimitExceeded, "repeats itself"),
    "a long name, shared by many": Attack(
        build_pt(state(("a" * 60_000, b"](" + b"N" * 10**5 + b"e"))), LimitExceeded, "its names"),
    "a name of 100 KiB": Attack(
        build_pt(state(("a" * 100_000, tensor()))), LimitExceeded, "too long a name"),
    "a dict in itself": Attack(build_pt(CYCLE), LimitExceeded, "nested too deeply"),
    "a list in a list in …": Attack(
        build_pt(b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b"."),
        LimitExceeded, "nested too deeply"),
    "BINBYTES8 that lies": Attack(
        build_pt(b"\x80\x02\x8e" + b"\xff" * 7 + b"\x7f."), BrokenFile, "are declared"),
    # two meanings
    "data.pkl twice": Attack(
        with_members(STORAGE, Fake("x/data.pkl", PICKLE)), BrokenFile, "stands twice"),
    "two roots": Attack(with_members(STORAGE, Fake("y/data.pkl", PICKLE)), BrokenFile, "2 folders"),
    "a member under another name": Attack(
        with_members(Fake("x/data/0", bytes(24), local_name="x/data/1")),
        BrokenFile, "another name"),
    "storages that overlap": Attack(
        with_members(Fake("x/data/0", build_zip([Fake("x/data/1", b"1")])[:40]),
                     Fake("x/data/1", b"1", at=len(PICKLE) + 40 + 38)), BrokenFile, "overlap"),
    "two tensors of one path": Attack(
        build_pt(state(("a.b", tensor()), ("a", b"}" + text("b") + tensor() + b"s"))),
        UnsupportedFile, "two tensors"),
    "a key that makes no name": Attack(
        build_pt(b"\x80\x02}N" + tensor() + b"s."), UnsupportedFile, "NoneType is a key"),
    "an unknown byte order": Attack(
        with_members(STORAGE, Fake("x/byteorder", b"pdp")), BrokenFile, "neither little nor big"),
    "metadata that are no strings": Attack(
        with_members(STORAGE, Fake("x/weightsurgeon.json", b'{"a": 1}')),
        BrokenFile, "map of strings"),
    "metadata with a key twice": Attack(
        with_members(STORAGE, Fake("x/weightsurgeon.json", b'{"a": "1", "a": "2"}')),
        BrokenFile, "stands twice"),
    "no pickle": Attack(
        build_zip([Fake("x/y/data.pkl", PICKLE)]), BrokenFile, "no data.pkl"),
    "a name that drives a terminal": Attack(
        build_pt(state(("\x1b[2J", tensor(numel=5)))), BrokenFile, r"\\x1b\[2J"),
}  # fmt: skip

TWINS = {
    "plain": build_pt(),
    "deflated": build_pt(method=8),
    "with a byte order": with_members(STORAGE, Fake("x/byteorder", b"little")),
    "with metadata": with_members(STORAGE, Fake("x/weightsurgeon.json", b'{"a": "1"}')),
    "LONG_BINPUT far away": build_pt(
        b"\x80\x02}(" + text("w") + tensor() + b"r\0\xe1\xf5\x050j\0\xe1\xf5\x05u."),
    "BINBYTES8 that is true": build_pt(
        state(("w", tensor()), ("b", b"\x8e\x01\0\0\0\0\0\0\0a"))),
    "nested, but not deeply": build_pt(
        state(("w", tensor()), ("deep", b"]" * 40 + b"a" * 39))),
}  # fmt: skip


def values(source: Source) -> None:
    for name, spec in source.specs.items():
        found = source.read(name, whole(spec))
        assert found.shape == spec.shape


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack: str, tmp_path: Path) -> None:
    data, error, words = ATTACKS[attack]
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(error, match=words) as refusal:
        values(open_source(str(path)))
    line = str(refusal.value)
    assert line.isprintable()
    assert len(line) <= 500
    assert time.perf_counter() - start < 10
    assert list(tmp_path.iterdir()) == [path]
    assert not Path(MARKER).exists()


@pytest.mark.parametrize("twin", TWINS)
def test_harmless_twins_open_with_right_values(twin: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(TWINS[twin])
    source = open_source(str(tmp_path / "x.pt"))
    assert source.read("w", ((0, 2), (0, 3))).tobytes() == bytes(range(24))


def test_a_view_that_is_large_but_allowed_is_read_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(saved(shape=(2**22, 3), strides=(0, 1)))
    source = open_source(str(tmp_path / "x.pt"))
    assert source.read("w", ((2**21, 2**21 + 2), (0, 3))).tobytes() == bytes(range(12)) * 2


def test_a_view_that_expands_too_much_is_listed_but_not_written_out(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(saved(shape=(2**26,), strides=(0,)))
    source = open_source(str(tmp_path / "x.pt"))
    assert source.specs["w"].shape == (2**26,)
    with pytest.raises(LimitExceeded, match="64-fold"):
        source.read("w", ((0, 1),))


BOMBS = {
    "LONG_BINPUT": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "one-byte objects": b"\x80\x02" + b"]" * 2**22,
    "marks": b"\x80\x02" + b"(" * 2**22,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_take_little_memory(bomb: str, tmp_path: Path) -> None:
    """In a child, as the peak of this process is already high."""
    (tmp_path / "x.pt").write_bytes(build_pt(BOMBS[bomb]))
    rise = peak_kib(
        "try: open_source(sys.argv[1])\nexcept SurgeryError: pass",
        str(tmp_path / "x.pt"),
        setup="from weightsurgeon.errors import SurgeryError\n"
        "from weightsurgeon.formats import open_source",
    )
    assert rise < 150 * 1024 + 4 * len(BOMBS[bomb]) // 1024


@pytest.mark.parametrize("twin", ["plain", "deflated"])
def test_truncation_at_every_byte_is_an_error_of_ours(twin: str, tmp_path: Path) -> None:
    whole_file = TWINS[twin]
    path = tmp_path / "x.pt"
    for cut in range(len(whole_file)):
        path.write_bytes(whole_file[:cut])
        with pytest.raises(SurgeryError):
            open_source(str(path))


@pytest.mark.parametrize("twin", ["plain", "deflated"])
def test_every_changed_byte_is_a_value_or_an_error_of_ours(twin: str, tmp_path: Path) -> None:
    whole_file = TWINS[twin]
    path = tmp_path / "x.pt"
    refused = 0
    for at in range(len(whole_file)):
        for value in (whole_file[at] ^ 1, 0xFF):
            path.write_bytes(whole_file[:at] + bytes([value]) + whole_file[at + 1 :])
            try:
                values(open_source(str(path)))
            except SurgeryError:
                refused += 1
    assert refused > len(whole_file)
