"""Soft updates of files: which tensor moves, which is copied or kept, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import lines_of, save
from safetensors.numpy import load_file
from strategies import Array, same

from weightsurgeon.api import open as open_
from weightsurgeon.api import run, soft_update
from weightsurgeon.errors import OutputError, PlanError, SurgeryError
from weightsurgeon.formats.base import Checkpoint, Source
from weightsurgeon.outcome import Report

BF16 = ml_dtypes.bfloat16
NORM = {
    "bn.weight": np.ones(4, "f4"),
    "bn.bias": np.zeros(4, "f4"),
    "bn.running_mean": np.zeros(4, "f4"),
    "bn.running_var": np.ones(4, "f4"),
    "bn.num_batches_tracked": np.array(5),
}


def pair(folder: Path, target: dict[str, Any], online: dict[str, Any]) -> tuple[str, str]:
    paths = folder / "online.safetensors", folder / "target.safetensors"
    return str(save(paths[0], online)), str(save(paths[1], target))


def updated(
    folder: Path, target: dict[str, Any], online: dict[str, Any], **keys: Any
) -> tuple[dict[str, Array], Report]:
    a, b = pair(folder, target, online)
    report = soft_update(a, b, folder / "out.safetensors", **keys)
    return load_file(folder / "out.safetensors"), report


def refused(folder: Path, target: dict[str, Any], online: dict[str, Any], **keys: Any) -> list[str]:
    with pytest.raises(SurgeryError) as caught:
        updated(folder, target, online, **keys)
    assert not (folder / "out.safetensors").exists()
    return lines_of(caught.value)


def doubled(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: (x * 2 + 1).astype(x.dtype) for name, x in tensors.items()}


def test_40_statistics_are_copied_and_the_parameters_of_a_norm_move(tmp_path: Path) -> None:
    online = doubled(NORM)
    found, report = updated(tmp_path, NORM, online, tau=0.25)
    assert found["bn.weight"].tolist() == [1.5] * 4
    assert found["bn.bias"].tolist() == [0.25] * 4
    assert same(found["bn.running_mean"], online["bn.running_mean"])
    assert same(found["bn.running_var"], online["bn.running_var"])
    rows = {row.name: (row.action, row.rule) for row in report.rows}
    assert rows["bn.weight"] == ("soft", "parameter: soft")
    assert rows["bn.running_var"] == ("copied", "statistics: copy")
    assert {r.name: r.counts for r in report.rows}["bn.bias"] == {"changed": 4, "stalled": 0}
    found, _ = updated(tmp_path, NORM, online, tau=0.25, roles={"statistics": "soft"})
    assert found["bn.running_mean"].tolist() == [0.25] * 4
    found, _ = updated(tmp_path, NORM, online, tau=0.25, roles={"statistics": "keep"})
    assert found["bn.running_mean"].tolist() == [0] * 4


def test_40_it_is_the_same_under_the_names_of_keras(tmp_path: Path) -> None:
    names = {"bn/gamma": "f4", "bn/moving_mean": "f4", "bn/moving_variance": "f4"}
    target = {n: np.zeros(2, d) for n, d in names.items()}
    target["drop/seed_generator/seed_generator_state"] = np.zeros(2, "u4")
    found, report = updated(tmp_path, target, {n: x + 1 for n, x in target.items()}, tau=0.5)
    assert {n: x.tolist()[0] for n, x in found.items()} == {
        "bn/gamma": 0.5, "bn/moving_mean": 1, "bn/moving_variance": 1,
        "drop/seed_generator/seed_generator_state": 0,
    }  # fmt: skip
    rules = {row.name: row.rule for row in report.rows}
    assert rules["bn/moving_mean"] == "statistics: copy (inferred)"


def test_41_42_counters_and_masks_are_copied_exactly(tmp_path: Path) -> None:
    target = {"n": np.array(5), "big": np.array(0), "m": np.zeros(3, bool), "u": np.zeros(3, "u1")}
    online = {"n": np.array(1000), "big": np.array(2**53 + 1), "m": np.ones(3, bool),
              "u": np.arange(3, dtype="u1")}  # fmt: skip
    found, _ = updated(tmp_path, target, online, tau=0.1)
    assert all(same(found[n], online[n]) for n in online)
    (line,) = refused(tmp_path / "x", target, online, tau=0.1, rules=[{"select": "n", "tau": 0.5}])
    assert "integers and bools are copied or kept" in line


def test_44_names_on_one_side_are_told_together(tmp_path: Path) -> None:
    target = {"a": np.zeros(2, "f4"), "b": np.zeros(2, "f4")}
    online = {"c": np.ones(2, "f4"), "a": np.ones(2, "f4")}
    (line,) = refused(tmp_path / "x", target, online, tau=0.5)
    assert "only in the target: b; only online: c" in line
    found, report = updated(tmp_path, target, online, tau=0.5, match="intersection")
    assert (found["a"].tolist(), found["b"].tolist()) == ([0.5, 0.5], [0, 0])
    assert {x.names for x in report.lines if x.id == "skipped"} == {("b",), ("c",)}


@pytest.mark.parametrize("shape", [(1,), (4, 1)])
def test_45_nothing_is_spread(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (line,) = refused(tmp_path, {"w": np.ones(4, "f4")}, {"w": np.ones(shape, "f4")}, tau=0.5)
    assert "w: online" in line
    assert "does not fit target" in line


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"tau": -0.1}, "tau: tau wants a number from 0 to 1, not '-0.1'"),
        ({"tau": 1.1}, "not '1.1'"),
        ({"tau": float("nan")}, "not 'nan'"),
        ({"tau": "0.005 "}, "not '0.005 '"),
        ({"tau": True}, "not 'True'"),
        ({"tau": 0.1, "decay": 0.9}, "give one of tau, decay, average, not tau and decay"),
        ({}, "give one of tau, decay, average"),
        ({"tau": 0.1, "storage": "bf16"}, "storage: wants keep | float32"),
        ({"tau": 0.1, "storage": "compensated"}, "for live models only"),
        (
            {"tau": 0.1, "storage": {"stochastic": {"seed": 1}}},
            "needs the number of the step",
        ),  # 68
        ({"tau": 0.1, "rules": [{"select": "nothing", "tau": 1}]}, "selects no tensor"),
        ({"tau": 0.1, "rules": [{"select": "w"}]}, "give `tau` or `action`"),
        ({"tau": 0.1, "rules": [{"select": "w", "tau": 2}]}, "not '2'"),
        ({"tau": 0.1, "roles": {"parameters": "soft"}}, "did you mean 'parameter'?"),
        ({"tau": 0.1, "on_stall": {"warn_above": 3}}, "not '3'"),
    ],
)
def test_36_what_makes_no_sense_is_refused(tmp_path: Path, keys: Any, text: str) -> None:
    w = {"w": np.ones(4, "f4")}
    assert any(text in line for line in refused(tmp_path, w, w, **keys))


def test_36_a_plan_in_yaml_tells_the_line(tmp_path: Path) -> None:
    pair(tmp_path, {"w": np.ones(2, "f4")}, {"w": np.ones(2, "f4")})
    (tmp_path / "p.yaml").write_text(
        "weightsurgeon: 1\n"
        "sources: {o: online.safetensors, t: target.safetensors}\n"
        "steps:\n"
        "  - soft_update:\n"
        "      online: o\n"
        "      target: t\n"
        "      tau: 1.5\n"
        "      as: s\n"
        "output: {from: s, path: out.safetensors}\n"
    )
    with pytest.raises(SurgeryError, match=r"p.yaml:7: schema: tau wants a number"):
        run(tmp_path / "p.yaml")
    assert run(tmp_path / "p.yaml", settings={"tau": 0.5}).written


def test_36_decay_is_one_minus_tau_exactly(tmp_path: Path) -> None:
    t, s = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    a, _ = updated(tmp_path, t, s, tau=0.005)
    b, _ = updated(tmp_path, t, s, decay=0.995)
    assert same(a["w"], b["w"])
    c, _ = updated(tmp_path, t, s, average=3)
    assert c["w"].tolist() == [1.25]


def test_37_storage_decides_whether_small_steps_arrive(tmp_path: Path) -> None:
    t, s = {"w": np.ones(64, BF16)}, {"w": np.full(64, 2, BF16)}
    found, report = updated(tmp_path, t, s, tau=0.001)
    assert same(found["w"], t["w"])
    (line,) = (x for x in report.lines if x.id == "stalled")
    assert line.text.startswith("100.0 % of the elements that differ did not move")
    found, report = updated(tmp_path, t, s, tau=0.001, storage="float32")
    assert found["w"].dtype == np.float32
    assert found["w"][0] == np.float32(1.001)
    random = {"stochastic": {"seed": 7}}
    found, report = updated(tmp_path, t, s, tau=0.5, storage=random, step=3)
    assert found["w"].tolist() == [1.5] * 64


def test_32_33_the_ends_copy_bytes_beside_nan(tmp_path: Path) -> None:
    good, bad = {"w": np.array([1, -0.0], "f4")}, {"w": np.array([np.nan, np.inf], "f4")}
    found, _ = updated(tmp_path, good, bad, tau=0)
    assert same(found["w"], good["w"])
    found, _ = updated(tmp_path, bad, good, tau=1)
    assert same(found["w"], good["w"])
    (line,) = refused(tmp_path / "x", good, bad, tau=0.5)
    assert "w: nan at (0,) in w is not finite" in line


class Tied(Source):
    """A source in memory with one tensor under two names."""

    def __init__(self, values: Array, ties: dict[str, str]) -> None:
        from weightsurgeon.expr import array

        spec = array(values).spec
        super().__init__("tied", "", specs={"emb": spec, "head": spec}, ties=ties)
        self.values = {"emb": values, "head": values}

    def read(self, name: str, block: Any, out: Any = None) -> Any:
        from weightsurgeon.expr import slices

        part = self.values[name][slices(block)]
        if out is None:
            return part
        out[...] = part
        return out


def test_43_a_tied_tensor_moves_once(tmp_path: Path) -> None:
    tie = {"head": "emb"}
    target = Checkpoint(Tied(np.zeros((2, 2), "f4"), tie), {}, None, "")
    online = Checkpoint(Tied(np.ones((2, 2), "f4"), tie), {}, None, "")
    out = tmp_path / "o.safetensors"
    soft_update(online, target, out, decay=0.9)
    with open_(out) as made:
        assert dict(made.ties) == tie
        assert np.allclose(made["head"].numpy(), 0.1)
    loose = Tied(np.ones((2, 2), "f4"), {})
    soft_update(Checkpoint(loose, {}, None, ""), target, out, decay=0.9)  # two names, one value
    loose.values["head"] = np.zeros((2, 2), "f4")
    with pytest.raises(SurgeryError, match="emb is tied to head in the target, online they differ"):
        soft_update(Checkpoint(loose, {}, None, ""), target, out, decay=0.9)


def test_the_target_is_replaced_unless_told_otherwise(tmp_path: Path) -> None:
    a, b = pair(tmp_path, {"w": np.zeros(3, "f4")}, {"w": np.ones(3, "f4")})
    soft_update(a, b, tau=0.25)
    assert load_file(b)["w"].tolist() == [0.25] * 3
    with open_(b) as target, pytest.raises(OutputError, match="give `out`"):
        soft_update(a, target, tau=0.25)


def test_two_updates_in_one_plan_round_once(tmp_path: Path) -> None:
    a, b = pair(tmp_path, {"w": np.ones(1, BF16)}, {"w": np.full(1, 2, BF16)})
    update = {"online": "a", "tau": 0.003}
    steps = [
        {"soft_update": update | {"target": "b", "as": "once"}},
        {"soft_update": update | {"target": "once", "as": "twice"}},
    ]
    out = {"from": "twice", "path": str(tmp_path / "o.safetensors")}
    run({"weightsurgeon": 1, "steps": steps, "output": out}, a=a, b=b)
    assert load_file(tmp_path / "o.safetensors")["w"].tolist() == [1.0078125]  # 1.005991: nearest


def test_a_live_target_moves_in_place_without_out() -> None:
    torch = pytest.importorskip("torch")
    online, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    weight, before = target.weight, target.weight.detach().clone()
    found = soft_update(online, target, tau=0.5)
    assert found.written
    assert target.weight is weight
    torch.testing.assert_close(weight.detach(), (before + online.weight.detach()) / 2)
    soft_update(online, open_(target), tau=1)
    assert torch.equal(target.weight, online.weight)


def test_an_update_that_the_live_target_cannot_hold_is_refused_before_a_write() -> None:
    torch = pytest.importorskip("torch")
    online, target = (torch.nn.Linear(2, 2, dtype=torch.bfloat16) for _ in range(2))
    before = target.weight.detach().clone()
    with pytest.raises(PlanError, match="lossy-cast"):
        soft_update(online, target, tau=0.5, storage="float32")
    assert torch.equal(target.weight, before)
    with pytest.raises(OutputError, match="only a file or a live model is replaced"):
        soft_update(online, 3, tau=0.5)  # type: ignore[arg-type]


def test_71_prune_ranks_what_the_update_made_before_it_is_rounded(tmp_path: Path) -> None:
    rng = np.random.default_rng(71)
    t, s = (rng.normal(size=4001).astype(BF16) for _ in range(2))
    online, target = pair(tmp_path, {"w": t}, {"w": s})
    out = tmp_path / "out.safetensors"
    steps = [
        {"soft_update": {"online": "a", "target": "b", "tau": 0.3, "as": "c"}},
        {"prune": {"from": "c", "select": "w", "amount": {"sparsity": 0.5}, "as": "d"}},
    ]
    plan = {"weightsurgeon": 1, "steps": steps, "output": {"from": "d", "path": str(out)}}
    run(plan, a=online, b=target)
    wide = t.astype("f4") + np.float32(0.3) * (s.astype("f4") - t.astype("f4"))
    wanted = wide.astype(BF16)
    wanted[np.argsort(np.abs(wide), kind="stable")[:2000]] = 0
    found = load_file(out)["w"]
    assert np.count_nonzero(found.astype("f4") == 0) == 2000
    assert same(found, wanted)
    rounded = np.argsort(np.abs(wide.astype(BF16).astype("f4")), kind="stable")[:2000]
    assert {*rounded.tolist()} != {
        *np.flatnonzero(found == 0).tolist()
    }  # the test tells them apart
