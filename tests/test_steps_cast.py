"""cast: floats to floats, one rounding, overflow as asked, integers untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from porting import Shell, count, lines_of, save
from safetensors.numpy import load_file
from strategies import FLOATS, Memory, noise

from weightsurgeon.api import open as open_
from weightsurgeon.api import run
from weightsurgeon.errors import SurgeryError
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.outcome import Report
from weightsurgeon.spec import dtype_of
from weightsurgeon.surgery import plan_cast
from weightsurgeon.writing import write


def state(tensors: dict[str, Any], **about: Any) -> Checkpoint:
    return Checkpoint(Memory(tensors, **about), {}, None, "")


def done(folder: Path, tensors: dict[str, Any], **keys: Any) -> Report:
    step = {"cast": {"from": "a", "as": "x"} | keys}
    output = {"from": "x", "path": folder / "o.safetensors"}
    return run({"weightsurgeon": 1, "steps": [step], "output": output}, a=state(tensors))


def refused(folder: Path, tensors: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(SurgeryError) as caught:
        done(folder, tensors, **keys)
    (line,) = lines_of(caught.value)
    return line


MIXED = {"w": count(3) + 0.1, "n": np.arange(3), "b": np.array([True]), "h.w": count(2)}


def test_floats_are_cast_and_all_else_is_copied(tmp_path: Path) -> None:
    report = done(tmp_path, MIXED, dtype="float16")
    out = load_file(tmp_path / "o.safetensors")
    assert {n: x.dtype.name for n, x in out.items()} == {
        "w": "float16", "n": "int64", "b": "bool", "h.w": "float16",
    }  # fmt: skip
    assert np.array_equal(out["w"], MIXED["w"].astype("f2"))
    assert [(x.id, x.names) for x in report.lines] == [("lossy-cast", ("w", "h.w"))]
    assert {r.name: r.action for r in report.rows}["n"] == "copied"


def test_selectors(tmp_path: Path) -> None:
    done(tmp_path, MIXED, dtype="float64", select="*w", exclude="h.*")
    out = load_file(tmp_path / "o.safetensors")
    assert (out["w"].dtype.name, out["h.w"].dtype.name) == ("float64", "float32")
    report = done(tmp_path, MIXED, dtype="float64", select=["w", "n"])
    assert [(x.id, x.names) for x in report.lines] == [("kept", ("n",))]
    assert "select: selects no float: 1 of 4" in refused(
        tmp_path, MIXED, dtype="float16", select="n"
    )
    assert "exclude: matches no tensor" in refused(tmp_path, MIXED, dtype="float16", exclude="q")
    assert "dtype: wants a float of a byte" in refused(tmp_path, MIXED, dtype="int8")
    assert "unknown dtype bf16" in refused(tmp_path, MIXED, dtype="bf16")


@given(st.sampled_from(FLOATS), st.sampled_from(FLOATS), st.integers(0, 50))
def test_clamp_is_inf_but_for_what_overflows(source: Any, target: Any, seed: int) -> None:
    x = noise((64,), source, seed)
    expr = Checkpoint(Memory({"x": x}), {}, None, "")["x"]
    plain = cast(expr, target, "inf").numpy()
    clamped = cast(expr, target, "clamp").numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        lost = np.isfinite(x) & ~np.isfinite(plain)
    assert clamped[~lost].tobytes() == plain[~lost].tobytes()
    largest = ml_dtypes.finfo(dtype_of(target).numpy()).max  # type: ignore[no-untyped-call]
    assert all(abs(float(v)) == float(largest) for v in clamped[lost])
    assert np.array_equal(np.signbit(clamped[lost]), np.signbit(x[lost]))


def test_overflow(tmp_path: Path) -> None:
    big = {"w": np.array([500, -1e6, 1, np.inf, 1e-9], "f4")}
    assert "w: 2 finite values have no place in float8_e4m3fn" in refused(
        tmp_path, big, dtype="float8_e4m3fn"
    )
    assert not (tmp_path / "o.safetensors").exists()
    report = done(tmp_path, big, dtype="float8_e4m3fn", overflow="clamp")
    with open_(tmp_path / "o.safetensors") as x:
        found = x["w"].numpy().astype("f4")
    assert found[:3].tolist() == [448, -448, 1]
    assert (np.isnan(found[3]), found[4]) == (True, 0)  # Inf has no place there and is not finite
    assert report.rows[0].counts == {"overflow": 2, "underflow": 1}
    report = done(tmp_path, big, dtype="float16", overflow="inf")
    assert load_file(tmp_path / "o.safetensors")["w"].tolist()[:2] == [500, -np.inf]
    assert report.rows[0].counts == {"overflow": 1, "underflow": 1}


def test_float64_goes_to_bfloat16_in_one_rounding(tmp_path: Path) -> None:
    """Answer 66."""
    done(tmp_path, {"w": np.array([1 + 2**-8 + 2**-40])}, dtype="bfloat16")
    with open_(tmp_path / "o.safetensors") as x:
        assert float(x["w"].numpy()[0]) == 1.0078125


def test_a_tie_is_cast_once_and_stays(tmp_path: Path) -> None:
    tied = state({"tok": count(4), "head": count(4)}, ties={"head": "tok"})
    write(plan_cast(tied, tmp_path / "o.safetensors", "float16", select=["head"]))
    with open_(tmp_path / "o.safetensors") as x:
        assert dict(x.ties) == {"head": "tok"}
        assert x["tok"].spec.dtype.name == "float16"
    with pytest.raises(SurgeryError, match="selects no float"):
        plan_cast(tied, tmp_path / "o.safetensors", "float16", exclude=["head"])


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path / "a.safetensors", {"w": count(2), "v": count(2)})
    out = tmp_path / "o.safetensors"
    called = Shell(capsys)("cast", source, "-o", out, "--dtype", "float16", "--exclude", "v")
    assert called.code == 0
    assert "1 cast" in called.out
    assert {n: x.dtype.name for n, x in load_file(out).items()} == {"w": "float16", "v": "float32"}
