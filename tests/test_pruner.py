"""Pruning live models: in place, the same Parameters, masks that grow with a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weightsurgeon as ws
from weightsurgeon.errors import OutputError, PlanError, SpecError

torch = pytest.importorskip("torch")
SCHEDULE = {"kind": "polynomial", "final": 0.75, "begin": 0, "end": 4, "power": 1}


def linear(values: Any = range(1, 17)) -> Any:
    module = torch.nn.Linear(4, 4)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(list(values), dtype=torch.float32).reshape(4, 4))
    return module


def zeros(module: Any) -> int:
    return int((module.weight == 0).sum())


def test_a_live_model_is_pruned_in_place() -> None:
    module = linear()
    weight, bias = module.weight, module.bias.detach().clone()
    report = ws.prune(module, sparsity=0.5)
    assert report.written
    assert module.weight is weight
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.flatten()[:8].tolist() == [0] * 8
    assert weight.flatten()[8:].tolist() == list(range(9, 17))
    assert torch.equal(module.bias, bias)
    with pytest.raises(PlanError, match="17 are to be pruned, but there are 16"):
        ws.prune(module, count=17)
    assert ws.prune(module, sparsity=1, dry_run=True).written is False
    assert zeros(module) == 8


def test_only_a_live_model_is_pruned_in_place(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    ws.port(linear(), path)
    with pytest.raises(OutputError, match="only a live model is pruned in place"):
        ws.prune(path, sparsity=0.5)
    with pytest.raises(SpecError, match="wants a live model"):
        ws.Pruner(ws.open(path), sparsity=0.5)  # type: ignore[arg-type]


def test_masks_grow_with_the_schedule_and_hold() -> None:
    module = linear()
    pruner = ws.Pruner(module, every=2, schedule=SCHEDULE)
    assert zeros(module) == 0
    counts, made = [], []
    for n in range(6):
        with torch.no_grad():
            module.weight += 0.25  # as an optimiser would, also where a mask is
        made.append(pruner.step(n))
        counts.append(zeros(module))
    assert made == [True, False, True, False, True, False]
    assert counts == [0, 0, 6, 6, 12, 12]
    (mask,) = pruner.state_dict()["masks"].values()
    assert np.array_equal(mask, module.weight.detach().numpy() != 0)


def test_a_fixed_amount_is_chosen_once() -> None:
    module = linear()
    pruner = ws.Pruner(module, sparsity=0.5)
    assert pruner.step(0)
    with torch.no_grad():
        module.weight.copy_(module.weight.flip(0))
    assert not pruner.step(1)
    assert zeros(module) == 16  # the mask stays where it was


def test_a_state_is_taken_up() -> None:
    module = linear()
    one = ws.Pruner(module, schedule=SCHEDULE)
    one.step(2)
    other_module = linear()
    other = ws.Pruner(other_module, schedule=SCHEDULE)
    other.load_state_dict(one.state_dict())
    assert not other.step(2)
    assert torch.equal(other_module.weight, module.weight)
    assert other.step(3)
    fresh = ws.Pruner(linear(), schedule=SCHEDULE)
    fresh.load_state_dict(ws.Pruner(linear(), schedule=SCHEDULE).state_dict())
    assert fresh.step(0)
    with pytest.raises(SpecError, match=r"weight: the mask bool \(2,\) does not fit"):
        other.load_state_dict({"amount": "1/2", "masks": {"weight": np.ones(2, bool)}})


def test_everything_wrong_is_told_before_anything_is_changed() -> None:
    module = linear()
    for keys, words in (
        ({}, "how much shall go"),
        ({"sparsity": 2}, "wants a number from 0 to 1"),
        ({"schedule": {**SCHEDULE, "end": -1}}, "schedule"),
        ({"sparsity": 0.5, "select": "nothing"}, "selects no tensor"),
    ):
        with pytest.raises(PlanError, match=words):
            ws.Pruner(module, **keys)
    with pytest.raises(SpecError, match="every wants"):
        ws.Pruner(module, every=0, sparsity=0.5)
    with pytest.raises(SpecError, match="makes its own masks"):
        ws.Pruner(module, sparsity=0.5, mask={"write": "m.safetensors"})
    with pytest.raises(SpecError, match="from 0, not -1"):
        ws.Pruner(module, sparsity=0.5).step(-1)
    with torch.no_grad():
        module.weight[1, 2] = torch.nan
    with pytest.raises(PlanError, match=r"weight at \[1, 2\] is not finite"):
        ws.Pruner(module, sparsity=0.5).step(0)
    assert zeros(module) == 0


def test_a_tied_weight_is_one() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    module[1].weight = module[0].weight
    pruner = ws.Pruner(module, count=8)
    pruner.step(0)
    assert module[1].weight is module[0].weight
    assert zeros(module[0]) == 8
