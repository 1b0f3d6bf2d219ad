"""`.weights.h5`: names without a config, what cannot be decided, and Keras as the judge of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from keras_models import MODELS, SUFFIXES, read_all, rewrite, saved, values_of

from weightsurgeon.errors import OutputError, UnsupportedFile
from weightsurgeon.expr import whole
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Order
from weightsurgeon.formats.keras_source import KerasSource

Shapes = Mapping[str, list[tuple[int, ...]]]


def make(path: Path, groups: Shapes, names: Mapping[str, str] | None = None) -> KerasSource:
    """A weights file of zeros: place → shapes of its variables."""
    with h5py.File(path, "w") as file:
        for place, shapes in groups.items():
            group = file.create_group(f"{place}/vars" if place else "vars")
            for number, shape in enumerate(shapes):
                group[str(number)] = np.zeros(shape, "f4")
        for place, name in (names or {}).items():
            file.require_group(f"{place}/vars" if place else "vars").attrs["name"] = name
    source = open_source(str(path))
    assert isinstance(source, KerasSource)
    return source


def test_names_join_and_leave_the_root_out(tmp_path: Path) -> None:
    inner = "layers/sequential/layers/dense"
    names = {"": "model", "layers/sequential": "inner", inner: "a"}
    shapes: Shapes = {inner: [(2, 3), (3,)]}
    source = make(tmp_path / "x.weights.h5", shapes, names)
    assert source.paths == {"inner/a/kernel": f"{inner}/vars/0", "inner/a/bias": f"{inner}/vars/1"}
    slot = source.slots["inner/a/kernel"]
    assert (slot.layer, slot.kind, slot.options["inferred"]) == ("inner/a", "Dense", True)


def test_numbers_are_numbers(tmp_path: Path) -> None:
    shapes: Shapes = {f"layers/dense_{i}" if i else "layers/dense": [(1, 1)] for i in range(12)}
    source = make(tmp_path / "x.weights.h5", shapes)
    assert [n.split("/")[1] for n in source.specs] == [p.split("/")[1] for p in shapes]


def test_the_variables_of_a_layer_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    source = make(tmp_path / "x.weights.h5", {"layers/my_layer": [(1,)] * 12})
    assert list(source.specs) == [f"layers/my_layer/vars/{i}" for i in range(12)]


@pytest.mark.parametrize(
    ("segment", "shapes", "leaves"),
    [
        ("batch_normalization", [(3,)] * 4, ["gamma", "beta", "moving_mean", "moving_variance"]),
        ("batch_normalization", [(3,)] * 2, ["moving_mean", "moving_variance"]),
        ("p_re_lu_3", [(1, 1, 3)], ["alpha"]),
        (
            "separable_conv2d",
            [(3, 3, 2, 1), (1, 1, 2, 4)],
            ["depthwise_kernel", "pointwise_kernel"],
        ),
        ("rms_normalization", [(3,)], ["scale"]),
        ("normalization", [(3,), (3,), ()], ["mean", "variance", "count"]),
    ],
)
def test_the_class_in_the_path_names_variables(
    tmp_path: Path, segment: str, shapes: list[tuple[int, ...]], leaves: list[str]
) -> None:
    place = f"layers/{segment}"
    source = make(tmp_path / "x.weights.h5", {place: shapes}, {place: "x"})
    assert list(source.specs) == [f"x/{leaf}" for leaf in leaves]


@pytest.mark.parametrize(
    ("place", "shapes"),
    [
        ("layers/batch_normalization", [(3,)] * 3),
        ("layers/layer_normalization", [(3,)]),
        ("layers/attention", [()]),
        ("layers/my_layer", [(3,), (3,)]),
        ("layers/time_distributed/layer", [(2, 3), (3,)]),
    ],
)
def test_what_cannot_be_decided_keeps_its_number(
    tmp_path: Path, place: str, shapes: list[tuple[int, ...]]
) -> None:
    source = make(tmp_path / "x.weights.h5", {place: shapes}, {place: "x"})
    assert list(source.specs) == [f"x/vars/{i}" for i in range(len(shapes))]
    assert {slot.kind for slot in source.slots.values()} == {""}


def test_an_attribute_is_no_class(tmp_path: Path) -> None:
    """`self.embedding = Dense(…)` of a subclassed model: its path is `embedding`."""
    names = {"": "model", "embedding": "dense_7"}
    source = make(tmp_path / "x.weights.h5", {"embedding": [(2, 3)]}, names)
    assert list(source.specs) == ["dense_7/vars/0"]
    listed = {"": "model", "blocks/dense": "d"}  # `self.blocks = [Dense(…)]`
    source = make(tmp_path / "x.weights.h5", {"blocks/dense": [(2, 3)]}, listed)
    assert list(source.specs) == ["d/kernel"]


@pytest.mark.parametrize(("bias", "after"), [((2, 9), True), ((9,), False)])
def test_the_bias_of_a_gru_tells_reset_after(
    tmp_path: Path, bias: tuple[int, ...], after: bool
) -> None:
    source = make(tmp_path / "x.weights.h5", {"layers/gru/cell": [(4, 9), (3, 9), bias]})
    assert source.slots["layers/gru/cell/bias"].options["reset_after"] is after


def test_names_that_stand_twice_keep_their_paths(tmp_path: Path) -> None:
    names = {"layers/dense": "d", "layers/dense_1": "d"}
    source = make(tmp_path / "x.weights.h5", {place: [(2, 3)] for place in names}, names)
    assert list(source.specs) == ["layers/dense/kernel", "layers/dense_1/kernel"]
    assert any("d/kernel stands twice" in remark for remark in source.remarks)


def test_a_second_name_of_a_dataset_is_a_tie(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), "f4")
        file["layers/dense_1/vars/0"] = file["layers/dense/vars/0"]
    source = open_source(str(path))
    assert source.ties == {"layers/dense_1/kernel": "layers/dense/kernel"}


def test_two_opaque_bytes_are_bfloat16_only_if_the_file_says_so(tmp_path: Path) -> None:
    path, array = tmp_path / "x.weights.h5", np.array([[1.5, -2.0]], ml_dtypes.bfloat16)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = array.view("V2")
        file["layers/dense/vars/0"].attrs["dtype"] = "bfloat16"
        file.create_dataset("layers/dense/vars/1", data=array[0].view("V2"), chunks=(1,))
        file["layers/dense/vars/1"].attrs["dtype"] = "bfloat16"
    source = open_source(str(path))
    for name, wanted in (("kernel", array), ("bias", array[0])):
        spec = source.specs[f"layers/dense/{name}"]
        got = source.read(f"layers/dense/{name}", whole(spec))
        assert got.dtype == array.dtype
        assert got.tobytes() == wanted.tobytes()
    with h5py.File(path, "r+") as file:
        del file["layers/dense/vars/0"].attrs["dtype"]
    with pytest.raises(UnsupportedFile, match="unknown dtype"):
        open_source(str(path))


def test_every_dtype_and_a_tie_come_back(tmp_path: Path) -> None:
    template = make(
        tmp_path / "t.weights.h5", {"layers/dense": [(2, 3), (3,)], "layers/dense_1": [(3,)]}
    )
    names = list(template.specs)
    for dtype in ("float16", "bfloat16", "int64", "uint8", "bool", "complex64"):
        specs = {n: s._replace(dtype=_dtype(dtype)) for n, s in list(template.specs.items())[1:]}
        rows = {n: np.ones(s.shape, s.dtype.numpy()) for n, s in specs.items()}
        order = Order(specs, ties={names[0]: names[1]}, template=template)
        sink = create_sink("keras-weights", str(tmp_path / "o.weights.h5"), order)
        for name, value in rows.items():
            sink.write(name, whole(specs[name]), value)
        sink.commit()
        source = open_source(str(tmp_path / "o.weights.h5"))
        assert len(source.ties) == 1
        assert source.specs[names[1]] == specs[names[1]]
        assert np.array_equal(source.read(names[2], whole(specs[names[2]])), rows[names[2]])


def _dtype(name: str) -> Any:
    from weightsurgeon.spec import dtype_of

    return dtype_of(name)


def test_without_a_template_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--template"):
        create_sink("keras-weights", str(tmp_path / "x.weights.h5"), Order({}))


# -- the judge -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    return saved(folder)


@pytest.mark.frameworks
@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_of_the_model(folder: Path, models: dict[str, Any], name: str) -> None:
    source = open_source(str(folder / f"{name}.weights.h5"))
    wanted, got = values_of(models[name]), read_all(source)
    named = [n for n in got if "/vars/" not in n]
    assert set(named) <= wanted.keys()
    assert all(np.array_equal(got[n], wanted[n]) for n in named)
    assert len(got) == len(wanted)


@pytest.mark.frameworks
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # it is left out
@pytest.mark.parametrize("template", ["keras", "keras-weights", "keras-h5"])
@pytest.mark.parametrize("name", MODELS)
def test_keras_loads_what_we_write(
    folder: Path, models: dict[str, Any], tmp_path: Path, name: str, template: str
) -> None:
    path, model = tmp_path / "x.weights.h5", models[name]
    kept = model.get_weights()
    made = rewrite(folder / f"{name}{SUFFIXES[template]}", path, "keras-weights")
    model.load_weights(path)
    got = values_of(model)
    model.set_weights(kept)
    assert len(made) == len(got)
    for key, value in made.items():
        if "/vars/" not in key:
            assert np.array_equal(got[key], value), key
