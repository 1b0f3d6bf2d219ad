"""Streams of torch before 1.6: what torch still writes and reads in that form is the judge."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attacks.build_stream import DATA, build_stream, listed, old, pickled, run
from attacks.build_zip import number, numbers, state, tensor, text

from weightsurgeon.errors import BrokenFile, OutputError, UnsupportedFile
from weightsurgeon.expr import Block, whole
from weightsurgeon.formats import container_of, create_sink, open_source
from weightsurgeon.formats.base import Extent, Order, Source
from weightsurgeon.formats.files import File
from weightsurgeon.formats.torch_objects import STORAGES, UNTYPED
from weightsurgeon.formats.torch_source import TorchSource
from weightsurgeon.spec import DTYPES, TensorSpec

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]

SHAPES: list[tuple[int, ...]] = [(), (0,), (0, 5), (1,), (3,), (2, 3, 4)]
SPECS = {
    f"{dtype}.{'x'.join(map(str, shape))}": TensorSpec(DTYPES[dtype], shape)
    for dtype in sorted((*STORAGES.values(), *UNTYPED))
    for shape in SHAPES
}


def opened(path: Path, data: bytes | None = None) -> Source:
    if data is not None:
        path.write_bytes(data)
    return open_source(str(path))


def read(source: Source, name: str, block: Block | None = None) -> Array:
    return source.read(name, whole(source.specs[name]) if block is None else block)


def at(extent: Extent | None) -> bytes:
    assert extent is not None
    return os.pread(extent.fd, extent.nbytes, extent.offset)


# -- the container ---------------------------------------------------------------------------


def test_a_stream_is_recognised_by_its_content(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.safetensors", build_stream())
    assert (source.container, source.dialect) == ("torch-legacy", "torch")
    assert source.remarks == ["the suffix says safetensors, the content is torch-legacy"]
    assert source.specs == {"w": TensorSpec(DTYPES["float32"], (2, 3))}
    assert source.slots["w"].leaf == "w"
    assert opened(tmp_path / "weights", build_stream()).remarks == []


def test_it_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"only read; choose \.safetensors or \.pt"):
        create_sink("torch-legacy", str(tmp_path / "x.pt"), Order({}))
    assert list(tmp_path.iterdir()) == []
    assert {container_of(f"x{suffix}") for suffix in (".pt", ".pth", ".bin")} == {"torch"}


def test_storages_lie_in_the_order_of_the_keys(tmp_path: Path) -> None:
    names = {"a": "7", "b": "3", "c": "5"}
    value = state(*((n, old(tensor(key=key))) for n, key in names.items()))
    runs = [run(bytes([i]) * 24) for i in range(3)]
    source = opened(tmp_path / "x.pt", build_stream(value, keys=listed("3", "5", "7"), runs=runs))
    assert list(source.specs) == ["a", "b", "c"]
    for name, byte in {"a": 2, "b": 0, "c": 1}.items():
        assert at(source.extent(name)) == bytes([byte]) * 24
        assert read(source, name).tobytes() == bytes([byte]) * 24


VALUES = np.frombuffer(DATA, "<f4")
VIEWS: dict[str, tuple[bytes, Array, bool]] = {
    "dense": (tensor(), VALUES.reshape(2, 3), True),
    "transposed": (tensor(shape=(3, 2), strides=(1, 3)), VALUES.reshape(2, 3).T, False),
    "a part": (tensor(shape=(2,), strides=(1,), offset=2), VALUES[2:4], True),
    "a number": (tensor(shape=(), strides=(), offset=5), VALUES[5], True),
    "expanded": (tensor(shape=(4, 2), strides=(0, 1)), VALUES[None, :2].repeat(4, 0), False),
    "sliced": (
        tensor(shape=(2, 2), strides=(3, 1), offset=1), VALUES.reshape(2, 3)[:, 1:], False),
}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_read_by_their_strides(view: str, tmp_path: Path) -> None:
    opcodes, expected, dense = VIEWS[view]
    source = opened(tmp_path / "x.pt", build_stream(state(("w", old(opcodes)))))
    found = read(source, "w")
    assert (found.shape, found.tobytes()) == (expected.shape, expected.tobytes())
    assert (source.extent("w") is not None) == dense
    if dense:
        assert at(source.extent("w")) == expected.tobytes()
    for axis, n in enumerate(expected.shape):
        for i in range(n):
            block = tuple((i, i + 1) if a == axis else (0, m) for a, m in enumerate(expected.shape))
            assert read(source, "w", block).tobytes() == expected.take([i], axis).tobytes()


def test_ties_views_extras_and_versions(tmp_path: Path) -> None:
    pairs = (
        ("a", old(tensor())), ("b", old(tensor())), ("epoch", b"K\x03"),
        ("c", old(tensor(shape=(6,), strides=(1,)))),
    )  # fmt: skip
    source = opened(tmp_path / "x", build_stream(state(*pairs)))
    assert source.ties == {"b": "a"}
    assert source.remarks == [
        "1 tensors are views of storages that others use too",
        "1 values are no tensors and are left out: epoch",
    ]  # fmt: skip
    versions = b"}" + text("_metadata") + b"}" + text("bn") + b"}" + text("version") + b"K\x02sss"
    value = pickled(
        b"ccollections\nOrderedDict\n)R" + text("w") + old(tensor()) + b"s" + versions + b"b"
    )
    source = opened(tmp_path / "x", build_stream(value))
    assert isinstance(source, TorchSource)
    assert source.versions == {"bn": {"version": 2}}


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    source = opened(tmp_path / "x.pt", build_stream())
    source.check_unchanged()
    (tmp_path / "x.pt").write_bytes(build_stream() + b"x")
    with pytest.raises(BrokenFile, match="changed"):
        source.check_unchanged()
    source.close()


def test_opening_reads_no_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2**22
    value = state(("w", old(tensor(numel=count, shape=(count,), strides=(1,)))))
    (tmp_path / "x.pt").write_bytes(build_stream(value, runs=[run(b"", count)]))
    os.truncate(tmp_path / "x.pt", (tmp_path / "x.pt").stat().st_size + 4 * count)
    taken = []
    real = File.pread

    def pread(self: File, offset: int, nbytes: int, where: object = "") -> bytes:
        taken.append(nbytes)
        return real(self, offset, nbytes, where)

    monkeypatch.setattr(File, "pread", pread)
    assert opened(tmp_path / "x.pt").specs["w"].shape == (count,)
    assert sum(taken) < 6 * 2**16
    assert read(open_source(str(tmp_path / "x.pt")), "w", ((count - 2, count),)).tolist() == [0, 0]


def test_opening_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(build_stream())
    code = (
        "import sys; from weightsurgeon.formats import open_source; open_source(sys.argv[1]);"
        "print(sorted({'pickle', 'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.pt")]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"[]\n"


# -- torch as the judge ----------------------------------------------------------------------


def bits(tensor: torch.Tensor) -> bytes:
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def save(path: Path, value: object, protocol: int = 2) -> Source:
    import torch

    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    return opened(path)


@pytest.mark.frameworks
def test_every_dtype_and_shape_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    saved = {}
    for name, spec in SPECS.items():
        raw = torch.randint(0, 256, (spec.nbytes,), generator=generator, dtype=torch.uint8)
        raw = raw & 1 if spec.dtype.name == "bool" else raw
        dtype = getattr(torch, spec.dtype.name)
        saved[name] = torch.empty(0, dtype=dtype) if not spec.size else raw.view(dtype)
        saved[name] = saved[name].reshape(spec.shape)
    source = save(tmp_path / "x.pt", saved)
    assert source.container == "torch-legacy"
    assert source.specs == SPECS
    for name, expected in saved.items():
        assert read(source, name).tobytes() == bits(expected), name
        assert at(source.extent(name)) == bits(expected), name


@pytest.mark.frameworks
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_parameters_and_nesting_of_torch(protocol: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    net = torch.nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
    views = {
        "base": base, "tied": base, "t": base.T, "rows": base[1:3], "columns": base[:, 1:5:2],
        "expanded": base[0].expand(3, 6), "number": base[2, 3], "half": base.bfloat16().T,
        "none": base[:0],
    }  # fmt: skip
    saved = {
        "model": {"net": net.state_dict(), "parameter": torch.nn.Parameter(torch.ones(2))},
        "views": views, "steps": {0: {"lr": 0.1}, 1: [torch.zeros(2), 5]},
        "size": torch.Size([1]), "dtype": torch.float16, "ordered": OrderedDict(a=1),
    }  # fmt: skip
    source = save(tmp_path / "x.pt", saved, protocol)
    named = {f"model.net.{n}": t for n, t in net.state_dict().items()}
    named |= {"model.parameter": saved["model"]["parameter"], "steps.1.0": torch.zeros(2)}
    named |= {f"views.{n}": t for n, t in views.items()}
    assert source.specs.keys() == named.keys()
    for name, expected in named.items():
        found = read(source, name)
        assert found.shape == tuple(expected.shape)
        assert found.tobytes() == bits(expected), name
    assert source.ties == {"views.tied": "views.base"}
    assert isinstance(source, TorchSource)
    assert source.extras["steps.0.lr"] == 0.1


@pytest.mark.frameworks
def test_what_torch_saves_beside_state_dicts(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    assert list(save(tmp_path / "x.pt", torch.ones(2)).specs) == ["tensor"]
    assert save(tmp_path / "x.pt", {}).specs == {}
    one = torch.ones(2)
    source = save(tmp_path / "x.pt", [torch.zeros(3).untyped_storage(), one])
    assert read(source, "1").tolist() == [1, 1]
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).state_dict()
    source = save(tmp_path / "x.pt", norm)
    assert isinstance(source, TorchSource)
    assert source.versions == norm._metadata
    with pytest.raises(UnsupportedFile, match="w: a lazy conj or neg"):
        save(tmp_path / "x.pt", {"w": torch.ones(2, dtype=torch.complex64).conj()})


@pytest.mark.frameworks
def test_parameters_as_torch_saved_them_before_0_4(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += number(6) + b"NtQ"
    body = b"ctorch._utils\n_rebuild_tensor\n(" + storage
    body += number(1) + numbers(2, 2) + numbers(3, 1) + b"tR"
    hooks = b"ccollections\nOrderedDict\n)R"
    parameter = b"ctorch.nn.parameter\nParameter\n" + body + b"\x85R(\x88\x89" + hooks + b"tb"
    data = build_stream(state(("w", parameter), ("v", body)))
    source = opened(tmp_path / "x.pt", data)
    expected = torch.load(io.BytesIO(data), weights_only=True)
    assert list(source.specs) == list(expected)
    for name, found in expected.items():
        assert read(source, name).tolist() == found.tolist()
        assert found.shape == (2, 2)


@pytest.mark.frameworks
@pytest.mark.parametrize("name", ["pnet", "rnet", "onet"])
def test_published_weights(name: str) -> None:
    torch = pytest.importorskip("torch")
    package = importlib.util.find_spec("facenet_pytorch")
    if package is None or not package.submodule_search_locations:
        pytest.skip("facenet_pytorch is not installed")
    path = Path(package.submodule_search_locations[0]) / "data" / f"{name}.pt"
    source, weights = opened(path), torch.load(path, weights_only=True)
    assert list(source.specs) == list(weights)
    for tensor_name, expected in weights.items():
        assert source.specs[tensor_name].shape == tuple(expected.shape)
        assert read(source, tensor_name).tobytes() == bits(expected)
        extent = source.extent(tensor_name)
        assert (extent is not None) == expected.is_contiguous()
        assert extent is None or at(extent) == bits(expected)
    assert any(not x.is_contiguous() for x in weights.values())
