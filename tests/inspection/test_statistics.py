"""`stats`: closed forms, every pattern of every small dtype, the same bits for any blocks."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory import peak_kib
from samples import normal, written
from strategies import DENSE, noise

import weightsurgeon as ws
from weightsurgeon import reducing
from weightsurgeon.errors import BrokenFile, MissingTensor, SpecError, SurgeryError
from weightsurgeon.expr import array
from weightsurgeon.inspection.statistics import Statistics
from weightsurgeon.inspection.summary import STATISTICS, Summary
from weightsurgeon.pending import reduction
from weightsurgeon.spec import dtype_of

Array = np.ndarray[Any, Any]


def summary(values: Any, workers: int = 1) -> Summary:
    x = array(np.asarray(values))
    job = reduction(STATISTICS, x, dtype=x.spec.dtype.name, size=x.spec.size)
    result: Summary = reducing.reduce({"x": job}, workers=workers)["x"]
    return result


def test_closed_forms() -> None:
    zeros, ones = summary(np.zeros(7, "f4")), summary(np.ones((2, 3), "f4"))
    assert (zeros.n, zeros.zeros, zeros.mean, zeros.std, zeros.l2) == (7, 7, 0, 0, 0)
    assert zeros.low is None
    assert (ones.l1, ones.mean, ones.std, ones.low, ones.counts) == (6, 1, 0, 0, (6,))
    s = summary(np.arange(-5, 6, dtype="f4"))
    assert (s.n, s.mean, s.l1, s.zeros, s.min, s.max, s.largest) == (11, 0, 30, 1, -5, 5, 5)
    assert s.std == pytest.approx(np.sqrt(10), abs=0, rel=1e-15)
    assert s.l2 == pytest.approx(np.sqrt(110), abs=0, rel=1e-15)
    assert (s.low, s.counts) == (0, (2, 4, 4))
    assert s.quantiles is not None
    assert s.quantiles[0.5] == 3


def test_a_bad_value_is_counted_and_no_more() -> None:
    values = np.array([1, np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38], "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = summary(values)
    assert (s.n, s.nan, s.inf, s.zeros, s.tiny, s.first_bad) == (4, 1, 2, 1, 1, 1)
    assert s.max == float(np.float32(3e38))


@pytest.mark.parametrize("size", [5, 2000])
def test_all_nan_has_no_statistics(size: int) -> None:
    s = summary(np.full(size, np.nan, "f4"))
    assert (s.n, s.nan, s.mean, s.std, s.quantiles, s.largest) == (0, size, None, None, None, None)


def test_edges() -> None:
    assert summary(np.zeros((0, 3), "f4")) == Summary()
    assert summary(np.float32(2.5)).l2 == 2.5
    constant = summary(np.full(1_000_000, 0.1, "f4"))
    assert (constant.std, constant.mean) == (0, float(np.float32(0.1)))
    assert summary(np.full(100_000, 0.1)).std == 0
    huge = summary(np.array([3e38, -3e38, 1], "f4"))
    assert huge.std == pytest.approx(2.449e38, rel=1e-3)
    small = summary(np.array([1e-25, -1e-25], "f4"))
    assert small.std == pytest.approx(1e-25, rel=1e-6)


def test_a_large_mean_costs_no_digit() -> None:
    rng = np.random.default_rng(1)
    values = (1e6 + 0.25 * rng.standard_normal(300_000)).astype("f4")
    assert summary(values).std == pytest.approx(float(values.astype("f8").std()), rel=1e-9)


def test_a_normal_distribution_looks_like_one() -> None:
    values = np.random.default_rng(2).normal(0, 0.02, 400_000).astype("f4")
    s = summary(values)
    assert s.quantiles is not None
    assert s.kurtosis is not None
    assert s.quantiles[0.5] == pytest.approx(0.6745 * 0.02, rel=0.01)
    assert s.kurtosis == pytest.approx(3, abs=0.05)
    assert s.skew == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("dtype", "nan", "inf", "finite"), [("bfloat16", 254, 2, 65280), ("float16", 2046, 2, 63488)]
)
def test_all_patterns_once(dtype: str, nan: int, inf: int, finite: int) -> None:
    values = np.arange(65536, dtype="u2").view(dtype_of(dtype).numpy())
    s = summary(values)
    assert (s.nan, s.inf, s.zeros, s.n) == (nan, inf, 2, finite)
    with np.errstate(invalid="ignore"):
        wide = np.abs(values.astype("f8"))
    wide = wide[np.isfinite(wide)]
    assert s.quantiles is not None
    assert s.quantiles[0.25] == np.sort(wide)[-(-finite // 4) - 1]
    assert sum(s.counts) == finite - 2


@pytest.mark.parametrize("size", [900, 70_000])
@pytest.mark.parametrize("dtype", DENSE, ids=str)
def test_every_dtype_agrees_with_float64(dtype: Any, size: int) -> None:
    values = noise((size,), dtype, seed=3)
    s = summary(values)
    with np.errstate(all="ignore"):
        wide = values.astype("c16" if dtype.kind == "complex" else "f8")
        good = np.isfinite(wide)
        kept = np.abs(wide[good]) if dtype.kind == "complex" else wide[good]
    assert s.n == good.sum()
    assert s.nan == np.isnan(wide).sum()
    assert s.nan + s.inf + s.n == size
    assert s.zeros == (kept == 0).sum()
    if s.n:
        with np.errstate(all="ignore"):
            assert s.mean == pytest.approx(
                (kept / s.n).sum(), rel=1e-6, abs=1e-9 * np.abs(kept).max()
            )
            assert s.l1 == pytest.approx(np.abs(kept).sum(), rel=1e-6)
        assert s.min is not None
        assert float(s.min) == kept.min()
    if s.first_bad is not None:
        assert s.first_bad == int(np.flatnonzero(~good)[0])
    if s.quantiles is not None:
        assert s.bound is not None
        median = np.sort(np.abs(kept))[-(-s.n // 2) - 1]
        assert s.quantiles[0.5] == pytest.approx(median, rel=s.bound + 1e-12)


def test_wide_integers_are_counters() -> None:
    s = summary(np.array([2**62, -3, 0, 0], "i8"))
    assert (s.max, s.min, s.zeros, s.unique) == (2**62, -3, 2, 3)
    assert summary(np.arange(3000, dtype="i4")).unique is None


@given(st.integers(0, 5), st.sampled_from(["f4", "f8", "f2"]))
def test_blocks_and_threads_do_not_show(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal(200_000) * 10 ** rng.uniform(-3, 3)).astype(dtype)
    expected = summary(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "SCRATCH_BYTES", 4 * 65_536 * 8 * (1 + seed % 3))
        assert summary(values, workers=2) == expected


def test_norms_along_an_axis_and_parts(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((300, 500)).astype("f4")
    path = written(tmp_path / "a.safetensors", {"w": values})
    (t,) = ws.stats(path, per="1").tensors
    assert t.along is not None
    np.testing.assert_allclose(t.along.l2, np.linalg.norm(values.astype("f8"), axis=0), rtol=1e-12)
    np.testing.assert_array_equal(t.along.max, np.abs(values).max(0))
    both = ws.stats("examples/small.keras", select=["conv1/kernel"], split="out")
    assert [t.name for t in both.tensors][1] == "conv1/kernel[out=1]"
    kernel = ws.open("examples/small.keras")["conv1/kernel"].numpy()
    assert both.tensors[1].summary.max == kernel[..., 1].max()
    with pytest.raises(SpecError, match="no tensor is known to have an axis head"):
        ws.stats(path, split="head")


def test_tied_tensors_count_once(tmp_path: Path) -> None:
    torch_like = {"a": np.ones((2, 2), "f4")}
    path = written(tmp_path / "a.safetensors", torch_like)
    once = ws.stats(path).totals
    model = ws.open(path)
    model.source.specs["b"], model.source.ties["b"] = model.source.specs["a"], "a"
    found = ws.stats(model)
    assert found.totals == {**once, "tensors": 2}
    assert found.tensors[1].tied_to == "a"
    assert "= a, counted once" in str(found)


def test_shown_as_text_data_and_html(tmp_path: Path) -> None:
    values = np.ones((6, 6), "f4")
    values[5, 5] = np.nan
    path = written(tmp_path / "a.safetensors", {"<b>\x1b": values, "empty": np.zeros((0,), "f4")})
    found = ws.stats(path)
    text, html, data = str(found), found._repr_html_(), found.to_json()
    assert "✗ NaN at [5, 5]" in text
    assert "\x1b" not in text + html
    assert "&lt;b&gt;" in html
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["command"] == "stats"
    assert data["tensors"][0]["first_bad"] == [5, 5]
    assert data["tensors"][1]["mean"] is None
    assert len(data["inputs"][0]["header_sha256"]) == 64
    narrow = list(found.text(width=60))
    assert all(len(line) <= 60 for line in narrow)
    assert isinstance(found, Statistics)


def test_a_selector_of_nothing_is_an_error(tiny: Path) -> None:
    assert ws.stats(tiny, select=["fc.*"]).totals["tensors"] == 1
    with pytest.raises(MissingTensor, match=r"no tensor fits 'conv\.\*'"):
        ws.stats(tiny, exclude=["conv.*"])


def test_a_truncated_file_is_refused(tiny: Path) -> None:
    tiny.write_bytes(tiny.read_bytes()[:-4])
    with pytest.raises(BrokenFile):
        ws.stats(tiny)


def test_the_threshold_of_a_sparsity_is_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    a = rng.standard_normal((300, 10)).astype("f4")
    b = np.repeat(rng.standard_normal(5), 400).astype(dtype_of("bfloat16").numpy())
    path = written(tmp_path / "a.safetensors", {"a": a, "b": b, "n": np.arange(9)})
    ordered = np.sort(np.abs(np.concatenate([a.ravel(), b.astype("f4")])))
    for share in ("0.5", 0.29, "0.999"):
        t = ws.stats(path, sparsity=share).threshold
        assert t is not None
        k = int(np.floor(float(share) * ordered.size + 1e-9))
        assert (t.pruned, t.n, t.value) == (k, 5000, float(ordered[k - 1]))
        assert t.ties == (ordered == ordered[k - 1]).sum()
    assert "prunes 50.00 % of 5.00 k (global, exact" in str(ws.stats(path, sparsity="0.5"))
    zero, all_ = (ws.stats(path, sparsity=s).threshold for s in (0, 1))
    assert zero is not None
    assert all_ is not None
    assert (zero.value, zero.pruned, all_.value, all_.pruned) == (0.0, 0, float("inf"), 5000)
    for wrong in ("x", "1.5", "nan", -1):
        with pytest.raises(SurgeryError, match="a sparsity is a number from 0 to 1"):
            ws.stats(path, sparsity=wrong)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_quantiles_are_exact_on_request(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(5).standard_normal(70_001).astype(dtype)
    values[7] = np.nan
    path = written(tmp_path / "a.safetensors", {"a": values})
    near, exact = ws.stats(path)["a"], ws.stats(path, exact=True)["a"]
    ordered = np.sort(np.abs(values[np.isfinite(values)].astype("f8")))
    assert near.quantiles is not None
    assert exact.quantiles is not None
    assert near.bound is not None
    assert exact.bound == 0
    for level, value in exact.quantiles.items():
        assert value == ordered[-(-int(level * 10**6) * 70_000 // 10**6) - 1]
        assert near.quantiles[level] == pytest.approx(value, rel=near.bound)


@pytest.mark.slow
def test_beyond_two_to_the_24_the_median_is_exact(tmp_path: Path) -> None:
    values = normal(2**24 + 7, seed=4)  # where torch.quantile stops
    found = ws.stats(written(tmp_path / "w.safetensors", {"w": values}), exact=True)["w"]
    middle = (values.size + 1) // 2 - 1
    assert found.quantiles is not None
    assert found.quantiles[0.5] == float(np.partition(np.abs(values), middle)[middle])
    once, twice = (ws.stats(tmp_path / "w.safetensors", workers=n)["w"] for n in (1, 2))
    assert once == twice


@pytest.mark.slow
def test_4_gib_are_read_in_64_mib(tmp_path: Path) -> None:
    size, path = 2**30, tmp_path / "sparse.safetensors"
    entry = {"dtype": "F32", "shape": [2**15, 2**15], "data_offsets": [0, 4 * size]}
    header = json.dumps({"w": entry}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * size)
    setup = "import weightsurgeon as ws, numpy, ml_dtypes"
    code = f"assert ws.stats(sys.argv[1])['w'].zeros == {size}"
    assert peak_kib(code, str(path), setup=setup) <= 64 * 1024
