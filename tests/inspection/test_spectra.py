"""Spectra: those of numpy's decomposition; beyond the Gram matrix a bound from below."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from porting import Shell
from samples import normal, written

import weightsurgeon as ws
from weightsurgeon.expr import array
from weightsurgeon.inspection import spectra
from weightsurgeon.inspection.spectra import spectrum_of


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (1, 5), (5, 1)])
def test_it_is_the_largest_singular_value(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra, "BLOCK", 16)
    values = normal(*shape).astype("f8")
    found = spectrum_of(array(values))
    assert found is not None
    largest = np.linalg.svd(values, compute_uv=False)[0]
    assert found.norm == pytest.approx(largest, rel=1e-12)
    assert found.stable_rank == pytest.approx(np.square(values).sum() / largest**2, rel=1e-12)
    assert found.exact


def test_the_power_method_bounds_it_from_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectra, "SIDE", 8)
    values = normal(60, 30, seed=2).astype("f8")
    found = spectrum_of(array(values))
    largest = float(np.linalg.svd(values, compute_uv=False)[0])
    assert found is not None
    assert not found.exact
    assert 0.97 * largest < found.norm <= largest * (1 + 1e-12)
    assert str(found).startswith("‖W‖₂ ≥ ")


def test_zeros_and_nothing_have_none() -> None:
    assert spectrum_of(array(np.zeros((3, 4)))) is None
    assert spectrum_of(array(np.zeros((0, 4)))) is None


def test_stats_tell_it_of_matrices_and_kernels(tmp_path: Path, shell: Shell) -> None:
    found = {t.name: t for t in ws.stats("examples/small.keras", spectral=True).tensors}
    kernel = ws.open("examples/small.keras")["conv1/kernel"].numpy().reshape(-1, 4)
    told = found["conv1/kernel"].spectrum
    assert told is not None
    assert told.norm == pytest.approx(np.linalg.svd(kernel, compute_uv=False)[0], rel=1e-6)
    assert found["fc1/bias"].spectrum is None
    tensors = {"m": normal(4, 4), "nan": np.full((2, 2), np.nan, "f4"), "box": normal(2, 2, 2)}
    path = written(tmp_path / "a.safetensors", tensors)
    said = shell("stats", path, "--spectral")
    assert said.out.count("stable rank") == 1
    rows = json.loads(shell("stats", path, "--spectral", "--json").out)["tensors"]
    assert [row["spectrum"] is not None for row in rows] == [row["name"] == "m" for row in rows]
    assert ws.stats(path).tensors[0].spectrum is None
