"""`diff`: each class planted and found; nothing that differs is called equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import Shell
from samples import normal, written

import weightsurgeon as ws
from weightsurgeon.errors import MissingTensor, SurgeryError
from weightsurgeon.inspection.diff import Diff, Pair

Array = np.ndarray[Any, Any]
W = normal(64, 64)


def compared(tmp: Path, a: Array, b: Array, **more: Any) -> tuple[Diff, Pair]:
    one = written(tmp / "a.safetensors", {"w": a})
    two = written(tmp / "b.safetensors", {"w": b})
    found = ws.diff(one, two, **more)
    (pair,) = found.pairs
    return found, pair


def test_the_same_bits_are_identical(tmp_path: Path) -> None:
    values = W.copy()
    values[3, 3] = np.nan
    found, pair = compared(tmp_path, values, values.copy())
    assert (found.equal, pair.relation.name) == (True, "identical")
    assert str(found) == "0 of 1 differ · 1 identical"


def test_equal_values_with_other_bits(tmp_path: Path) -> None:
    a, b = W.copy(), W.copy()
    a[0, 0], b[0, 0] = 0.0, -0.0
    a.view("u4")[1, 1], b.view("u4")[1, 1] = 0x7FC00000, 0x7FC00001
    found, pair = compared(tmp_path, a, b)
    assert (found.equal, pair.relation.name) == (True, "equal")
    assert pair.relation.change is not None
    assert pair.relation.change.nan == 1


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    b = W.copy()
    b.view("u4")[17, 3] ^= 1
    found, pair = compared(tmp_path, W, b)
    change = pair.relation.change
    assert (found.equal, pair.relation.name) == (False, "changed"), pair.relation
    assert change is not None
    assert (change.changed, change.ulp, change.at) == (1, 1, 17 * 64 + 3)
    assert "at [17, 3]" in pair.detail


def test_a_small_step_everywhere(tmp_path: Path) -> None:
    zeros = np.zeros((256, 256), "f4")
    _, pair = compared(tmp_path, zeros, zeros + np.float32(1e-3))
    change = pair.relation.change
    assert change is not None
    assert change.dd**0.5 == pytest.approx(0.256, rel=1e-6)
    assert (change.worst, change.changed) == (float(np.float32(1e-3)), 65536)
    assert (change.relative, change.cosine) == (None, None)


BF16 = ml_dtypes.bfloat16
PLANTED = {
    "transposed": (W, W.T.copy(), "B = A.T"),
    "turned": (normal(3, 4, 5), normal(3, 4, 5).transpose(2, 0, 1).copy(), "A.permute(2, 0, 1)"),
    "dtype-rounded": (W, W.astype(BF16), "B = bf16(A)"),
    "widened": (W.astype(BF16), W.astype(BF16).astype("f4"), "B = f32(A)"),
    "both": (W, W.T.astype(BF16), "B = bf16(A.T)"),
    "reverse": (W.astype(BF16), W, "A = bf16(B)"),
    "reshaped": (W, W.reshape(32, 128), "A.reshape(32, 128)"),
    "scaled": (W, 2 * W, "B = 2·A"),
    "negated": (W, -W, "B = -1·A"),
}
CLASS = {"turned": "transposed", "widened": "dtype-rounded", "both": "transposed"}
CLASS |= {"reverse": "dtype-rounded", "negated": "scaled"}


@pytest.mark.parametrize("case", PLANTED)
def test_what_b_is_of_a(tmp_path: Path, case: str) -> None:
    a, b, text = PLANTED[case]
    found, pair = compared(tmp_path, a, np.ascontiguousarray(b))
    assert pair.relation.name == CLASS.get(case, case)
    assert text in pair.detail
    assert not found.equal
    allowed, _ = compared(tmp_path, a, np.ascontiguousarray(b), allowed=[pair.relation.name])
    assert allowed.equal


def test_permuted_rows_columns_and_gates(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(64)
    for axis in (0, 1):
        _, pair = compared(tmp_path, W, np.take(W, order, axis))
        assert pair.relation.permutation == (axis, tuple(order.tolist()))
    gates = W.reshape(4, 16, 64)[[0, 2, 1, 3]].reshape(64, 64)
    _, pair = compared(tmp_path, W, gates)
    assert pair.detail == "B = A with the 4 blocks of axis 0 as 0 2 1 3"


def test_the_same_bag_in_no_known_order_is_changed(tmp_path: Path) -> None:
    b = np.random.default_rng(2).permutation(W.ravel()).reshape(W.shape)
    _, pair = compared(tmp_path, W, b)
    assert pair.relation.name == "changed"


def test_shapes_and_names_that_do_not_fit(tmp_path: Path) -> None:
    a = written(tmp_path / "a.safetensors", {"w": W, "x": W[0]})
    b = written(tmp_path / "b.safetensors", {"w": W[:3].copy(), "y": W[0]})
    found = ws.diff(a, b)
    assert (found.a_only, found.b_only, found.equal) == (("x",), ("y",), False)
    assert found.pairs[0].relation.name == "shape"
    assert found.pairs[0].detail == "64×64 against 3×64"
    assert "3 of 3 differ" in str(found)
    only = ws.diff(a, a, select=["x"])
    assert [p.b for p in only.pairs] == ["x"]


def test_nonfinite_values_are_apart_without_a_warning(tmp_path: Path) -> None:
    b = W.copy()
    b[2, 2] = np.inf
    found, pair = compared(tmp_path, W, b)
    assert pair.relation.change is not None
    assert pair.relation.change.worst == float("inf")
    assert found.to_json()["pairs"][0]["max_abs"] == "inf"
    json.dumps(found.to_json(), allow_nan=False)


def test_integers_differ_exactly(tmp_path: Path) -> None:
    _, pair = compared(tmp_path, np.array([2**53, 1], "i8"), np.array([2**53 + 1, 1], "i8"))
    assert pair.relation.change is not None
    assert pair.relation.change.changed == 1


def test_a_tolerance_and_its_limit(tmp_path: Path) -> None:
    assert compared(tmp_path, W, W + np.float32(1e-3), atol=2e-3)[0].equal
    assert not compared(tmp_path, W, W + np.float32(1e-3), atol=5e-4)[0].equal


def test_a_soft_update_is_told_by_its_tau(tmp_path: Path) -> None:
    old, online = normal(300, 300), normal(300, 300, seed=1)
    new = (old + np.float32(0.005) * (online - old)).astype("f4")
    third = written(tmp_path / "p.safetensors", {"w": online})
    found, pair = compared(tmp_path, old, new, toward=third)
    assert pair.relation.name == "soft-updated"
    assert pair.towards is not None
    assert pair.towards.tau == pytest.approx(0.005, rel=1e-6)
    assert pair.towards.residual is not None
    assert pair.towards.residual < 1e-4
    assert compared(tmp_path, old, new, toward=third, allowed=["soft-updated"])[0].equal
    lacking = written(tmp_path / "q.safetensors", {"v": online})
    with pytest.raises(MissingTensor, match="holds no tensor w"):
        compared(tmp_path, old, new, toward=lacking)
    assert not found.equal


def test_keras_against_torch(tmp_path: Path) -> None:
    ws.port("examples/small.keras", tmp_path / "m.pt")
    found = ws.diff("examples/small.keras", tmp_path / "m.pt")
    assert found.equal
    assert {p.b for p in found.pairs} > {"conv1.weight", "fc1.weight"}
    assert "conv1/kernel → conv1.weight" in "\n".join(found.text(everything=True))


def test_an_unknown_class_is_refused(tiny: Path) -> None:
    with pytest.raises(SurgeryError, match="no class is 'same'; known: identical, equal"):
        ws.diff(tiny, tiny, allowed=["same"])


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    a = written(tmp_path / "a.safetensors", {"w": W, "\x1b[31m": W})
    b = written(tmp_path / "b.safetensors", {"w": W.T.copy(), "\x1b[31m": W})
    call = shell("diff", a, b)
    assert call.code == 1
    assert call.out.splitlines() == [
        "w  64×64  transposed  B = A.T",
        "1 of 2 differ · 1 identical · 1 transposed",
    ]
    assert shell("diff", a, b, "--assert", "transposed").code == 0
    data = json.loads(shell("diff", a, b, "--json").out)
    assert (data["weightsurgeon_json"], data["command"], data["equal"]) == (1, "diff", False)
    assert "\x1b" not in shell("diff", a, b, "--all").out
