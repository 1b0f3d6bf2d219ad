"""verify(forward=True) of torch modules: equal outputs pass, else the first layers that part."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weightsurgeon as ws
from weightsurgeon.errors import FormatError, OutputError

torch = pytest.importorskip("torch")
nn: Any = torch.nn
ROOT = Path(__file__).parents[1]
X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("f4")


def net() -> Any:
    torch.manual_seed(1)
    layers = {
        "c": nn.Conv2d(3, 4, 3, stride=2),
        "b": nn.BatchNorm2d(4),
        "r": nn.ReLU(inplace=True),
        "f": nn.Flatten(),
        "d": nn.Linear(36, 5),
        "t": nn.Tanh(),
        "e": nn.Linear(5, 2),
    }
    return nn.Sequential(OrderedDict(layers))


def found(a: Any, b: Any, data: Any = X, **how: Any) -> Any:
    return ws.verify(a, b, forward=True, data=data, **how)


def reasons(result: Any) -> list[tuple[str, str]]:
    return [(r.what, r.text) for r in result.reasons]


def test_equal_models_are_equal_and_left_as_they_were() -> None:
    a, b = net().train(), net().eval()
    before = {n: x.clone() for n, x in a.state_dict().items()}
    result = found(a, b)
    assert result.equal
    assert result.worst == 0
    assert result.weights is None
    assert (a.training, b.training) == (True, False)
    assert all(torch.equal(x, before[n]) for n, x in a.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in (*a.modules(), *b.modules()))
    assert all(p.grad_fn is None for p in a.parameters())


def test_an_epsilon_is_named() -> None:
    a, b = net(), net()
    b.b.eps = 0.1
    result = found(a, b)
    assert not result.equal
    assert (result.parting.what, result.parting.pair.a) == ("layer", "b")
    assert reasons(result) == [("epsilon", "epsilon is 1e-05 here and 0.1 there")]
    assert result.weights.equal
    assert not any(m._forward_hooks for m in a.modules())


def test_weights_are_named_with_their_first_layer() -> None:
    a, b = net(), net()
    with torch.no_grad():
        b.d.weight[2, 3] += 1
        b.e.weight[0, 0] += 1
    result = found(a, b)
    assert result.parting.pair.a == "d"
    assert reasons(result) == [("weights", "d.weight: 1 of 180 differ, worst |Δ| 1 at [2, 3]")]


@pytest.mark.parametrize(
    ("layer", "other", "behind", "text"),
    [
        ("r", nn.GELU(), "b", "relu follows here, gelu there"),
        ("t", nn.Sigmoid(), "d", "tanh follows here, sigmoid there"),
        ("t", nn.LeakyReLU(0.3), "d", "tanh follows here, leaky_relu of slope 0.3 there"),
    ],
)
def test_an_activation_is_named_by_what_it_does(
    layer: str, other: Any, behind: str, text: str
) -> None:
    a, b = net(), net()
    setattr(b, layer, other)
    result = found(a, b)
    assert (result.parting.what, result.parting.pair.a) == ("after", behind)
    assert reasons(result) == [("activation", text)]


def test_a_stride_is_named_though_the_rest_of_the_model_cannot_run() -> None:
    a, b = net(), net()
    b.c.stride = (3, 3)
    result = found(a, b)
    assert not result.equal
    assert result.parting.pair.a == "c"
    assert result.outputs == ()
    assert [what for what, _ in reasons(result)] == ["padding", "padding"]
    assert reasons(result)[0][1] == "strides is [2, 2] here and [3, 3] there"
    assert "(2, 4, 3, 3) here and (2, 4, 2, 2) there" in reasons(result)[1][1]


def test_swapped_gates_are_named_in_their_order() -> None:
    a = nn.LSTM(3, 4, batch_first=True)
    b = deepcopy(a)
    with torch.no_grad():
        for p in b.parameters():
            p.copy_(torch.cat([p.chunk(4)[i] for i in (0, 2, 1, 3)]))
    result = found(a, b, np.ones((2, 5, 3), "f4"))
    assert {what for what, _ in reasons(result)} == {"layout"}
    assert all("the gates lie as i g f o and not as i f g o" in t for _, t in reasons(result))


def test_a_kernel_of_a_square_layer_that_lies_the_other_way_is_named() -> None:
    a = nn.Sequential(nn.Linear(4, 4))
    b = deepcopy(a)
    with torch.no_grad():
        b[0].weight.copy_(a[0].weight.T)
    result = found(a, b, np.eye(4, dtype="f4"))
    assert "its axes are permuted by [1, 0]" in reasons(result)[0][1]


def test_what_no_mapped_layer_does_is_said() -> None:
    class Doubled(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.d = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.d(2 * x)

    a = nn.Sequential(OrderedDict(d=nn.Linear(3, 2)))
    b = Doubled()
    b.load_state_dict(a.state_dict())
    result = found(a, b, np.ones((2, 3)))
    assert result.parting.what == "input"
    assert "before any mapped layer: its inputs differ by |Δ| 1" in str(result)
    assert "not explained" in str(result)


def test_several_inputs_go_by_order_or_by_name() -> None:
    class Two(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.d = nn.Linear(3, 2)

        def forward(self, left: Any, right: Any) -> Any:
            return {"a": self.d(left), "b": [right]}

    a, b = Two(), Two()
    b.load_state_dict(a.state_dict())
    data = {"right": np.zeros((2, 4)), "left": torch.ones(2, 3)}
    result = found(a, b, data)
    assert result.equal
    assert [x.shapes[0] for x in result.outputs] == [(2, 2), (2, 4)]
    assert found(a, b, [np.ones((2, 3)), np.zeros((2, 4))]).equal


def test_a_precision_of_the_model_is_kept() -> None:
    a = nn.Linear(3, 2, dtype=torch.bfloat16)
    assert found(a, deepcopy(a), np.ones((2, 3))).equal


def test_indices_and_nan_and_bounds() -> None:
    a = nn.Embedding(3, 2)
    with torch.no_grad():
        a.weight[0, 0] = float("nan")
    b = deepcopy(a)
    assert found(a, b, np.array([[0, 2]])).equal
    with torch.no_grad():
        b.weight[2, 1] += 0.5
    assert found(a, b, np.array([[0, 2]]), atol=0.5).equal
    assert not found(a, b, np.array([[0, 2]])).equal


def test_data_that_cannot_be_had_or_read_is_refused(tmp_path: Path) -> None:
    a = nn.Linear(3, 2)
    with pytest.raises(FormatError, match=r"tells no shape of its input.*give its inputs as data"):
        ws.verify(a, a, forward=True)
    with pytest.raises(FormatError, match=r"cannot be run on float32 \(2, 5\): RuntimeError"):
        found(a, a, np.ones((2, 5)))
    with pytest.raises(OutputError, match="give forward=True as well"):
        ws.verify(a, a, data=X)  # type: ignore[call-overload]
    (tmp_path / "x.npz").write_bytes(b"PK no zip")
    with pytest.raises(FormatError, match=r"is no .npz of plain arrays"):
        found(a, a, tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x=np.array([print], dtype=object))
    with pytest.raises(FormatError, match=r"is no .npz of plain arrays"):
        found(a, a, tmp_path / "y.npz")
    ws.port(a, tmp_path / "a.safetensors")
    with pytest.raises(FormatError, match="is a file: outputs are of live models"):
        found(tmp_path / "a.safetensors", a, np.ones((1, 3)))


MODELS = """
import torch
def a():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
def b():
    found = a()
    found[0].eps = 0.5
    return found
def broken():
    raise ValueError("no model today")
"""


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from weightsurgeon.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, "verify", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_runs_factories_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    np.savez(tmp_path / "x.npz", x=np.arange(8, dtype="f4").reshape(2, 4) / 10)
    how = ("--forward", "--data", "x.npz")
    done = command(tmp_path, "models:a", "models:b", *how, "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["first"]["a"] == "0"
    assert [r["what"] for r in told["first"]["reasons"]] == ["epsilon"]
    assert command(tmp_path, "models:a", "models:a", *how).returncode == 0
    done = command(tmp_path, "models:a", "models:broken", *how)
    assert done.returncode == 2
    assert done.stderr == "models:broken: gives no model: ValueError: no model today\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("a.pt", "b.pt", "--forward"), "a.pt: is no module:callable"),
        (("nowhere:a", "nowhere:b", "--forward"), "ModuleNotFoundError"),
        (("a", "b", "--data", "x.npz"), "--data: is the input of live models"),
    ],
)
def test_what_the_command_cannot_use_is_one_line(
    tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    done = command(tmp_path, *words)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_says_that_code_is_run(tmp_path: Path) -> None:
    assert "your own code is run" in " ".join(command(tmp_path, "--help").stdout.split())
