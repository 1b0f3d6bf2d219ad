"""Plain tensors into a base with weight norms: a direction and a length, and the rest untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import Array, Bench, count, mapping

OLD = ("fc.weight_g", "fc.weight_v")
NEW = ("fc.parametrizations.weight.original0", "fc.parametrizations.weight.original1")
W = np.array([[3, 4], [6, 8]], "f4")
BIAS = count(2)


def base(names: tuple[str, str], g: Array | None = None) -> dict[str, Array]:
    length = np.ones((2, 1), "f4") if g is None else g
    return {names[0]: length, names[1]: np.ones((2, 2), "f4"), "fc.bias": np.ones(2, "f4")}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("names", [OLD, NEW])
def test_a_kernel_is_a_direction_and_a_length(bench: Bench, names: tuple[str, str]) -> None:
    out = bench.port({"fc.weight": W, "fc.bias": BIAS}, None, base(names), to="torch")
    assert out[names[0]].tolist() == [[5], [10]]
    assert out[names[1]].tolist() == W.tolist()
    assert out["fc.bias"].tolist() == BIAS.tolist()
    assert bench.lines("folded") == ["weight norm: v = W, g = ‖W‖: fc.weight"]
    assert bench.report is not None
    classes = {row.name: row.class_ for row in bench.report.rows}
    assert (classes[names[0]], classes[names[1]]) == ("function", "exact")


def test_one_length_is_that_of_all(bench: Bench) -> None:
    out = bench.port({"fc.weight": W, "fc.bias": BIAS}, None, base(OLD, np.array(1, "f4")))
    assert out["fc.weight_g"] == pytest.approx(np.sqrt(125))


def test_from_keras_the_kernel_is_transposed_first(bench: Bench) -> None:
    rules = mapping("- {layer: fc, to: fc, kind: linear}", "keras", "torch")
    out = bench.port({"fc/kernel": W.T, "fc/bias": BIAS}, rules, base(NEW))
    assert out[NEW[1]].tolist() == W.tolist()
    assert out[NEW[0]].tolist() == [[5], [10]]


def test_there_and_back_is_the_kernel(bench: Bench) -> None:
    there = bench.port({"fc.weight": W, "fc.bias": BIAS}, None, base(NEW))
    back = bench.port(there, None, {"fc.weight": 0 * W, "fc.bias": BIAS})
    assert back["fc.weight"].tolist() == W.tolist()


def test_what_the_base_keeps_stays_as_it_is(bench: Bench) -> None:
    rules = mapping("- {from: fc.bias, to: fc.bias}", more="policy: transfer")
    out = bench.port({"fc.bias": BIAS}, rules, base(OLD), into=True)
    assert out["fc.weight_g"].tolist() == [[1], [1]]
    assert out["fc.weight_v"].tolist() == [[1, 1], [1, 1]]
    assert bench.actions()["fc.weight_g"] == "kept"


def test_parts_that_a_rule_makes_are_left_to_it(bench: Bench) -> None:
    rules = mapping("- {from: a, to: fc.weight_g}\n- {from: b, to: fc.weight_v}")
    plain = {k: v for k, v in base(OLD).items() if k != "fc.bias"}
    out = bench.port({"a": np.full((2, 1), 7, "f4"), "b": W}, rules, plain)
    assert out["fc.weight_g"].tolist() == [[7], [7]]


def test_a_spectral_norm_has_no_way_back(bench: Bench) -> None:
    norm = {"fc.weight_orig": W, "fc.weight_u": BIAS, "fc.weight_v": BIAS, "fc.bias": BIAS}
    (line,) = bench.refuse({"fc.weight": W, "fc.bias": BIAS}, None, norm)
    assert line.startswith("kind: fc.weight: there it is divided by its spectral norm")
