"""Live models are looked at like files: each verb of the wing takes a torch module as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

import weightsurgeon as ws
from weightsurgeon.inspection.match import match
from weightsurgeon.inspection.track import track

torch = pytest.importorskip("torch")


@pytest.fixture
def module() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def changed(module: Any) -> Any:
    other = deepcopy(module)
    with torch.no_grad():
        other[0].weight[1, 2] += 1
    return other


def test_stats_reads_a_module(module: Any) -> None:
    found = {t.name: t for t in ws.stats(module).tensors}
    assert list(found) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert found["0.weight"].summary.min == float(module[0].weight.detach().min())


def test_diff_compares_a_module_with_another(module: Any) -> None:
    text = str(ws.diff(module, changed(module)))
    assert "0.weight" in text
    assert "1 of 4 differ" in text


def test_doctor_examines_a_module(module: Any) -> None:
    with torch.no_grad():
        module[2].weight[0, 0] = float("nan")
    found = [f for f in ws.doctor(module).findings if "2.weight" in str(f)]
    assert found


def test_a_report_shows_a_module_and_what_changed(module: Any) -> None:
    page = ws.report(module, against=changed(module))
    assert "live Sequential" in page.html
    assert page.data["findings"] is not None


def test_a_module_is_matched_and_tracked(module: Any) -> None:
    assert match(module, module).to_json()
    assert len(track([module, changed(module)]).to_json()["inputs"]) == 2
