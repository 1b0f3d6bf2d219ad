"""verify tells what no checkpoint should hold: signs of swapped roles, odd counters, lost ties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import save

import weightsurgeon as ws

NORM = {
    "bn.weight": np.array([1, 2, -1, 1], "f4"),
    "bn.bias": np.array([-1, 0, 1, -1], "f4"),
    "bn.running_mean": np.array([-1, 0, 1, -1], "f4"),
    "bn.running_var": np.array([0, 1, 1, 2], "f4"),
    "bn.num_batches_tracked": np.array(3),
}


def verified(folder: Path, **other: Any) -> Any:
    tensors = {**NORM, **{f"bn.{name}": np.array(x) for name, x in other.items()}}
    path = save(folder / "a.safetensors", tensors)
    module = folder / "b.pt"
    ws.port(path, module)
    return ws.verify(path, module)


def test_a_right_norm_has_no_findings(tmp_path: Path) -> None:
    found = verified(tmp_path)
    assert found.equal
    assert found.findings == ()
    assert found.to_json()["findings"] == []


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("running_var", [1, -2, 3, -4], "variance: bn.running_var: 2 of 4 are below 0, the first"),
        ("weight", [-1, 2, -3, 4], "gamma: bn.weight: 2 of 4 are below 0: is it a beta"),
        ("num_batches_tracked", 3.5, "counter: bn.num_batches_tracked: counts in float32"),
    ],
)
def test_what_no_such_role_holds_is_told_and_stays_equal(
    tmp_path: Path, name: str, values: Any, text: str
) -> None:
    found = verified(tmp_path, **{name: np.array(values, "f4")})
    assert found.equal
    assert len(found.findings) == 1
    assert f"finding: {text}" in str(found)


def test_a_tie_that_is_lost_is_told() -> None:
    torch = pytest.importorskip("torch")

    def pair() -> Any:
        found = torch.nn.ModuleDict({"e": torch.nn.Embedding(3, 2)})
        found["h"] = torch.nn.Linear(2, 3, bias=False)
        return found

    tied, apart = pair(), pair()
    tied["h"].weight = tied["e"].weight
    apart.load_state_dict(tied.state_dict())
    found = ws.verify(tied, apart)
    assert found.equal
    assert "one tensor here and two there" in str(found)
    assert not ws.verify(apart, apart).findings
