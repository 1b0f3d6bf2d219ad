"""Headers that lie. Promise attacked: sizes are checked before anything is allocated or trusted.

Each attack changes one thing of a twin that opens, and must end in one error of our tree that says
what is wrong, without memory, other files, or time.
"""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weightsurgeon.errors import BrokenFile, FormatError, LimitExceeded
from weightsurgeon.formats import open_source
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.json_data import loads

DATA = bytes(range(24))
Header = dict[str, Any]


def twin() -> Header:
    return {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "I8", "shape": [8], "data_offsets": [16, 24]},
        "empty": {"dtype": "F64", "shape": [0, 7], "data_offsets": [16, 16]},
        "none": {"dtype": "F16", "shape": [0], "data_offsets": [24, 24]},
    }


def packed(header: Any, data: bytes = DATA, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def opened(path: Path, content: bytes, **limits: int) -> Any:
    path.write_bytes(content)
    source = open_source(str(path), Limits(**limits))
    source.close()
    return source


def change(**entries: Any) -> bytes:
    return packed({**twin(), **entries})


def entry(dtype: Any = "I8", shape: Any = None, at: Any = None) -> Any:
    return {
        "dtype": dtype,
        "shape": [8] if shape is None else shape,
        "data_offsets": at or [16, 24],
    }


def text(old: str, new: str) -> bytes:
    return packed(json.dumps(twin()).replace(old, new).encode())


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut short": (lambda: packed(twin())[:-1], "not in a file"),
    "trailing byte": (lambda: packed(twin(), DATA + b"!"), "tensors end at byte .*, the file at"),
    "header past the end": (lambda: packed(twin(), length=10**6), "not in a file of .* cut short"),
    "header of 2^63": (lambda: packed(twin(), length=2**63), "not in a file"),
    "header of all ones": (lambda: packed(twin(), length=2**64 - 1), "not in a file"),
    "header cut": (lambda: packed(twin(), length=20), "is no sound JSON"),
    "a list": (lambda: packed(b"[1, 2]"), "none of the containers"),
    "no JSON": (lambda: packed(b"{nope}"), "is no sound JSON"),
    "not UTF-8": (lambda: packed(b'{"\xff": 1}'), "is no sound JSON"),
    "NaN": (lambda: packed(b'{"a": NaN}'), "NaN is no number"),
    "huge number": (lambda: packed(b'{"a": ' + b"9" * 5000 + b"}"), "is no sound JSON"),
    "nested": (lambda: packed(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "nested too deeply"),
    "many lists": (lambda: packed(b'{"a":[' + b"[]," * 2_100_000 + b"1]}"), "more than 500000"),
    "a name twice": (lambda: text('"none"', '"a"'), "the key 'a' stands twice"),
    "a field twice": (
        lambda: text('"dtype": "I8"', '"dtype": "I8", "dtype": "U8"'),
        "stands twice",
    ),
    "lone surrogate": (lambda: text('"none"', '"\\ud800"'), "surrogates not allowed"),
    "surrogate in metadata": (lambda: text('"pt"', '"\\uDfff"'), "surrogates not allowed"),
    "metadata of numbers": (lambda: change(__metadata__={"a": 1}), "not a map of strings"),
    "metadata a list": (lambda: change(__metadata__=["a"]), "not a map of strings"),
    "hole": (lambda: change(a=entry("F32", [3], [0, 12])), "overlap or leave a hole"),
    "overlap": (lambda: change(b=entry("I8", [9], [15, 24])), "overlap or leave a hole"),
    "one range twice": (lambda: change(c=entry()), "overlap or leave a hole"),
    "empty inside another": (lambda: change(empty=entry("I8", [0], [8, 8])), "overlap or leave"),
    "past the end": (lambda: change(b=entry("I8", [9], [16, 25])), "not in a file"),
    "far past the end": (lambda: change(b=entry("I8", [2**40], [16, 16 + 2**40])), "not in a file"),
    "backwards": (lambda: change(b=entry(at=[24, 16])), "are no range"),
    "below zero": (lambda: change(b=entry(at=[-8, 0])), "are no range"),
    "bool offsets": (lambda: change(b=entry("I8", [1], [False, True])), "are no range"),
    "float offsets": (lambda: change(b=entry(at=[16.0, 24.0])), "are no range"),
    "three offsets": (lambda: change(b=entry(at=[16, 20, 24])), "two data_offsets"),
    "size and range differ": (lambda: change(b=entry(shape=[7])), r"takes 7 bytes.* give 8"),
    "size wraps": (lambda: change(b=entry(shape=[2**32, 2**32, 8])), "more elements than can be"),
    "empty but too wide": (
        lambda: change(none=entry("F16", [0, 2**62], [24, 24])),
        "more elements",
    ),
    "negative size": (lambda: change(b=entry(shape=[-8])), "whole numbers from 0"),
    "bool size": (lambda: change(b=entry(shape=[True])), "whole numbers from 0"),
    "shape of text": (lambda: change(b=entry(shape="8")), "a shape is a list"),
    "rank 65": (lambda: change(b=entry(shape=[1] * 64 + [8])), "at most 64 sizes"),
    "unknown dtype": (lambda: change(b=entry("I4")), "wants a known dtype"),
    "dtype a list": (lambda: change(b=entry(["I8"])), "wants a known dtype"),
    "odd number of halves": (lambda: change(b=entry("F4", [15])), "takes 8 bytes"),
    "entry a number": (lambda: change(b=7), "wants a known dtype"),
    "entry empty": (lambda: change(b={}), "wants a known dtype"),
}


def test_the_harmless_twin_opens(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.safetensors", packed(twin()))
    assert {n: s.shape for n, s in source.specs.items()} == {
        "a": (2, 2), "b": (8,), "empty": (0, 7), "none": (0,),
    }  # fmt: skip
    for harmless in (
        packed(json.dumps(twin()).encode().ljust(4096)),
        packed(b"  " + json.dumps(twin()).encode()),
        text('"none"', '"\\ud83d\\ude00"'),
        change(b=entry("F4", [16])),
        change(none=entry("F16", [0, 2**58], [24, 24])),
        packed(b"{}", b""),
        packed({"__metadata__": {}}, b""),
    ):
        opened(tmp_path / "x.safetensors", harmless)


@pytest.mark.parametrize(("attack", "match"), ATTACKS.values(), ids=ATTACKS)
def test_a_lie_is_one_error(tmp_path: Path, attack: Callable[[], bytes], match: str) -> None:
    content = attack()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=match) as caught:
            opened(tmp_path / "x.safetensors", content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 500 * 10
    assert peak < 2 * 2**20 + 4 * len(content)


def test_limits_are_named_with_the_way_to_raise_them(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(LimitExceeded, match="--limit header_bytes="):
        opened(path, packed(twin()), header_bytes=100)
    with pytest.raises(LimitExceeded, match="--limit tensors"):
        opened(path, packed(twin()), tensors=3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_any_byte_changed_or_missing_is_a_value_or_an_error(
    tmp_path: Path, at: int, byte: int, cut: bool
) -> None:
    whole = packed(twin())
    at %= len(whole)
    content = whole[:at] if cut else whole[:at] + bytes([byte]) + whole[at + 1 :]
    refused = None
    try:
        opened(tmp_path / "x.safetensors", content)
    except FormatError as error:
        refused = str(error)
    assert refused is not None or not cut
    assert (refused or "").isprintable()


def test_special_files_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", Path(os.devnull), tmp_path):
        with pytest.raises(FormatError, match=r"is (no regular file|a folder)"):
            open_source(str(path))
    with pytest.raises(FormatError, match="there is no such file"):
        open_source(str(tmp_path / "gone"))
    with pytest.raises(FormatError, match="null byte"):
        open_source("a\0b")


def test_what_is_no_checkpoint_is_told_apart(tmp_path: Path) -> None:
    for content, match in (
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (b"<!DOCTYPE html>", "web page"),
        (b"hello", "none of the containers"),
    ):
        with pytest.raises(FormatError, match=match):
            opened(tmp_path / "x.bin", content)


def test_json_is_bounded_before_it_is_parsed() -> None:
    with pytest.raises(LimitExceeded, match="more than 10 entries"):
        loads(b"[" * 50 + b"]" * 50, "x", "header", Limits(tensors=10))
    with pytest.raises(LimitExceeded, match="more than 10 entries"):
        loads(b"[" + b"1," * 200 + b"1]", "x", "header", Limits(tensors=10))
    with pytest.raises(BrokenFile, match=r"x: header: .*'k' stands twice"):
        loads(b'{"k": {"k": 1, "k": 2}}', "x", "header", Limits())
