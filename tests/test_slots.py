"""Optimizer slots between live torch modules; those of Keras are judged by training on."""

from __future__ import annotations

from typing import Any

import pytest
from porting import mapping

import weightsurgeon as ws
from weightsurgeon.errors import FormatError, PlanError

torch = pytest.importorskip("torch")
nn, optim = torch.nn, torch.optim


def trained(make: Any, steps: int = 2, width: int = 3) -> tuple[Any, Any]:
    """A module and its optimizer after some steps."""
    module = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))
    optimizer = make(module.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.ones(5, 4)).square().mean().backward()
        optimizer.step()
    return module, optimizer


def adam(parameters: Any) -> Any:
    return optim.Adam(parameters, 0.01)


def sgd(parameters: Any, **how: Any) -> Any:
    return optim.SGD(parameters, 0.01, momentum=0.9, **how)


def refused(a: tuple[Any, Any], b: tuple[Any, Any], text: str, rules: Any = None) -> None:
    """Refused, and neither weights nor slots were touched."""
    before = [x.clone() for x in b[0].state_dict().values()]
    with pytest.raises((PlanError, FormatError), match=text):
        ws.port(a[0], b[0], rules, optimizers=(a[1], b[1]))
    assert all(map(torch.equal, before, b[0].state_dict().values()))


def test_slots_and_step_go_where_the_weights_go() -> None:
    (a, here), (b, there) = trained(adam), trained(adam, 0)
    report = ws.port(a, b, optimizers=(here, there))
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        for slot in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(here.state[x][slot], there.state[y][slot])
            assert here.state[x][slot] is not there.state[y][slot]
    (line,) = [x.text for x in report.lines if x.id == "optimizer"]
    assert line == "exp_avg, exp_avg_sq of 4 parameters go along"


def test_a_dry_run_writes_nothing_and_other_settings_are_told() -> None:
    (a, here), (b, there) = trained(adam), trained(lambda p: optim.AdamW(p, 0.02), 0)
    report = ws.port(a, b, optimizers=(here, there), dry_run=True)
    assert not there.state
    told = "lr 0.01 here, 0.02 there, weight_decay 0 here, 0.01 there"
    assert report.notes == (f"the optimizers' settings differ: {told}",)


def test_what_has_no_counterpart_is_refused() -> None:
    made = trained(adam)
    refused(made, trained(sgd), "keeps other things than")
    refused(made, trained(lambda p: optim.Adam(p, amsgrad=True)), "exp_avg_sq, max_exp_avg_sq")
    refused(trained(adam, 0), trained(adam), "has no state of 0.weight yet: it made no step")
    refused(trained(optim.Adagrad), made, "is none of torch's Adam, AdamW, SGD, RMSprop")
    refused(trained(lambda p: sgd(p, dampening=0.5)), trained(sgd), "damps its momentum")
    refused(trained(lambda p: sgd(p, maximize=True)), trained(sgd), "maximizes")
    refused((made[0], trained(adam)[1]), made, "a parameter that the model does not have")


def test_weights_that_are_computed_have_no_slots() -> None:
    rules = mapping("- {from: 0.weight, to: 0.weight, scale: 2}\n- {from: '{x:path}', to: '{x}'}")
    refused(trained(adam), trained(adam), r"0.weight: its weight is computed \(affine", rules)


def test_a_frozen_weight_has_none() -> None:
    a, b = trained(lambda p: adam(list(p)[:2])), trained(adam)
    refused(a, b, "it comes from what .* does not train")


def test_files_have_none(tmp_path: Any) -> None:
    a, here = trained(adam)
    with pytest.raises(PlanError, match="optimizers are ported between two live models"):
        ws.port(a, tmp_path / "x.pt", optimizers=(here, here))
