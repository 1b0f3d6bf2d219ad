"""Laws of the wing's reductions: the same bits for any blocks and threads; sums in closed form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import normal, written
from strategies import DENSE, noise

from weightsurgeon import reducing
from weightsurgeon.expr import array
from weightsurgeon.inspection.axes import ALONG, row_shape
from weightsurgeon.inspection.comparing import CHANGE, TOWARDS
from weightsurgeon.inspection.hashing import BAG, row_hashes
from weightsurgeon.pending import reduction

A, B, C = (normal(700, 500, seed=i) for i in range(3))


def everything(workers: int) -> dict[str, Any]:
    a, b, c = array(A), array(B, "b"), array(C, "c")
    wave = {
        "change": reduction(CHANGE, a, b),
        "towards": reduction(TOWARDS, a, b, c),
        "along": reduction(ALONG, a, **row_shape(a)),
        "rows": row_hashes(a, 1),
        "bag": reduction(BAG, a),
    }
    return reducing.reduce(wave, workers=workers)


@given(st.integers(1, 5), st.integers(1, 2))
def test_blocks_and_threads_do_not_show(runs: int, workers: int) -> None:
    expected = everything(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "SCRATCH_BYTES", 4 * 65_536 * 12 * runs)
        found = everything(workers)
    for key in ("change", "towards", "bag"):
        assert found[key] == expected[key]
    for x, y in zip(found["along"][1:], expected["along"][1:], strict=True):
        assert np.array_equal(x, y)
    assert np.array_equal(found["rows"], expected["rows"])


def test_sums_are_those_of_float64() -> None:
    found = everything(2)
    a, b, c = (x.astype("f8") for x in (A, B, C))
    change, towards = found["change"], found["towards"]
    assert change.dd == pytest.approx(((b - a) ** 2).sum(), rel=1e-12)
    assert change.ad == pytest.approx((a * (b - a)).sum(), rel=1e-9)
    assert change.worst == np.abs(b - a).max()
    assert change.flips == (a * b < 0).sum()
    assert towards.np == pytest.approx(((b - a) * (c - a)).sum(), rel=1e-9)


@pytest.mark.parametrize("dtype", DENSE, ids=str)
def test_every_dtype_is_compared(dtype: Any) -> None:
    a, b = noise((300,), dtype, seed=1), noise((300,), dtype, seed=2)
    with np.errstate(all="ignore"):
        wide = [x.astype("c16" if dtype.kind == "complex" else "f8") for x in (a, b)]
        differ = ~((wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1])))
    if dtype.kind in ("int", "uint"):
        differ = a != b
    found = reducing.reduce({"": reduction(CHANGE, array(a), array(b, "b"))})[""]
    assert found.changed == differ.sum()
    assert (found.ulp is None) == (dtype.kind != "float" or dtype.name == "float8_e8m0fnu")


def test_looking_at_a_file_imports_no_framework(tmp_path: Path) -> None:
    file = written(tmp_path / "a.safetensors", {"w": A[:4, :4].copy()}, metadata={"format": "pt"})
    calls = (["stats", file], ["diff", file, file], ["doctor", file], ["match", file, file])
    code = f"""
import sys
from weightsurgeon import cli
for words in {calls!r}:
    assert cli._guarded(words) == 0, words
heavy = {{"torch", "tensorflow", "keras", "onnx", "h5py", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
