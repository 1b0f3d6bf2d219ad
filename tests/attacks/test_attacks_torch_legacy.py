"""Hostile streams of torch before 1.6, each beside a harmless twin: no code, no lies, no hang."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from attacks.build_stream import DATA, MAGIC, build_stream, listed, little, old, pickled, run
from attacks.build_zip import number, state, tensor, text

from weightsurgeon import expr
from weightsurgeon.errors import (
    BrokenFile,
    FormatError,
    LimitExceeded,
    RefusedFile,
    SurgeryError,
    UnsupportedFile,
)
from weightsurgeon.formats import open_source, torch_legacy
from weightsurgeon.formats.base import Limits, Source
from weightsurgeon.formats.files import File

MARKER = "/nonexistent/weightsurgeon"
CODE = b"cposix\nsystem\n" + text(f"touch {MARKER}") + b"\x85R"
PARTS = {
    "magic": number(MAGIC),
    "version": number(1001),
    "system": b"}" + text("little_endian") + b"\x88s",
    "value": b"}" + text("w") + old(tensor()) + b"s",
    "keys": b"]" + text("0") + b"a",
}


class Attack(NamedTuple):
    """A file, and the refusal it must meet."""

    data: bytes
    error: type[FormatError]
    words: str


def saved(**changes: object) -> bytes:
    return build_stream(state(("w", old(tensor(**changes)))))  # type: ignore[arg-type]


def within(part: str, opcodes: bytes) -> bytes:
    """With these opcodes in one of the pickles; what they make is dropped again."""
    parts: dict[str, Any] = {part: pickled(PARTS[part] + opcodes + b"0")}
    return build_stream(**parts)


ATTACKS = {
    # lies about the storages
    "a count that is larger": Attack(
        build_stream(runs=[run(numel=7)]), BrokenFile, "storage 0: should have 6 elements, .* 7"),
    "a count that is smaller": Attack(
        build_stream(runs=[run(numel=5)]), BrokenFile, "should have 6 elements, but has 5"),
    "a count below 0": Attack(build_stream(runs=[run(numel=-6)]), BrokenFile, "but has -6"),
    "counts beyond the file": Attack(
        build_stream(state(("w", old(tensor(numel=2**60)))), runs=[run(numel=2**60)]),
        BrokenFile, "storage 0: bytes .* cut short"),
    "a count beyond 2^64": Attack(saved(numel=2**70), BrokenFile, "should have"),
    "a view past its storage": Attack(saved(shape=(3, 3)), BrokenFile, "reaches past the 24"),
    "a stride beyond 2^64": Attack(saved(strides=(2**70, 1)), BrokenFile, "reaches past"),
    "a negative stride": Attack(saved(strides=(-3, 1)), BrokenFile, "whole numbers"),
    "a stride-0 view of 2^40 elements": Attack(
        saved(shape=(2**40,), strides=(0,)), LimitExceeded, "expansion"),
    "one storage of two sizes": Attack(
        build_stream(state(("a", old(tensor())), ("b", old(tensor(numel=7))))),
        BrokenFile, "storage 0 is of 24 and 28 bytes"),
    "one storage of two types": Attack(
        build_stream(state(("a", old(tensor())), ("b", old(tensor(kind="IntStorage"))))),
        BrokenFile, "described two ways"),
    "a storage that is a part of another": Attack(
        build_stream(state(("w", old(tensor(), text("1") + number(0) + number(6) + b"\x87")))),
        UnsupportedFile, "storage 0 is a part of another"),
    "a persistent id of five parts": Attack(
        build_stream(state(("w", tensor()))), BrokenFile, "six parts"),
    # lies about the keys
    "a key that is missing": Attack(
        build_stream(keys=listed(), runs=[]), BrokenFile, "lack 0, which the object uses"),
    "a key twice": Attack(
        build_stream(keys=listed("0", "0"), runs=[run(), run()]), BrokenFile, "twice"),
    "a key that nobody uses": Attack(
        build_stream(keys=listed("0", "\x1b[2J"), runs=[run(), run()]),
        BrokenFile, r"name \\x1b\[2J, which the object does not use"),
    "a key that is a number": Attack(
        build_stream(keys=pickled(b"](K\0e")), BrokenFile, "no list of texts"),
    "keys that are a dict": Attack(
        build_stream(keys=pickled(b"}" + text("0") + b"Ns")), BrokenFile, "no list of texts"),
    "bytes behind the end": Attack(
        build_stream(suffix=b"\0"), BrokenFile, "1 bytes follow the last storage"),
    # another meaning
    "another magic number": Attack(
        build_stream(magic=pickled(number(MAGIC + 1))), FormatError, "none of the containers"),
    "a magic number that is not kept": Attack(
        build_stream(magic=pickled(number(MAGIC) + b"0K\x01")), BrokenFile, "not that of torch"),
    "another version": Attack(
        build_stream(version=pickled(number(1000))), UnsupportedFile, "version 1000; 1001 is read"),
    "a big-endian machine": Attack(
        build_stream(system=little(b"\x89")), UnsupportedFile, "not little-endian"),
    "a machine that does not say": Attack(
        build_stream(system=pickled(b"}")), UnsupportedFile, "not little-endian"),
    "a machine that says 1": Attack(
        build_stream(system=little(b"K\x01")), UnsupportedFile, "not little-endian"),
    "a machine that is a list": Attack(
        build_stream(system=pickled(b"]")), UnsupportedFile, "not little-endian"),
    "two tensors of one path": Attack(
        build_stream(state(("a.b", old(tensor())), ("a", b"}" + text("b") + old(tensor()) + b"s"))),
        UnsupportedFile, "two tensors"),
    # pickles without an end
    "a string beyond the file": Attack(
        build_stream(pickled(b"\x8d" + b"\xff" * 8)), BrokenFile, "object: .* without an end"),
    "a name of a global without an end": Attack(
        build_stream(pickled(b"c" + b"a" * 200_000)), BrokenFile, "object: .* without an end"),
    "a module saved whole": Attack(
        build_stream(pickled(b"(" + text("module") + b"c__main__\nNet\n" + text("a.py") + b"NtQ")),
        RefusedFile, r"__main__\.Net"),
    "a state that sets the tensor": Attack(
        build_stream(state(("w", old(tensor()) + b"(NNNNtb"))), BrokenFile, "three parts"),
    "a list in a list in …": Attack(
        build_stream(pickled(b"]" * 5000 + b"a" * 4999), keys=listed(), runs=[]),
        LimitExceeded, "nested too deeply"),
}  # fmt: skip
for part in PARTS:
    ATTACKS |= {
        f"code in the {part}": Attack(within(part, CODE), RefusedFile, r"posix\.system"),
        f"INST in the {part}": Attack(within(part, b"(iposix\nsystem\n"), RefusedFile, "INST"),
    }
    if part != "value":  # all others are plain
        storage, name = text("0") + b"Q", b"ctorch\nfloat32\n"
        ATTACKS |= {
            f"a storage in the {part}": Attack(within(part, storage), BrokenFile, "outside"),
            f"a name in the {part}": Attack(within(part, name), RefusedFile, r"torch\.float32"),
        }

EMPTY = old(tensor(key="1", numel=0, shape=(0,), strides=(1,)))
TWINS = {
    "plain": build_stream(),
    "with more about the machine": build_stream(
        system=pickled(b"}(" + text("little_endian") + b"\x88" + text("type_sizes") + b"}u")),
    "two storages": build_stream(
        state(("w", old(tensor())), ("v", old(tensor(key="1")))),
        keys=listed("1", "0"), runs=[run(bytes(24)), run()]),
    "an empty storage": build_stream(
        state(("w", old(tensor())), ("v", EMPTY)),
        keys=listed("0", "1"), runs=[run(), run(b"", 0)]),
    "a storage by itself": build_stream(
        state(("w", old(tensor())), ("v", b"(" + text("storage") + b"ctorch\nByteStorage\n"
              + text("0") + text("cpu") + number(24) + b"NtQ"))),
    "a parameter": build_stream(
        state(("w", b"ctorch.nn.parameter\nParameter\n" + old(tensor()) + b"\x85R(\x88\x89Ntb"))),
    "a long text": build_stream(
        state(("w", old(tensor())), ("x", text("a" * 200_000)))),
}  # fmt: skip
TWINS |= {f"a value that is dropped in the {part}": within(part, b"N") for part in PARTS}


def opened(tmp_path: Path, data: bytes) -> Source:
    """Without the boundary that makes any exception one of ours."""
    return torch_legacy.open(File(written(tmp_path, data)), Limits())


def values(source: Source) -> None:
    for name, spec in source.specs.items():
        assert source.read(name, expr.whole(spec)).shape == spec.shape


def written(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "x.pt").write_bytes(data)
    return str(tmp_path / "x.pt")


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack: str, tmp_path: Path) -> None:
    data, error, words = ATTACKS[attack]
    path = written(tmp_path, data)
    start = time.perf_counter()
    with pytest.raises(error, match=words) as refusal:
        values(open_source(path))
    line = str(refusal.value)
    assert line.isprintable()
    assert len(line) <= 500
    assert time.perf_counter() - start < 10
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]
    assert not Path(MARKER).exists()


@pytest.mark.parametrize("twin", TWINS)
def test_harmless_twins_open_with_right_values(twin: str, tmp_path: Path) -> None:
    source = open_source(written(tmp_path, TWINS[twin]))
    assert source.container == "torch-legacy"
    assert source.read("w", ((0, 2), (0, 3))).tobytes() == DATA


def test_pickles_are_read_up_to_a_limit_and_no_further(tmp_path: Path) -> None:
    data = build_stream()
    pickles = len(data) - len(run())
    path = written(tmp_path, data)
    assert open_source(path, Limits(json_bytes=pickles)).specs
    with pytest.raises(LimitExceeded, match=f"byte {pickles - 1}, .* --limit json_bytes"):
        open_source(path, Limits(json_bytes=pickles - 1))
    endless = written(tmp_path, build_stream(b"\x80\x02" + b"N0" * 10**6))
    with pytest.raises(LimitExceeded, match="object: is not over at byte 100000"):
        open_source(endless, Limits(json_bytes=100_000))


def test_a_view_that_expands_too_much_is_listed_but_not_written_out(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, saved(shape=(2**26,), strides=(0,))))
    assert source.specs["w"].shape == (2**26,)
    with pytest.raises(LimitExceeded, match="64-fold"):
        source.read("w", ((0, 1),))


@pytest.mark.parametrize("twin", ["plain", "two storages"])
def test_truncation_at_every_byte_is_an_error_of_ours(twin: str, tmp_path: Path) -> None:
    for cut in range(len(TWINS[twin])):
        with pytest.raises(SurgeryError):
            opened(tmp_path, TWINS[twin][:cut])


@pytest.mark.parametrize("twin", ["plain", "two storages"])
def test_every_changed_byte_is_a_value_or_an_error_of_ours(twin: str, tmp_path: Path) -> None:
    data = TWINS[twin]
    refused = 0
    for at in range(len(data)):
        for value in (data[at] ^ 1, 0, 0x2E, 0xFF):
            try:
                values(opened(tmp_path, data[:at] + bytes([value]) + data[at + 1 :]))
            except SurgeryError:
                refused += 1
    assert refused > len(data)
