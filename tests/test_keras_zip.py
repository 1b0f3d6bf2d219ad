"""`.keras`: Keras reads ours, we read Keras', equal bits and `variable.path` as names."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_models import MODELS, read_all, rewrite, saved, values_of

from weightsurgeon.errors import OutputError
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Order
from weightsurgeon.formats.keras_source import OPTIMIZER, KerasSource, specs_of

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    return saved(folder)


def opened(path: Path) -> KerasSource:
    source = open_source(str(path))
    assert isinstance(source, KerasSource)
    return source


@pytest.mark.parametrize("name", MODELS)
def test_names_are_variable_paths_and_values_are_equal(
    folder: Path, models: dict[str, Any], name: str
) -> None:
    wanted, source = values_of(models[name]), opened(folder / f"{name}.keras")
    got = read_all(source)
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        assert np.array_equal(got[key], value), key
    assert source.container == "keras"
    assert source.dialect == "keras"


def test_order_is_that_of_the_config_and_numbers_are_numbers(
    folder: Path, models: dict[str, Any]
) -> None:
    kernels = [n for n in read_all(opened(folder / "many.keras")) if n.endswith("kernel")]
    assert kernels == [f"z{11 - i:02}/kernel" for i in range(12)]


def test_extents_lie_in_the_zip(folder: Path, models: dict[str, Any]) -> None:
    source = opened(folder / "images.keras")
    data = (folder / "images.keras").read_bytes()
    for name, value in read_all(source).items():
        extent = source.extent(name)
        assert extent is not None
        assert data[extent.offset : extent.offset + extent.nbytes] == value.tobytes()


def test_slots_say_class_options_and_leaf(folder: Path, models: dict[str, Any]) -> None:
    slots = opened(folder / "images.keras").slots
    assert slots["conv1/kernel"][:2] == ("conv1", "Conv2D")
    assert slots["bn/beta"].leaf == "beta"
    assert slots["pr/alpha"].options["shared_axes"] == [1, 2]
    assert slots["inner/a/kernel"].options["flatten_from"] == [3, 3, 3]
    assert slots["flat_bn/gamma"].options["flatten_from"] == [3, 3, 3]
    assert "flatten_from" not in slots["inner/c/kernel"].options
    assert slots["optimizer/vars/0"][:2] == ("optimizer", OPTIMIZER)
    sequence = opened(folder / "sequences.keras").slots
    assert sequence["bi/forward_lstm/lstm_cell/kernel"].kind == "LSTMCell"
    assert sequence["g/gru_cell/bias"].options["reset_after"] is True
    assert sequence["mha/query/kernel"].options["heads"] == 2
    assert sequence["ein/kernel"].options["equation"] == "abc,cd->abd"
    permuted = opened(folder / "sequential.keras").slots["d/kernel"]
    assert permuted.options["flatten_from"] == [4, 3, 2]


def test_a_deflated_file_is_read_too(folder: Path, models: dict[str, Any], tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(folder / "images.keras") as old,
        zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            new.writestr(member, old.read(member))
    got, wanted = read_all(opened(tmp_path / "x.keras")), values_of(models["images"])
    assert all(np.array_equal(got[n], v) for n, v in wanted.items())
    assert got.keys() == wanted.keys()
    assert [p.name for p in tmp_path.iterdir()] == ["x.keras"]


def test_names_are_counted_where_the_file_has_none(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    with zipfile.ZipFile(folder / "sequences.keras") as old:
        members = {n: old.read(n) for n in old.namelist()}
    held = io.BytesIO(members["model.weights.h5"])
    with h5py.File(held, "r+") as file:
        groups: list[Any] = []
        file.visititems(lambda _, item: groups.append(item))
        for item in groups:
            item.attrs.pop("name", None)
        file["vars"].attrs.pop("name", None)
    members["model.weights.h5"] = held.getvalue()
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    assert read_all(opened(tmp_path / "x.keras")).keys() == values_of(models["sequences"]).keys()


@pytest.mark.parametrize("name", MODELS)
def test_keras_loads_what_we_write(
    folder: Path, models: dict[str, Any], tmp_path: Path, name: str
) -> None:
    keras = pytest.importorskip("keras")
    path = tmp_path / "x.keras"
    made = rewrite(folder / f"{name}.keras", path, "keras")
    loaded = keras.models.load_model(path, compile=False)
    for variable, ours in zip(loaded.weights, values_of(models[name]), strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(variable), made[ours]), ours
    again = opened(path)
    assert again.metadata == {"weightsurgeon.version": "1"}
    assert again.specs == specs_of(opened(folder / f"{name}.keras"))
    assert all(np.array_equal(v, made[n]) for n, v in read_all(again).items())


def test_other_members_are_copied_and_the_zip_is_sound(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    rewrite(folder / "images.keras", tmp_path / "x.keras", "keras")
    with (
        zipfile.ZipFile(folder / "images.keras") as old,
        zipfile.ZipFile(tmp_path / "x.keras") as new,
    ):
        assert new.testzip() is None
        for member in ("metadata.json", "config.json"):
            assert new.read(member) == old.read(member)
        assert json.loads(new.read("weightsurgeon.json")) == {"weightsurgeon.version": "1"}


def test_the_same_values_give_the_same_bytes(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        rewrite(folder / "sequences.keras", tmp_path / f"{name}.keras", "keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_a_template_is_needed_and_must_fit(
    folder: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    target = str(tmp_path / "x.keras")
    source = opened(folder / "many.keras")
    specs = specs_of(source)
    with pytest.raises(OutputError, match="--template"):
        create_sink("keras", target, Order(specs))
    with pytest.raises(OutputError, match="--template"):
        create_sink("keras", target, Order(specs, template=opened(folder / "many.weights.h5")))
    less = {n: s for n, s in specs.items() if n != "z00/bias"}
    more = {**specs, "other": specs["z00/bias"]}
    wide = {**specs, "z00/bias": specs["z00/bias"]._replace(shape=(4,))}
    wrong = [(less, "z00/bias: missing"), (more, "not in the template"), (wide, r"float32 \(4,\)")]
    for asked, why in wrong:
        with pytest.raises(OutputError, match=why):
            create_sink("keras", target, Order(asked, template=source))
    assert not list(tmp_path.iterdir())
