"""Reparametrised layers of torch are folded where the other side has plain ones, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import Array, Bench, count, mapping

RULE = "- {{layer: fc, to: fc, kind: {}}}"
V, G = np.array([[3, 4], [5, 12]], "f4"), np.array([[10], [26]], "f4")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("g", "v"),
    [
        ("fc.weight_g", "fc.weight_v"),
        ("fc.parametrizations.weight.original0", "fc.parametrizations.weight.original1"),
    ],
)
def test_a_weight_norm_is_a_kernel(bench: Bench, g: str, v: str) -> None:
    rules = mapping(RULE.format("linear"), "torch", "keras")
    out = bench.port({g: G, v: V, "fc.bias": count(2)}, rules)
    assert out["fc/kernel"].T.tolist() == [[6, 8], [10, 24]]
    assert bench.lines("folded") == ["weight norm: W = g·v/‖v‖: fc.weight"]
    assert bench.report is not None
    (kernel,) = [row for row in bench.report.rows if row.name == "fc/kernel"]
    assert (kernel.sources, kernel.class_) == ((g, v), "function")


def test_one_length_is_that_of_the_whole_kernel(bench: Bench) -> None:
    tensors = {"fc.weight_g": np.array(5, "f4"), "fc.weight_v": np.array([[2, 1], [4, 2]], "f4")}
    out = bench.port(tensors, mapping(RULE.format("linear"), "torch", "keras"))
    assert out["fc/kernel"].T.tolist() == [[2, 1], [4, 2]]


@pytest.mark.parametrize(
    "names",
    [
        ("fc.weight_orig", "fc.weight_u", "fc.weight_v"),
        (
            "fc.parametrizations.weight.original",
            "fc.parametrizations.weight.0._u",
            "fc.parametrizations.weight.0._v",
        ),
    ],
)
def test_a_spectral_norm_is_divided_by_its_value(bench: Bench, names: tuple[str, ...]) -> None:
    parts = (
        np.array([[2, 0, 4], [0, 6, 8]], "f4"),
        np.array([1, 0], "f4"),
        np.array([1, 0, 0], "f4"),
    )
    tensors = dict(zip(names, parts, strict=True))
    out = bench.port(tensors, mapping(RULE.format("linear"), "torch", "keras"))
    assert out["fc/kernel"].T.tolist() == [[1, 0, 2], [0, 3, 4]]
    assert bench.report is not None
    assert [row.class_ for row in bench.report.rows] == ["lossy"]


def test_within_torch_the_parts_stay(bench: Bench) -> None:
    tensors = {"fc.weight_g": G, "fc.weight_v": V}
    assert bench.port(tensors, None).keys() == tensors.keys()
    out = bench.port(tensors, None, base={"fc.weight": V})  # unless the base has it plain
    assert out["fc.weight"].tolist() == [[6, 8], [10, 24]]


def test_a_mapping_that_names_the_parts_gets_them(bench: Bench) -> None:
    rules = mapping(
        '- {from: "fc.weight_{p:g|v}", to: "fc/{p}", layout: "a b -> b a"}', "torch", "keras"
    )
    out = bench.port({"fc.weight_g": G, "fc.weight_v": V}, rules)
    assert out["fc/v"].tolist() == V.T.tolist()


def test_what_only_a_module_knows_is_refused(bench: Bench) -> None:
    prefix = "fc.parametrizations.weight"
    tensors = {f"{prefix}.original": V, f"{prefix}.0.base": V}
    (line,) = bench.refuse(tensors, None, to="keras")
    assert line.startswith("kind: fc.weight: how 0.base, original make it, only its module knows")


def square() -> dict[str, Array]:
    kernel = np.arange(2 * 2 * 2, dtype="f4").reshape(2, 2, 2)
    u, v = np.array([0, 1], "f4"), np.array([0, 0, 1, 0], "f4")
    return {"fc.weight_orig": kernel, "fc.weight_u": u, "fc.weight_v": v}


def test_the_kind_tells_along_which_axis_a_square_kernel_is_divided(bench: Bench) -> None:
    rules = mapping(RULE.format("conv"), "torch", "keras")
    kernel = square()["fc.weight_orig"]
    out = bench.port(square(), rules)["fc/kernel"]
    np.testing.assert_array_equal(out.transpose(2, 1, 0), kernel / kernel[1, 1, 0])
    rules = mapping(RULE.format("conv_transpose"), "torch", "keras")
    out = bench.port(square(), rules)["fc/kernel"]
    np.testing.assert_array_equal(out.transpose(2, 1, 0), kernel / kernel[1, 1, 0])
    (line,) = bench.refuse(square(), None, to="keras")
    assert "a convolution or a transposed one, which are divided otherwise" in line


def test_a_length_that_fits_no_axis_is_refused(bench: Bench) -> None:
    rules = mapping(RULE.format("linear"), "torch", "keras")
    lines = bench.refuse({"fc.weight_g": count(2, 2), "fc.weight_v": V}, rules)
    assert len(lines) == 1
    assert "is no length of float32 (2, 2)" in lines[0]
