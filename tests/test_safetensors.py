"""Our reader and writer against the published library, and against known bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import DENSE, noise, same

from weightsurgeon.expr import array, whole
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Order
from weightsurgeon.formats.safetensors import CARRIES
from weightsurgeon.spec import DTYPES, DType, TensorSpec

CARRIED = [dtype for dtype in DENSE if dtype.name in CARRIES.dtypes]


def saved(path: Path, tensors: dict[str, Any], **more: Any) -> Path:
    order = Order({name: array(x).spec for name, x in tensors.items()}, **more)
    sink = create_sink("safetensors", str(path), order)
    for name, values in tensors.items():
        sink.write(name, whole(order.specs[name]), np.ascontiguousarray(values))
    sink.commit()
    return path


def header(path: Path) -> tuple[int, dict[str, Any]]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    found: dict[str, Any] = json.loads(data[8 : 8 + length])
    return 8 + length, found


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "x.safetensors",
        {"b": np.array([1, -1], "i1"), "a": np.array([[1.0]], "f4")},
        metadata={"z": "é", "format": "pt"},
    )
    text = (
        b'{"__metadata__":{"format":"pt","z":"\\u00e9"},'
        b'"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"I8","shape":[2],"data_offsets":[4,6]}}'
    )
    padded = text.ljust(192 - 8)
    assert path.read_bytes() == (184).to_bytes(8, "little") + padded + b"\0\0\x80\x3f\x01\xff"


@pytest.mark.parametrize("dtype", CARRIED, ids=str)
def test_the_published_library_reads_ours_and_we_theirs(tmp_path: Path, dtype: DType) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    if dtype.name == "float8_e8m0fnu" and not hasattr(torch, "float8_e8m0fnu"):
        pytest.skip("this torch has no such dtype")
    values = {f"{len(s)}{s}": noise(s, dtype, 1) for s in ((), (0, 5), (1,), (3,), (2, 3, 4))}
    path = saved(tmp_path / "ours.safetensors", values, metadata={"k": "v"})
    theirs = library.load_file(path)
    for name, x in values.items():
        assert tuple(theirs[name].shape) == x.shape
        assert bytes(theirs[name].contiguous().view(-1).view(torch.uint8).numpy()) == x.tobytes()
    library.save_file(theirs, tmp_path / "theirs.safetensors")
    source = open_source(str(tmp_path / "theirs.safetensors"))
    for name, x in values.items():
        assert same(source.read(name, whole(source.specs[name])), x)


def test_items_lie_aligned_widest_first(tmp_path: Path) -> None:
    tensors = {f"{d.name}{i}": noise((3,), d) for i in range(2) for d in CARRIED}
    path = saved(tmp_path / "x.safetensors", tensors)
    start, entries = header(path)
    assert start % 64 == 0
    source = open_source(str(path))
    for name, spec in source.specs.items():
        extent = source.extent(name)
        assert extent is not None
        assert extent.offset % spec.dtype.itemsize == 0
    bits = [DTYPES[n.rstrip("01")].bits for n in entries]
    assert bits == sorted(bits, reverse=True)


@pytest.mark.parametrize(("wished", "met"), [(0, True), (8, True), (4088, True), (3, False)])
def test_a_tensor_lies_in_its_page_as_wished(tmp_path: Path, wished: int, met: bool) -> None:
    tensors = {"a": noise((5,), "int64"), "b": noise((9,), "float32")}
    path = saved(tmp_path / "x.safetensors", tensors, align=("b", wished))
    extent = open_source(str(path)).extent("b")
    assert extent is not None
    assert (extent.offset % 4096 == wished) is met
    assert extent.offset % 8 == 0


def test_what_a_file_tells(tmp_path: Path) -> None:
    tensors = {"a.b.weight": noise((2,), "float32"), "c/kernel": noise((), "bool")}
    path = saved(tmp_path / "x.safetensors", tensors, metadata={"format": "tf", "mine": "x"})
    source = open_source(str(path))
    assert (source.container, source.dialect) == ("safetensors", "keras")
    assert source.metadata == {"format": "tf", "mine": "x"}
    assert source.slots["a.b.weight"][::3] == ("a.b", "weight")
    assert source.slots["c/kernel"][::3] == ("c", "kernel")
    source.check_unchanged()


def test_packed_floats_are_opened_and_their_bytes_given(tmp_path: Path) -> None:
    entries = {
        "four": {"dtype": "F4", "shape": [2, 3], "data_offsets": [0, 3]},
        "six": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [3, 6]},
    }
    text = json.dumps(entries).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"abcdef")
    source = open_source(str(path))
    assert source.specs["four"] == TensorSpec(DTYPES["float4_e2m1fn"], (2, 3))
    extent = source.extent("six")
    assert extent is not None
    assert extent[1:] == (8 + len(text) + 3, 3)


def test_fields_that_are_not_known_are_told(tmp_path: Path) -> None:
    entry = {"dtype": "I8", "shape": [1], "data_offsets": [0, 1], "extra": 1}
    text = b"  " + json.dumps({"a": entry}).encode() + b"   "
    path = tmp_path / "x.bin"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"a")
    source = open_source(str(path))
    assert source.remarks == [
        "ignored fields of the header: extra", "the suffix says torch, the content is safetensors",
    ]  # fmt: skip
