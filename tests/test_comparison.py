"""verify: equal bits or not, the worst first, through a mapping or between dialects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import Tensors, count, mapping, save

from weightsurgeon.api import port, verify
from weightsurgeon.comparison import Verification
from weightsurgeon.errors import BrokenFile, PlanError
from weightsurgeon.mapping.rules import Mapping as Rules
from weightsurgeon.reducing import reduce

A, B = count(2), count(3, 2)


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, "float32")


def compared(
    folder: Path, a: Tensors, b: Tensors, rules: Rules | None = None, **how: Any
) -> Verification:
    found: Verification = verify(
        save(folder / "a.safetensors", a), save(folder / "b.safetensors", b), rules, **how
    )
    return found


def test_equal_files_are_equal(tmp_path: Path) -> None:
    x = np.array([np.nan, -0.0, np.inf, 1e-45], "float32")
    found = compared(tmp_path, {"x": x, "y.w": B}, {"y.w": B, "x": x})
    assert found.equal
    assert (len(found.pairs), found.values, found.differing) == (2, 10, ())
    assert str(found) == "equal: 2 tensors, 10 values compared: 0 differ"


def test_bits_count_and_not_values(tmp_path: Path) -> None:
    found = compared(tmp_path, {"x": np.zeros(3, "f4")}, {"x": floats(0, -0.0, 0)})
    assert not found.equal
    assert found.differing[0].difference.count == 1
    assert found.differing[0].difference.worst == 0


def test_the_worst_tensor_is_first(tmp_path: Path) -> None:
    a = {"slight": count(2, 3), "bad": count(2, 3), "none": count(4), "nan": count(2)}
    b = {k: v.copy() for k, v in a.items()}
    b["slight"][0, 1] += 1e-3
    b["bad"][1, 2] -= 100
    b["bad"][0, 0] += 1
    b["nan"][1] = np.nan
    found = compared(tmp_path, a, b)
    assert [p.a for p in found.differing] == ["nan", "bad", "slight"]
    assert str(found).split("\n") == [
        "nan: 1 of 2 differ, worst |Δ| inf at [1]",
        "bad: 2 of 6 differ, worst |Δ| 100 at [1, 2]",
        "slight: 1 of 6 differ, worst |Δ| 0.001 at [0, 1]",
        "different: 4 tensors, 18 values compared: 4 differ",
    ]
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["weightsurgeon_json"] == 1
    assert data["equal"] is False
    assert data["pairs"][1] == {
        "a": "bad",
        "b": "bad",
        "count": 2,
        "first": [0, 0],
        "max_abs": 100.0,
        "at": [1, 2],
    }
    assert data["pairs"][0]["max_abs"] == "inf"


def test_a_difference_can_be_allowed(tmp_path: Path) -> None:
    a, b = {"x": floats(1, 2)}, {"x": floats(1, 2.5)}
    assert not compared(tmp_path, a, b, atol=0.49).equal
    found = compared(tmp_path, a, b, atol=0.5)
    assert found.equal
    assert str(found) == ("equal: 1 tensors, 2 values compared: 1 differ, none by more than 0.5")


def test_many_differences_are_cut(tmp_path: Path) -> None:
    a = {f"x{i}": A for i in range(15)}
    found = compared(tmp_path, a, {k: v + 1 for k, v in a.items()})
    assert str(found).split("\n")[10] == "… and 5 more"


@pytest.mark.parametrize(
    ("a", "b", "id"),
    [
        ({"x": A, "more": A}, {"x": A}, "no-such-target"),
        ({"x": A}, {"x": A, "more": A}, "unmatched-target"),
        ({"x": A, "y": count(3)}, {"x": A, "y": count(4)}, "shape"),
        ({"x": A, "y": count(2, dtype="int64")}, {"x": A, "y": A}, "shape"),
    ],
)
def test_what_only_one_side_has_is_a_difference(
    tmp_path: Path, a: Tensors, b: Tensors, id: str
) -> None:
    found = compared(tmp_path, a, b)
    assert not found.equal
    assert [line.id for line in found.lines if line.id == id]
    assert id in str(found)
    assert [p.a for p in found.pairs] == ["x"]


def test_a_cast_is_compared_after_its_one_rounding(tmp_path: Path) -> None:
    x = floats(1.00390625, 3)
    assert compared(tmp_path, {"x": x}, {"x": x.astype(ml_dtypes.bfloat16)}).equal
    off = x.astype(ml_dtypes.bfloat16) * 2
    assert not compared(tmp_path, {"x": x}, {"x": off}).equal


KERAS = {
    "fc/kernel": count(2, 3),
    "fc/bias": count(3),
    **{f"bn/{x}": A for x in ("gamma", "beta", "moving_mean", "moving_variance")},
}
RULES = "- {layer: fc, to: head, kind: linear}\n- {layer: bn, to: norm, kind: batchnorm}"


def test_through_a_mapping(tmp_path: Path) -> None:
    rules = mapping(RULES, "keras", "torch")
    source, made = save(tmp_path / "k.safetensors", KERAS), tmp_path / "t.safetensors"
    port(source, made, rules)
    assert verify(source, made, rules).equal
    torch = {
        "head.weight": count(2, 3).T + 1,
        "head.bias": count(3),
        "norm.weight": A,
        "norm.bias": A,
        "norm.running_mean": A,
        "norm.running_var": A,
        "norm.num_batches_tracked": np.array(123),  # of this training; a knows nothing of it
    }
    found = compared(tmp_path, KERAS, torch, rules)
    assert [(p.a, p.b) for p in found.differing] == [("fc/kernel", "head.weight")]
    assert "fc/kernel → head.weight: 6 of 6 differ, worst |Δ| 1 at [0, 0]" in str(found)
    assert found.lines == ()


def test_between_dialects_without_a_mapping(tmp_path: Path) -> None:
    rules = mapping(RULES.replace("head", "fc").replace("norm,", "bn,"), "keras", "keras")
    source, known = save(tmp_path / "k.safetensors", KERAS), tmp_path / "known.safetensors"
    port(source, known, rules)
    made = tmp_path / "t.safetensors"
    port(known, made, to="torch")
    assert verify(known, made).equal
    assert verify(made, known).equal


def test_files_of_an_unknown_dialect_are_compared_as_they_are(tmp_path: Path) -> None:
    assert compared(tmp_path, {"fc.weight": B}, {"fc.weight": B, "odd/name": A}).lines
    assert compared(tmp_path, {"fc/weight": B}, {"fc/weight": B}).equal


def test_tied_names_are_compared_too(tmp_path: Path) -> None:
    rules = mapping("- {from: wte, to: tok}\n- {tie: head, with: tok}")
    assert compared(tmp_path, {"wte": A}, {"tok": A, "head": A}, rules).equal
    found = compared(tmp_path, {"wte": A}, {"tok": A, "head": A + 1}, rules)
    assert [p.b for p in found.differing] == ["head"]
    tied, apart = tmp_path / "tied.safetensors", {"tok": A, "head": A + 1}
    port(tmp_path / "a.safetensors", tied, rules)
    found = verify(tied, save(tmp_path / "apart.safetensors", apart))
    assert [p.b for p in found.differing] == ["head"]
    assert verify(tied, save(tmp_path / "same.safetensors", {"tok": A, "head": A})).equal


def test_a_mapping_that_loses_is_no_comparison(tmp_path: Path) -> None:
    rules = mapping("- {drop: head, equal_to: wte}\n- {from: wte, to: tok}")
    assert compared(tmp_path, {"wte": A, "head": A}, {"tok": A}, rules).equal
    with pytest.raises(PlanError, match="unequal: head differs from wte"):
        compared(tmp_path, {"wte": A, "head": A + 1}, {"tok": A}, rules)


def test_a_mapping_that_collides_is_no_comparison(tmp_path: Path) -> None:
    rules = mapping("- {from: x, to: z}\n- {from: y, to: z}")
    with pytest.raises(PlanError, match="collision"):
        compared(tmp_path, {"x": A, "y": A}, {"z": A}, rules)


def test_empty_and_scalar_tensors(tmp_path: Path) -> None:
    tensors = {"empty": np.zeros((0, 3), "f4"), "scalar": np.array(2.0)}
    assert compared(tmp_path, tensors, tensors).equal
    found = compared(tmp_path, tensors, tensors | {"scalar": np.array(3.0)})
    assert "scalar: 1 of 1 differ, worst |Δ| 1 at []" in str(found)
    assert compared(tmp_path, {}, {}).equal


def test_what_was_filled_is_compared(tmp_path: Path) -> None:
    rules = mapping("- {layer: fc, to: fc, kind: linear, roles: {bias: fill}}", "keras", "torch")
    a, b = {"fc/kernel": B}, {"fc.weight": B.T, "fc.bias": np.zeros(2, "f4")}
    assert compared(tmp_path, a, b, rules).equal
    found = compared(tmp_path, a, b | {"fc.bias": np.ones(2, "f4")}, rules)
    assert [p.b for p in found.differing] == ["fc.bias"]


def test_a_rounding_is_said(tmp_path: Path) -> None:
    x = floats(1.00390625, 3)
    found = compared(tmp_path, {"x": x}, {"x": x.astype(ml_dtypes.bfloat16)})
    assert "rounded: x" in str(found)
    assert found.to_json()["rounded"][0]["names"] == ["x"]


def test_a_file_that_changes_meanwhile_is_not_called_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = floats(1.0, 2.0)
    a, b = (save(tmp_path / f"{n}.safetensors", {"x": x}) for n in "ab")

    def meanwhile(*args: Any) -> Any:
        found = reduce(*args)
        with b.open("ab") as file:
            file.write(b" ")
        return found

    monkeypatch.setattr("weightsurgeon.comparison.reduce", meanwhile)
    with pytest.raises(BrokenFile, match="was changed while it was read"):
        verify(a, b)
