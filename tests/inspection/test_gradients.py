"""Gradients of live models: 20 layers at half, once and twice the He scale; nothing left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weightsurgeon as ws
from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection.gradients import Gradient, gradients, judged
from weightsurgeon.inspection.health import limits_of

LIMITS = limits_of({})


def stack(scale: float, depth: int = 20, width: int = 64) -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = []
    for _ in range(depth):
        layer = torch.nn.Linear(width, width)
        torch.nn.init.normal_(layer.weight, std=scale * (2 / width) ** 0.5)
        torch.nn.init.zeros_(layer.bias)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)


def loss(model: Any) -> Any:
    import torch

    generator = torch.Generator().manual_seed(1)
    return (model(torch.randn(32, 64, generator=generator)) ** 2).mean()


@pytest.mark.parametrize(("scale", "codes"), [(1.0, []), (2.0, ["W013"]), (0.5, ["W014"])])
def test_exploding_and_vanishing_gradients(scale: float, codes: list[str]) -> None:
    found = list(judged(gradients(stack(scale), loss), LIMITS))
    assert [f.code for f in found] == codes
    if found:
        assert found[0].evidence.startswith("RMS(∂L/∂b) of the first layers is ")
        assert found[0].label == "heuristic"


def test_the_doctor_examines_a_live_model() -> None:
    found = ws.doctor(stack(2.0), loss_fn=loss)
    assert [f.code for f in found.findings] == ["W010", "W013"]
    assert {"W013", "W014"} <= set(found.rules)
    assert not {"W013", "W014"} & set(ws.doctor(stack(1.0, 2)).rules)
    assert ws.stats(stack(1.0, 2)).totals["tensors"] == 4


def test_saturated_units_starve_the_first_kernels() -> None:
    torch = pytest.importorskip("torch")
    model = stack(1.0, depth=8)
    model = torch.nn.Sequential(
        *(torch.nn.Sigmoid() if isinstance(x, torch.nn.ReLU) else x for x in model)
    )
    kernels = [g for g in gradients(model, loss) if g.rank > 1]
    assert kernels[0].rms < 1e-3 * kernels[-1].rms
    assert [f.code for f in judged(gradients(model, loss), LIMITS)] == ["W014"]


def test_nothing_is_left_behind() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.BatchNorm1d(8))
    model.train()
    before = {n: x.clone() for n, x in model.state_dict().items()}

    def switching(m: Any) -> Any:
        value = loss(m)
        m.eval()
        return value

    assert len(gradients(model, switching)) == 4
    assert model.training
    assert all(torch.equal(x, before[n]) for n, x in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_what_is_no_number_is_told_nearest_to_the_loss() -> None:
    model = stack(1.0, depth=4)
    model[4].weight.data[0, 0] = float("inf")
    found = list(judged(gradients(model, loss), LIMITS))
    assert [f.code for f in found] == ["W001"]
    assert found[0].tensor == "6.bias"
    overflow = [Gradient("a", 2, 1.0, 1.0, 0, 0), Gradient("b", 2, float("inf"), 1.0, 0, 3)]
    assert [(f.code, f.tensor) for f in judged(overflow, LIMITS)] == [("W002", "b")]


def test_dead_first_layers_and_rules_that_are_off() -> None:
    def at(*sizes: float) -> list[Gradient]:
        return [Gradient(f"l{i}", 2, rms, 1.0, 0, 0) for i, rms in enumerate(sizes)]

    (found,) = judged(at(0, 0, 1, 1), LIMITS)
    assert (found.code, found.tensor) == ("W014", "l0")
    assert list(judged(at(1, 1, 0, 0), LIMITS)) == []
    assert list(judged(at(0, 0, 1), LIMITS)) == []
    assert list(judged(at(0, 0, 1, 1), limits_of({"W014": "off"}))) == []


def test_what_is_no_model_or_no_scalar_is_refused() -> None:
    with pytest.raises(SurgeryError, match=r"live torch or Keras model, not builtins\.dict"):
        gradients({}, loss)
    with pytest.raises(SurgeryError, match=r"loss_fn returned float \(None,\), no scalar loss"):
        gradients(stack(1.0, 1), lambda m: 1.0)
    with pytest.raises(SurgeryError, match=r"returned Tensor \(32, 64\), no scalar"):
        gradients(stack(1.0, 1), lambda m: m(_batch()))


def _batch() -> Any:
    import torch

    return torch.from_numpy(np.zeros((32, 64), "f4"))
