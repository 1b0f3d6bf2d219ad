"""prune, by its known answers: counting, ties, patterns, units, masks, folding, schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from porting import lines_of
from strategies import Memory, same

from weightsurgeon import reducing, workers
from weightsurgeon.api import open as opened
from weightsurgeon.api import prune
from weightsurgeon.errors import PlanError, SurgeryError
from weightsurgeon.expr import array, evaluate
from weightsurgeon.formats import create_sink
from weightsurgeon.formats.base import Checkpoint, Meaning, Order
from weightsurgeon.notation import parse
from weightsurgeon.ops.ranking import RANK, Amount
from weightsurgeon.ops.units import NORMS
from weightsurgeon.outcome import Report
from weightsurgeon.pending import pendings, reduction_over
from weightsurgeon.planning import plan_run, plan_step
from weightsurgeon.reducing import reduce, run_reductions
from weightsurgeon.steps.schedule import scheduled
from weightsurgeon.writing import write

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Any]
TWO = (("a", 3), ("b", 100))


def memory(tensors: Tensors, axes: str = "", ties: Mapping[str, str] | None = None) -> Checkpoint:
    """Arrays as a checkpoint, each with these axes; all of them kernels then."""
    source = Memory(tensors, ties=dict(ties or {}))
    source.specs |= {a: source.specs[b] for a, b in (ties or {}).items()}
    meanings = {n: Meaning("kernel", "linear", parse(axes)) for n in tensors} if axes else {}
    return Checkpoint(source, meanings, None, "")


def pruned(tensors: Tensors | Checkpoint, *, steps: int = 1, **keys: Any) -> dict[str, Array]:
    """The tensors after a prune of them all, as the executor would compute them."""
    found = tensors if isinstance(tensors, Checkpoint) else memory(tensors)
    number = keys.pop("number", None)
    amount: dict[str, Any] = {
        k: keys.pop(k) for k in ("sparsity", "count", "keep", "below", "nm") if k in keys
    }
    if "nm" in amount:
        amount["axis"] = keys.pop("axis", "0")
    keys = {"from": "x", "select": "*", **({"amount": amount} if amount else {}), **keys}
    aliases = {"x": found, **keys.pop("aliases", {})}
    plan = plan_step("prune", keys, "out.pt", aliases, number)
    run_reductions(plan)
    return {name: x.numpy() for name, x in plan.outputs.items()}


def one(values: Any, dtype: Any = "f4", **keys: Any) -> Any:
    """One tensor after a prune."""
    return pruned({"w": np.asarray(values, dtype)}, **keys)["w"].tolist()


def problems(*args: Any, **keys: Any) -> str:
    with pytest.raises(SurgeryError) as caught:
        pruned(*args, **keys)
    return str(caught.value)


def save(path: Path, tensors: Tensors) -> str:
    """A safetensors file, of any dtype."""
    found = memory(tensors)
    sink = create_sink("safetensors", str(path), Order({n: x.spec for n, x in found.items()}))
    for name, x in found.items():
        sink.write(name, tuple((0, n) for n in x.spec.shape), x.numpy())
    sink.commit()
    return str(path)


def load(path: Path | str) -> dict[str, Array]:
    with opened(str(path)) as found:
        return {name: x.numpy() for name, x in found.items()}


# -- counting --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_1_equal_weights_go_in_order(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / "in.safetensors", {"w": np.ones(8, "f4")})
    prune(path, tmp_path / f"out.{suffix}", select="*", sparsity=0.5)
    assert load(tmp_path / f"out.{suffix}")["w"].tolist() == [0] * 4 + [1] * 4


def test_2_the_smallest_half() -> None:
    assert one(range(1, 9), sparsity=0.5) == [0, 0, 0, 0, 5, 6, 7, 8]


def test_3_nothing_and_everything() -> None:
    values = np.array([-0.0, 1e-45, -3.0, 7.0], "f4")
    assert same(pruned({"w": values}, sparsity=0)["w"], values)
    assert same(pruned({"w": values}, sparsity=1)["w"], np.zeros(4, "f4"))


@pytest.mark.parametrize(
    ("sparsity", "n", "zeros"), [(0.29, 100, 29), (0.58, 100, 58), (0.25, 10, 2), (0.5, 5, 2)]
)
def test_4_a_share_is_exact(sparsity: float, n: int, zeros: int) -> None:
    assert one(range(1, n + 1), sparsity=sparsity).count(0) == zeros


def test_5_counts() -> None:
    assert "9 are to be pruned, but there are 8" in problems({"w": np.ones(8, "f4")}, count=9)
    assert "9 are to be kept, but there are 8" in problems({"w": np.ones(8, "f4")}, keep=9)
    assert one([1, 2], count=2) == [0, 0]
    assert one([1, 2], count=0) == [1, 2]
    assert one([1, 2, 3], keep=1) == [0, 0, 3]


def test_6_counts_are_whole_numbers_of_any_size() -> None:
    n = 2**24 + 1  # float32 would count one less
    values = np.ones(100_000, ml_dtypes.float8_e5m2)
    half = Amount("0.5")
    assert half.of(n, 0) == 8_388_608
    parts = [array(values)] * (n // 100_000) + [array(values[: n % 100_000])]
    rank = reduction_over(RANK, [(x,) for x in parts], kind="float32", n=n, sparsity="0.5")
    found = reduce({"x": rank})["x"]
    assert (found.k, found.taken, found.last) == (8_388_608, 8_388_608, 8_388_607)


def test_7_scopes() -> None:
    tensors = {"A": np.array([1, 2, 3, 4], "f4"), "B": np.array([10, 20, 30, 40], "f4")}
    found = pruned(tensors, sparsity=0.5)
    assert [found[n].tolist() for n in "AB"] == [[0] * 4, [10, 20, 30, 40]]
    found = pruned(tensors, sparsity=0.5, scope="tensor")
    assert [found[n].tolist() for n in "AB"] == [[0, 0, 3, 4], [0, 0, 30, 40]]
    rows = memory({"w": np.array([[1, 2, 9], [7, 8, 6]], "f4")}, "out in")
    assert pruned(rows, count=1, scope={"axis": "out"})["w"].tolist() == [[0, 2, 9], [7, 8, 0]]
    assert pruned(rows, count=1, scope={"axis": "in"})["w"].tolist() == [[0, 0, 9], [7, 8, 0]]


def test_8_ties_follow_names_and_not_the_file() -> None:
    ones = np.ones(2, "f4")
    for names in ("AB", "BA"):
        found = pruned(dict.fromkeys(names, ones), count=3)
        assert [found[n].tolist() for n in "AB"] == [[0, 0], [0, 1]]


@pytest.mark.parametrize("scratch", [16, 100, 2**20])
@pytest.mark.parametrize("threads", [1, 2])
def test_9_blocks_and_threads_do_not_show(
    scratch: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    tensors = {n: rng.integers(-4, 5, (7, 9)).astype("f4") for n in "abc"}
    path = save(tmp_path / "in.safetensors", tensors)
    expected = by_definition(tensors, 100)
    for module in (reducing, workers):
        monkeypatch.setattr(module, "SCRATCH_BYTES", scratch)
    monkeypatch.setattr("weightsurgeon.execute.SCRATCH_BYTES", scratch)
    monkeypatch.setattr(reducing, "RUN_ELEMENTS", 5)
    monkeypatch.setattr(reducing, "SPAN_RUNS", 2)
    monkeypatch.setattr(reducing, "WORKERS", threads)
    prune(path, tmp_path / "out.safetensors", select="*", count=100)
    assert all(same(load(tmp_path / "out.safetensors")[n], expected[n]) for n in tensors)


def test_10_zeros_that_are_there_count() -> None:
    assert one([0, 0, 3, 4], sparsity=0.5) == [0, 0, 3, 4]
    once = one(range(1, 9), sparsity=0.5)
    assert one(once, sparsity=0.5) == once
    assert one(once, sparsity=0.5, of="remaining") == [0] * 6 + [7, 8]
    assert "5 are to be pruned beside 4 zeros" in problems(
        {"w": np.array(once, "f4")}, count=5, of="remaining"
    )
    rows = memory({"w": np.array([[0, 2, 3], [4, 5, 6]], "f4")}, "out in")
    found = pruned(rows, sparsity=0.5, of="remaining", scope={"axis": "out"})
    assert found["w"].tolist() == [[0, 0, 3], [0, 5, 6]]


def test_11_what_goes_has_no_bits() -> None:
    values = np.array([-0.0, -3.0, 5.0, 6.0], "f4")
    found = pruned({"w": values}, count=2)["w"]
    assert found.view("u4").tolist()[:2] == [0, 0]
    assert same(pruned({"w": values}, count=0)["w"], values)


def test_12_subnormals_are_ranked() -> None:
    values = [1e-38, 1e-45, 1e-40]
    assert one(values, count=1)[1] == 0
    assert one(values, count=2)[:1] == [np.float32(1e-38)]
    assert one(values, count=2)[1:] == [0, 0]


def test_13_what_is_not_finite() -> None:
    values = np.array([[1, math.nan], [-math.inf, 2]], "f4")
    text = problems({"a": np.ones(3, "f4"), "w": values}, count=1)
    assert "w at [0, 1] is not finite" in text
    assert "(2 are not)" in text
    kept = pruned({"w": values}, count=2, nonfinite="keep")["w"]
    assert kept[0, 0] == kept[1, 1] == 0
    assert np.isnan(kept[0, 1])
    assert kept[1, 0] == -math.inf
    text = problems({"w": values}, count=3, nonfinite="keep")
    assert "3 are to be pruned, but only 2 of 4 values are finite" in text
    zeroed = pruned({"w": values}, count=3, nonfinite="zero")["w"]
    assert zeroed.tolist() == [[0, 0], [0, 2]]
    mask = memory({"w": np.array([[True, False], [False, True]])})
    applied = pruned({"w": values}, mask={"apply": "m"}, aliases={"m": mask})["w"]
    assert applied.tolist() == [[1, 0], [0, 2]]


def test_14_below_is_strict_in_float64() -> None:
    assert one([0.001], "f4", below=0.001) == [np.float32(0.001)]
    assert one([0.001], ml_dtypes.bfloat16, below=0.001) == [0]
    assert one([0.001], "f8", below=0.001) == [0.001]


FLOATS = ["bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2fnuz"]


def by_definition(tensors: Tensors, k: int) -> dict[str, Array]:
    """Stable argsort of |w| in float64 over names in order; the first k are zero."""
    names = sorted(tensors)
    wide = [np.abs(tensors[n].astype("f8")).reshape(-1) for n in names]
    goes = np.zeros(sum(map(len, wide)), bool)
    goes[np.argsort(np.concatenate(wide) if wide else [], kind="stable")[:k]] = True
    found, at = {}, 0
    for n in names:
        x = tensors[n].copy().reshape(-1)
        x[goes[at : at + x.size]] = 0
        found[n], at = x.reshape(tensors[n].shape), at + x.size
    return found


@given(data=st.data())
def test_15_16_any_mix_of_dtypes_is_ranked_as_real_numbers(data: st.DataObject) -> None:
    tensors = {}
    for name in data.draw(st.permutations("abcd"))[: data.draw(st.integers(1, 4))]:
        dtype = data.draw(st.sampled_from(FLOATS))
        shape = data.draw(st.sampled_from([(), (1,), (0, 3), (3, 5), (2, 3, 4)]))
        rng = np.random.default_rng(data.draw(st.integers(0, 9)))
        scale = data.draw(st.sampled_from([1, 1e-3, 1e-30, 1e30]))
        values = rng.choice([0.0, -0.0, 1, -1, 0.5, 2, 3, 1.5], shape) * scale
        values = values + rng.standard_normal(shape) * data.draw(st.sampled_from([0, scale]))
        with np.errstate(all="ignore"):
            narrow = np.asarray(values).astype(
                dtype if hasattr(np, dtype) else getattr(ml_dtypes, dtype)
            )
        tensors[name] = np.where(np.isfinite(narrow), narrow, narrow.dtype.type(0))
        tensors[name] = tensors[name].astype(narrow.dtype)
    k = data.draw(st.integers(0, sum(x.size for x in tensors.values())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "RUN_ELEMENTS", data.draw(st.sampled_from([1, 4, 65_536])))
        patch.setattr(reducing, "SPAN_RUNS", 2)
        found = pruned(tensors, count=k)
    expected = by_definition(tensors, k)
    assert all(same(found[n], expected[n]) for n in tensors)


def test_17_what_is_not_pruned_and_complex_numbers() -> None:
    text = problems({"i": np.arange(3), "b": np.ones(2, bool), "w": np.ones(2, "f4")}, count=1)
    assert "i: int64 is not pruned" in text
    assert "b: bool is not pruned" in text
    for dtype in ("c8", "c16"):
        assert one([3 + 4j, 4.9, -1j, 6], dtype, count=2) == [3 + 4j, 0, 0, 6]
    found = pruned({"a": np.array([3 + 4j], "c8"), "b": np.array([4.5, 5.5], "f4")}, count=2)
    assert [found["a"].tolist(), found["b"].tolist()] == [[0], [0, 5.5]]


def test_18_a_tied_tensor_is_one() -> None:
    tensors = {"z.embed": np.arange(1, 41, dtype="f4"), "m": np.arange(100, 140, dtype="f4")}
    tied = memory(tensors, ties={"a.head": "z.embed"})
    plan = plan_step(
        "prune", {"from": "x", "select": ["z.embed", "m"], "amount": {"sparsity": 0.5}}, "o.pt",
        {"x": tied},
    )  # fmt: skip
    run_reductions(plan)
    assert not plan.outputs["z.embed"].numpy().any()
    assert np.count_nonzero(plan.outputs["m"].numpy()) == 40
    assert plan.ties == {"a.head": "z.embed"}
    # selected under either name, excluded under either, in the order of its smallest name
    assert not pruned(tied, select="a.head", count=40)["z.embed"].any()
    assert pruned(tied, exclude="a.head", count=40)["z.embed"].all()
    same_ = memory({"z": np.ones(2, "f4"), "m": np.ones(2, "f4")}, ties={"a": "z"})
    assert pruned(same_, count=2)["m"].all()


def test_19_small_tensors() -> None:
    tensors = {"a": np.array(3, "f4"), "b": np.zeros((0, 3), "f4"), "c": np.ones(1, "f4")}
    found = pruned(tensors, sparsity=0.5, scope="tensor")
    assert [found[n].tolist() for n in "abc"] == [3, [], [1]]
    found = pruned(tensors, sparsity=1, scope="tensor")
    assert [found[n].tolist() for n in "ac"] == [0, [0]]
    assert pruned({"b": np.zeros((0, 3), "f4")}, sparsity=0.5)["b"].size == 0


def test_20_selections(tmp_path: Path) -> None:
    tensors = {"fc.weight": np.ones(4, "f4"), "fc.bias": np.ones(4, "f4")}
    assert "selects no tensor" in problems(tensors, select="conv*", count=1)
    assert pruned(tensors, select="conv*", count=0, optional=True)["fc.bias"].all()
    assert pruned(tensors, exclude="*.bias", count=4)["fc.bias"].all()
    roles = memory(tensors)
    roles.meanings = {"fc.weight": Meaning("kernel"), "fc.bias": Meaning("bias")}
    found = pruned(roles, select={"role": "kernel"}, sparsity=1)
    assert not found["fc.weight"].any()
    assert found["fc.bias"].all()
    text = problems({"a.weight": np.ones((2, 2), "f4")}, select={"role": "kernel"}, count=1)
    assert "a.weight" in text
    assert "is not known: select by name, as in select: '*.weight' (--include)" in text


# -- N:M, structure, masks -------------------------------------------------------------------


def test_21_two_of_four() -> None:
    assert one([4, 1, 3, 2, 0, 0, 0, 5], nm="2:4") == [4, 0, 3, 0, 0, 0, 0, 5]
    assert one([1, 1, 1, 1], nm="2:4") == [0, 0, 1, 1]


def test_22_23_a_pattern_follows_its_axis() -> None:
    w = np.random.default_rng(0).standard_normal((6, 8)).astype("f4")
    torch = pruned(memory({"w": w}, "out in"), nm="2:4", axis="in")["w"]
    keras = pruned(memory({"w": w.T.copy()}, "in out"), nm="2:4", axis="in")["w"]
    assert same(torch, keras.T.copy())
    assert np.count_nonzero(torch.reshape(6, 2, 4), axis=2).max() == 2
    w = np.random.default_rng(1).standard_normal((5, 8, 3, 3)).astype("f4")
    oihw = pruned(memory({"w": w}, "out in kh kw"), nm="2:4", axis="in")["w"]
    turned = np.ascontiguousarray(w.transpose(2, 3, 1, 0))
    hwio = pruned(memory({"w": turned}, "kh kw in out"), nm="2:4", axis="in")["w"]
    assert same(oihw, np.ascontiguousarray(hwio.transpose(3, 2, 0, 1)))
    flat = pruned({"w": w.reshape(5, 72)}, nm="2:4", axis="1")["w"]
    assert not same(flat.reshape(w.shape), oihw)


def test_24_a_ragged_axis() -> None:
    w = memory({"w": np.arange(1, 13, dtype="f4").reshape(2, 6)}, "out in")
    assert "w: in=6 is no multiple of 4" in problems(w, nm="2:4", axis="in")
    found = pruned(w, nm="2:4", axis="in", ragged="keep")["w"]
    assert found.tolist() == [[0, 0, 3, 4, 5, 6], [0, 0, 9, 10, 11, 12]]
    assert "has no axis kh" in problems(w, nm="2:4", axis="kh")


def test_25_one_of_four() -> None:
    assert one([4, 1, 3, 2], nm="1:4") == [4, 0, 0, 0]


@given(
    st.sampled_from([2, 4, 8]), st.integers(0, 8), st.integers(0, 99), st.sampled_from([2, 3, 40])
)
def test_a_pattern_is_a_stable_argsort(group: int, most: int, seed: int, block: int) -> None:
    most = min(most, group)
    x = np.random.default_rng(seed).integers(-3, 4, (3, group * 2)).astype("f4")
    order = np.argsort(np.abs(x.reshape(-1, group)), axis=1, kind="stable")[:, : group - most]
    expected = x.reshape(-1, group).copy()
    np.put_along_axis(expected, order, 0, 1)
    plan = plan_step(
        "prune",
        {"from": "x", "select": "*", "amount": {"nm": f"{most}:{group}", "axis": "1"}},
        "o.pt",
        {"x": memory({"w": x})},
    )
    out = plan.outputs["w"]
    parts = [
        evaluate(out, ((0, 3), (lo, min(lo + block, 2 * group))))
        for lo in range(0, 2 * group, block)
    ]
    assert np.array_equal(np.concatenate(parts, 1), expected.reshape(x.shape))


def test_27_rows_by_their_norm() -> None:
    w = np.diag([2.0, 1.0, 4.0, 3.0]).astype("f4") + 0.0
    rows = memory({"w": w}, "out in")
    found = pruned(rows, sparsity=0.5, granularity={"axis": "out", "norm": "l2"})["w"]
    assert [bool(r.any()) for r in found] == [False, False, True, True]
    wide = np.full((2, 70_000), 1e3, "f2")
    wide[0] = 999
    plan = plan_step(
        "prune",
        {
            "from": "x", "select": "*", "amount": {"count": 1}, "granularity": {"axis": "0"},
        },
        "o.pt",
        {"x": memory({"w": wide})},
    )  # fmt: skip
    run_reductions(plan)
    (rank,) = (f.source for f in plan.findings)
    (scores,) = pendings(rank.reduction.parts[0])
    assert scores.result[1, 0] == pytest.approx(264575.13, abs=0.005)
    assert [bool(r.any()) for r in plan.outputs["w"].numpy()] == [False, True]


@pytest.mark.parametrize(
    ("reduce", "kept"), [("mean", [0, 1, 1, 0]), ("max", [1, 0, 0, 1]), ("l1", [0, 1, 1, 0])]
)
def test_blocks_are_units(reduce: str, kept: list[int]) -> None:
    w = np.array([[9, 0, 5, 5, 1], [0, 0, 5, 5, 1], [4, 4, 8, 0, 1], [4, 4, 0, 0, 1]], "f4")
    blocks = {"block": {"out": 2, "in": 2}, "reduce": reduce}
    x = memory({"w": w}, "out in")
    assert "leave a tail" in problems(x, count=2, granularity=blocks)
    found = pruned(x, count=2, granularity=blocks, ragged="keep")["w"]
    assert (found[:, 4] == 1).all()
    assert [int(found[i : i + 2, j : j + 2].any()) for i in (0, 2) for j in (0, 2)] == kept


def test_28_masks_are_written_and_applied(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {"a": rng.standard_normal((5, 7)).astype("f4"), "b": np.ones(1, "f2")}
    path = save(tmp_path / "in.safetensors", tensors)
    out, masks = tmp_path / "out.safetensors", tmp_path / "masks.safetensors"
    report = prune(path, out, select="*", sparsity=0.6, mask={"write": str(masks)})
    assert any(line.id == "masks" for line in report.lines)
    bits = load(masks)
    assert bits["a"].shape == (5,)
    assert np.array_equal(np.unpackbits(bits["a"])[:35].reshape(5, 7), load(out)["a"] != 0)
    prune(path, tmp_path / "again.safetensors", select="*", mask={"apply": str(masks)})
    assert all(same(load(tmp_path / "again.safetensors")[n], x) for n, x in load(out).items())
    prune(path, out, select="*", count=3, mask={"write": str(masks), "packed": False})
    assert load(masks)["a"].shape == (5, 7)
    wrong = memory({"a": np.ones((7, 5), bool), "b": np.ones(1, bool)})
    keys: dict[str, Any] = {"mask": {"apply": "m"}, "aliases": {"m": wrong}}
    assert "does not fit float32 (5, 7)" in problems(tensors, **keys)
    keys["aliases"] = {"m": memory({"a": np.full((5, 7), 2, "f4")})}
    assert "b has no mask" in problems(tensors, **keys)
    assert "35 values of a mask are neither 0 nor 1" in problems({"a": tensors["a"]}, **keys)


def test_masks_never_take_the_place_of_the_output_or_of_what_is_read(tmp_path: Path) -> None:
    from porting import count, save

    path, out = save(tmp_path / "in.safetensors", {"w": count(8)}), tmp_path / "out.safetensors"
    before = path.read_bytes()
    for place in (path, out, tmp_path / "x" / ".." / "in.safetensors"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(SurgeryError, match="to a file of its own"):
            prune(path, out, select="*", sparsity=0.5, mask={"write": str(place)})
    assert path.read_bytes() == before
    assert not out.exists()


def test_masks_never_take_the_place_of_a_shard_of_what_is_read(tmp_path: Path) -> None:
    from porting import count, save

    from weightsurgeon.surgery import plan_reshard

    path = save(tmp_path / "in.safetensors", {"a": count(8), "b": count(8)})
    (tmp_path / "set").mkdir()
    write(plan_reshard(path, tmp_path / "set" / "model.safetensors", 32))
    shard = next((tmp_path / "set").glob("*-of-*.safetensors"))
    before = shard.read_bytes()
    with pytest.raises(SurgeryError, match="to a file of its own"):
        prune(tmp_path / "set", tmp_path / "out.safetensors", select="*", sparsity=0.5,
              mask={"write": str(shard)})  # fmt: skip
    assert shard.read_bytes() == before


def test_29_69_embedded_masks_are_folded() -> None:
    w, m = np.array([1, math.inf, -3], "f4"), np.array([1, 0, 1], "f4")
    embedded: dict[str, Any] = {"mask": {"apply": "embedded"}}
    found = pruned({"l.weight_orig": w, "l.weight_mask": m, "attn_mask": m}, **embedded)
    assert {n: x.tolist() for n, x in found.items()} == {
        "l.weight": [1, 0, -3], "attn_mask": [1, 0, 1],
    }  # fmt: skip
    text = problems({"l.weight_orig": w, "l.weight_u": w, "k_orig": w}, **embedded)
    assert "l.weight_orig has no l.weight_mask: an old spectral_norm writes it" in text
    assert "k_orig has no k_mask" in text
    text = problems({"w_orig": w, "w_mask": m, "w": w}, **embedded)
    assert (
        "collision: w is there beside w_orig" in text.replace(": steps", "") or "w is there" in text
    )
    assert "w_mask" in problems({"w_orig": w, "w_mask": m[:2]}, **embedded)
    assert "is pruned and not folded yet" in problems({"w_orig": w, "w_mask": m}, count=1)
    assert "no masks are embedded" in problems({"w": w}, **embedded)
    p = "prune_low_magnitude_fc"
    found = pruned(
        {f"{p}/fc/kernel:0": w, f"{p}/fc/bias:0": w[:2], f"{p}/{p}/mask:0": m,
         f"{p}/{p}/threshold:0": np.array(1.0), f"{p}/{p}/pruning_step:0": np.array(5),
         "prune_low_magnitude_flat/prune_low_magnitude_flat/pruning_step:0": np.array(5)},
        **embedded,
    )  # fmt: skip
    assert {n: x.tolist() for n, x in found.items()} == {
        "fc/fc/kernel:0": [1, 0, -3], "fc/fc/bias:0": [1, math.inf],
    }  # fmt: skip
    found = pruned({"fc/kernel:0": w, f"{p}/mask:0": m, f"{p}/threshold:0": m[:1]}, **embedded)
    assert {n: x.tolist() for n, x in found.items()} == {"fc/kernel:0": [1, 0, -3]}
    assert "fits none of the weights" in problems({"k": w, f"{p}/mask:0": m}, **embedded)


def test_30_schedules() -> None:
    row = {"kind": "polynomial", "initial": 0, "final": Fraction(9, 10), "begin": 0, "end": 10_000}
    cubic = {**row, "power": 3}
    assert [float(scheduled(cubic, n)) for n in (0, 5000, 10_000, 20_000)] == [0, 0.7875, 0.9, 0.9]
    steps = [scheduled(cubic, n) for n in range(0, 10_001, 500)]
    assert steps == sorted(steps)
    late = {**row, "initial": Fraction(1, 10), "begin": 100, "power": 2}
    assert scheduled(late, 50) == scheduled(late, 100) == Fraction(1, 10)
    assert scheduled({**cubic, "begin": 7, "end": 7}, 7) == Fraction(9, 10)
    assert float(scheduled({**row, "power": Fraction(3, 2)}, 5000)) == pytest.approx(
        0.5818, abs=1e-4
    )
    constant = {"kind": "constant", "sparsity": Fraction(1, 2), "begin": 10}
    assert [scheduled(constant, n) for n in (9, 10)] == [0, Fraction(1, 2)]
    schedule = {"kind": "polynomial", "final": 0.9, "end": 10_000}
    assert one(range(1, 101), schedule=schedule, number=5000).count(0) == 78
    assert "wants the number of the training step" in problems(
        {"w": np.ones(2, "f4")}, schedule=schedule
    )
    assert "ends before" in problems(
        {"w": np.ones(2, "f4")}, schedule={**schedule, "begin": 20_000}
    )


def test_31_random_weights_by_a_seed() -> None:
    tensors = {n: np.ones((9, 11), "f4") for n in "ab"}
    score = {"random": {"seed": 7}}
    found = pruned(tensors, sparsity=0.3, score=score)
    assert sum(np.count_nonzero(x == 0) for x in found.values()) == 59
    turned = pruned(dict(reversed(tensors.items())), sparsity=0.3, score=score)
    assert all(same(found[n], turned[n]) for n in tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reducing, "RUN_ELEMENTS", 7)
        again = pruned(tensors, sparsity=0.3, score=score)
    assert all(same(found[n], again[n]) for n in tensors)
    other = pruned(tensors, sparsity=0.3, score={"random": {"seed": 8}})
    assert not all(same(found[n], other[n]) for n in tensors)


def test_67_a_threshold_is_the_nearest_double() -> None:
    assert one([0.3, 0.25], "f8", below=0.3) == [0.3, 0]


def test_70_unsigned_zeros_and_types_without_one() -> None:
    nan = np.array([0x80, 1], "u1").view(ml_dtypes.float8_e4m3fnuz)
    assert "w at [0] is not finite" in problems({"w": nan}, count=1)
    exponents = np.ones(2, ml_dtypes.float8_e8m0fnu)
    assert "float8_e8m0fnu has no zero" in problems({"w": exponents}, count=1)


# -- scores, words, reports ------------------------------------------------------------------


def test_scores_of_a_checkpoint() -> None:
    scores = memory({"w": np.array([-5, 0.0, -0.0, 3], "f4")})
    keys: dict[str, Any] = {"score": {"from": "s"}, "aliases": {"s": scores}}
    assert one([1, 2, 3, 4], count=2, **keys) == [0, 0, 3, 4]
    wide = memory({"w": np.array([-5, 0.0, -0.0, 3])})
    assert one([1, 2, 3, 4], count=3, score={"from": "s"}, aliases={"s": wide}) == [0, 0, 0, 4]
    assert "1 tensors have no score: v" in problems({"v": np.ones(4, "f4")}, count=1, **keys)
    assert "the score is float32 (4,)" in problems({"w": np.ones(3, "f4")}, count=1, **keys)
    bad = memory({"w": np.array([1, math.nan], "f4")})
    text = problems({"w": np.ones(2, "f4")}, count=1, score={"from": "s"}, aliases={"s": bad})
    assert "w at [1] is a score that is not finite" in text


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, "how much shall go?"),
        ({"amount": {}}, "wants one of sparsity, count, keep, below, nm"),
        ({"amount": {"count": 1, "keep": 1}}, "wants one of sparsity"),
        ({"amount": {"sparsity": 1.5}}, "wants a number from 0 to 1"),
        ({"amount": {"sparsity": True}}, "wants a number from 0 to 1"),
        ({"amount": {"sparsity": "0.5"}}, "wants a number from 0 to 1"),
        ({"amount": {"below": 0}}, "wants a number above 0"),
        ({"amount": {"nm": "2:4"}}, "nm wants the axis"),
        ({"amount": {"nm": "5:4", "axis": "in"}}, "wants a pattern such as"),
        ({"amount": {"nm": "2:4", "axis": "0"}, "scope": "global"}, "a scope has no meaning here"),
        ({"amount": {"count": 1}, "scope": "all"}, "wants global | tensor | {axis: out}"),
        (
            {"amount": {"count": 1}, "scope": {"axis": "0"}, "granularity": {"axis": "0"}},
            "ranks elements",
        ),
        ({"amount": {"count": 1}, "granularity": "row"}, "wants element |"),
        ({"amount": {"count": 1}, "granularity": {"block": {"0": 0}}}, "at least one element"),
        ({"amount": {"count": 1}, "score": "mean"}, "wants magnitude |"),
        (
            {"amount": {"count": 1}, "score": {"random": {"seed": 1}}, "of": "remaining"},
            "counts zeros",
        ),
        ({"amount": {"below": 1}, "score": {"random": {"seed": 1}}}, "look at magnitudes"),
        ({"amount": {"count": 1}, "mask": {"apply": "embedded"}}, "give one of `amount`"),
        ({"amount": {"count": 1}, "mask": {"rite": "x"}}, "the key 'rite' is unknown"),
        ({"amount": {"count": 1}, "nonfinite": "ignore"}, "wants error | keep | zero"),
        ({"amount": {"count": 1}, "select": "re:("}, "re:("),
        ({"mask": {"apply": "embedded"}, "granularity": {"axis": "0"}}, "ranked by their norm"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_keys(keys: dict[str, Any], wanted: str) -> None:
    assert wanted in problems({"w": np.ones((4, 4), "f4")}, **keys)


def test_the_report_tells_what_went(tmp_path: Path) -> None:
    values = np.array([0, 1, 1, 1, 2], ml_dtypes.bfloat16)
    path = save(tmp_path / "in.safetensors", {"w": values})
    report: Report = prune(path, tmp_path / "out.safetensors", select="*", count=2)
    (line,) = (x for x in report.lines if x.id == "pruned")
    assert line.text == "2 of 5 (there were 1 zeros), up to 1 (0x3f80); 1 of 3 equal to it"
    assert dict(report.rows[0].counts) == {"changed": 1, "zeros": 2}
    assert prune(path, "o.safetensors", select="*", count=2, dry_run=True).rows[0].counts == {}


PLAN = """weightsurgeon: 1
sources: {x: in.safetensors}
steps:
- prune:
    from: x
    select: "*.w"
    amount: {sparsity: 0.5}
    mask: {write: m.safetensors}
    as: y
output: {from: y, path: out.safetensors}
"""


def test_a_plan_file_and_the_command_line(tmp_path: Path) -> None:
    save(tmp_path / "in.safetensors", {"a.w": np.arange(1, 9, dtype="f4")})
    plan = tmp_path / "p.yaml"
    plan.write_text(PLAN)
    write(plan_run(plan))
    assert load(tmp_path / "out.safetensors")["a.w"].tolist() == [0, 0, 0, 0, 5, 6, 7, 8]
    assert load(tmp_path / "m.safetensors")["a.w"].tolist() == [0b00001111]
    plan.write_text(plan.read_text().replace("0.5", '"0.5 "'))
    with pytest.raises(PlanError) as caught:
        plan_run(plan)
    assert lines_of(caught.value)[0].startswith(f"{plan}:7: schema: sparsity wants a number")


def verified(w: Array) -> None:
    """A plan that verifies a state, and writes it if it may."""
    verify = {"from": "x", "nm": "2:4", "axis": "in", "select": "*"}
    steps = [{"verify": verify}]
    output = {"from": "x", "path": "out.pt"}
    plan = {"weightsurgeon": 1, "steps": steps, "output": output}
    run_reductions(plan_run(plan, aliases={"x": memory({"w": w}, "out in")}))


def test_26_a_pattern_is_verified() -> None:
    w = np.array([[1, 2, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 3, 4, 0]], "f4")
    verified(w)
    w[1, 4] = 5
    with pytest.raises(PlanError, match=r"pattern: .*w: group \[1, 1\] has more than 2 non-zeros$"):
        verified(w)
    w[0] = 1
    with pytest.raises(PlanError, match=r"group \[0, 0\] .*; 5 values are beyond the pattern"):
        verified(w)
    with pytest.raises(PlanError, match="in=6 is no multiple of 4"):
        verified(w[:, :6])


@pytest.mark.parametrize("norm", NORMS)
def test_small_units_are_scored_as_large_ones(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = memory({"w": np.random.default_rng(3).standard_normal((7, 10)).astype("f4")}, "out in")
    units = {"block": {"out": 2, "in": 3}, "reduce": "max" if norm == "linf" else norm}
    if norm == "rms":  # of rows only
        units = {"axis": "out", "norm": norm}
    keys: dict[str, Any] = {"sparsity": 0.5, "granularity": units, "ragged": "keep"}
    small = pruned(x, **keys)["w"]
    monkeypatch.setattr("weightsurgeon.steps.ranked.SMALL", 0)
    assert np.array_equal(pruned(x, **keys)["w"], small)
    assert 0 < np.count_nonzero(small) < small.size


def test_the_report_warns(tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    x = save(tmp_path / "x.safetensors", {n: dice.random((4, k), "f4") for n, k in TWO})
    out = tmp_path / "y.safetensors"
    units = {"axis": "0", "norm": "l2"}
    report = prune(x, out, sparsity=0.5, select="*", granularity=units)
    assert "unlike-units: units of different size are ranked by l2" in str(report)
    report = prune(x, out, sparsity=0.5, select="*", granularity={**units, "norm": "rms"})
    assert "unlike-units" not in str(report)
    assert "mostly-zero" not in str(report)
    report = prune(x, out, keep=1, scope="tensor", select="b")
    assert [line.names for line in report.lines if line.id == "mostly-zero"] == [("b",)]
