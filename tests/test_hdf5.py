"""HDF5: what a tree holds, where its data lie, blocks of the rest; the layout of what we write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from weightsurgeon.errors import OutputError
from weightsurgeon.expr import fresh, whole
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.files import File
from weightsurgeon.formats.hdf5 import Hdf5, Window, has_signature
from weightsurgeon.formats.hdf5_layout import ALIGN, lay_out
from weightsurgeon.spec import TensorSpec, dtype_of


def tree_of(path: Path) -> tuple[Hdf5, File]:
    file = File(path)
    return Hdf5(Window(file.fd, 0, file.size), str(path), Limits()), file


def make(path: Path, fill: Callable[[Any], None], **options: Any) -> tuple[Hdf5, File]:
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return tree_of(path)


def values(tree: Hdf5, path: str) -> np.ndarray[Any, Any]:
    spec = tree.datasets[path].spec
    return tree.read(path, whole(spec), fresh(spec, whole(spec)))


@pytest.mark.parametrize("start", [0, 512, 2048])
def test_dense_data_lie_where_the_tree_says(tmp_path: Path, start: int) -> None:
    array = np.arange(6, dtype="f4").reshape(2, 3)
    tree, file = make(tmp_path / "x.h5", lambda f: f.update(a=array), userblock_size=start)
    spec, offset, _ = tree.datasets["a"]
    assert offset is not None
    assert file.pread(offset, spec.nbytes) == array.tobytes()
    assert has_signature(file.pread(0, 512), file.pread, file.size)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i8", "?", "c8", "c16"])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_dense_data_of_every_type_have_a_place(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    array = np.ones(shape, dtype)
    tree, file = make(tmp_path / "x.h5", lambda f: f.create_dataset("a", data=array))
    spec, offset, stated = tree.datasets["a"]
    assert (spec.dtype.name, spec.shape, stated) == (array.dtype.name, shape, True)
    assert file.pread(offset or 0, spec.nbytes) == array.tobytes()
    assert np.array_equal(values(tree, "a"), array)


@pytest.mark.parametrize(
    "options",
    [{"chunks": (2, 2)}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}],
)
def test_other_layouts_have_none_and_are_read_by_block(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    array = np.arange(30, dtype="f4").reshape(5, 6)
    tree, _file = make(tmp_path / "x.h5", lambda f: f.create_dataset("a", data=array, **options))
    spec, offset, _ = tree.datasets["a"]
    assert offset is None
    block = ((1, 4), (2, 5))
    assert np.array_equal(tree.read("a", block, fresh(spec, block)), array[1:4, 2:5])


def test_big_endian_empty_and_unwritten_data_have_no_place(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file["big"] = np.arange(3, dtype=">f4")
        file.create_dataset("empty", shape=(0, 3), dtype="f4")
        file.create_dataset("unwritten", shape=(2,), dtype="f4", fillvalue=7)

    tree, _ = make(tmp_path / "x.h5", fill)
    assert [d.offset for d in tree.datasets.values()] == [None, None, None]
    assert values(tree, "big").tolist() == [0, 1, 2]
    assert values(tree, "big").dtype == np.dtype("f4")
    assert values(tree, "unwritten").tolist() == [7, 7]
    assert values(tree, "empty").shape == (0, 3)


def test_attributes_are_texts_or_lists(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.attrs["one"] = "größe"
        file.attrs["bytes"] = np.array([b"a", b"bc"])
        file.attrs["strings"] = ["x", "y"]
        file.attrs["none"] = []

    tree, _ = make(tmp_path / "x.h5", fill)
    found = [tree.attribute("", key) for key in ("one", "bytes", "strings", "none", "absent")]
    assert found == ["größe", ["a", "bc"], ["x", "y"], [], None]


SPECS = {
    "layers/dense/vars/0": TensorSpec(dtype_of("float32"), (3, 5)),
    "layers/dense/vars/1": TensorSpec(dtype_of("bfloat16"), (5,)),
    "empty": TensorSpec(dtype_of("int64"), (0, 2)),
    "scalar": TensorSpec(dtype_of("bool"), ()),
}


def written(path: Path) -> dict[str, bytes]:
    attributes: Any = {"layers/dense/vars": {"name": "fc", "list": ["a", "b"]}, "bare": {}}
    places, pieces, nbytes = lay_out(SPECS, {"second": "scalar"}, attributes)
    data = bytearray(b"\xee" * nbytes)  # whatever stands there before
    for offset, piece in pieces:
        data[offset : offset + len(piece)] = piece
    made = {}
    for name, spec in SPECS.items():
        made[name] = bytes(range(1, spec.nbytes + 1)) if spec.dtype.name != "bool" else b"\1"
        data[places[name] : places[name] + spec.nbytes] = made[name]
        assert places[name] % ALIGN == 0
    path.write_bytes(data)
    return made


def test_a_skeleton_and_the_values_make_a_file(tmp_path: Path) -> None:
    made = written(tmp_path / "x.h5")
    tree, file = tree_of(tmp_path / "x.h5")
    assert {name: d.spec for name, d in tree.datasets.items() if name in SPECS} == {
        name: spec for name, spec in SPECS.items() if name not in tree.links
    }
    assert tree.links == {"second": "scalar"}
    assert tree.attribute("layers/dense/vars", "name") == "fc"
    for name, dataset in tree.datasets.items():
        if dataset.offset is not None:
            assert file.pread(dataset.offset, dataset.spec.nbytes) == made[name]
    with h5py.File(tmp_path / "x.h5") as judge:
        assert judge["layers/dense/vars/0"][()].tobytes() == made["layers/dense/vars/0"]
        assert judge["layers/dense/vars/1"].attrs["dtype"] == "bfloat16"
        assert judge["scalar"][()] == judge["second"][()] == np.True_


def test_the_same_layout_gives_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "a.h5")
    written(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_skeleton_of_a_large_file_is_small() -> None:
    specs = {f"d{i}": TensorSpec(dtype_of("float32"), (2**28,)) for i in range(8)}
    _, pieces, nbytes = lay_out(specs, {}, {})
    assert nbytes > 8 * 2**30
    assert sum(len(piece) for _, piece in pieces) < 2**16


def test_a_long_list_is_kept_in_numbered_pieces(tmp_path: Path) -> None:
    names = [f"layer{i}" for i in range(5000)]
    _, pieces, nbytes = lay_out({}, {}, {"": {"layer_names": names}})
    data = bytearray(nbytes)
    for offset, piece in pieces:
        data[offset : offset + len(piece)] = piece
    (tmp_path / "x.h5").write_bytes(data)
    tree, _ = tree_of(tmp_path / "x.h5")
    first, second = (tree.attribute("", f"layer_names{i}") for i in range(2))
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first + second == names


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/../b"], ["a//b"], ["./a"], ["a\0b"]])
def test_names_that_hdf5_would_read_otherwise_are_refused(names: list[str]) -> None:
    spec = TensorSpec(dtype_of("float32"), (1,))
    with pytest.raises(OutputError, match="HDF5"):
        lay_out(dict.fromkeys(names, spec), {}, {})
