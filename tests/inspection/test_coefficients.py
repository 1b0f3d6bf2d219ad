"""`coef`: β·x + β₀ is the model, through stacks and scalers; what is not linear is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import checkpoint, layer, model, tensor
from porting import Shell

from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection.coefficients import Coefficients, coef

RNG = np.random.default_rng(0)
VALUES = {
    "a/kernel": RNG.standard_normal((4, 6)), "a/bias": RNG.standard_normal(6),
    "b/kernel": RNG.standard_normal((6, 2)), "b/bias": RNG.standard_normal(2),
}  # fmt: skip


def net(activation: str = "linear", between: str = "Dropout") -> Any:
    body = [
        layer("InputLayer", "x", batch_shape=[None, 4]),
        layer("Dense", "a", [tensor("x")], units=6, activation=activation),
        layer(between, "mid", [tensor("a", 0, (None, 6))]),
        layer("Dense", "b", [tensor("mid", 0, (None, 6))], units=2),
    ]
    return model(body, [["x", 0, 0]], ["b", 0, 0])


def beta(found: Coefficients, features: int) -> tuple[Any, Any]:
    weights = np.array([r.weight for r in found.rows]).reshape(features + 1, -1)
    return weights[:-1], weights[-1]


def test_a_linear_stack_is_one_layer() -> None:
    found = coef(checkpoint(net(), VALUES), "a", "b", features=["p", "q", "r", "s"])
    w, b = beta(found, 4)
    x = RNG.standard_normal((5, 4))
    y = (x @ VALUES["a/kernel"] + VALUES["a/bias"]) @ VALUES["b/kernel"] + VALUES["b/bias"]
    np.testing.assert_allclose(x @ w + b, y, rtol=1e-12)
    assert found.rows[0].feature == "p"
    assert found.rows[-1].feature == "(bias)"
    assert found.through == ("a", "b")


def test_a_scaler_is_undone() -> None:
    pairs = [(1.0, 2.0), (0.0, 0.5), (-3.0, 1.0), (10.0, 4.0)]
    mean, scale = np.array(pairs).T
    w, b = beta(coef(checkpoint(net(), VALUES), "a", scaler=pairs), 4)
    x = RNG.standard_normal((5, 4))
    y = (x - mean) / scale @ VALUES["a/kernel"] + VALUES["a/bias"]
    np.testing.assert_allclose(x @ w + b, y, rtol=1e-11)
    with pytest.raises(SurgeryError, match="a has 4 features, the scaler 1"):
        coef(checkpoint(net(), VALUES), "a", scaler=pairs[:1])
    with pytest.raises(SurgeryError, match="a scale that is 0"):
        coef(checkpoint(net(), VALUES), "a", scaler=[(0, 0), *pairs[1:]])


def test_what_is_not_linear_is_refused_by_name() -> None:
    for config, said in (
        (net("relu"), r"a \(relu\) is not linear"),
        (net(between="ReLU"), r"mid \(ReLU\) is not linear"),
    ):
        with pytest.raises(SurgeryError, match=said):
            coef(checkpoint(config, VALUES), "a", "b")
    with pytest.raises(SurgeryError, match="zz is in no graph of this file"):
        coef(checkpoint(net(), VALUES), "a", "zz")
    with pytest.raises(SurgeryError, match="mid is no Dense layer that is known; known: a, b"):
        coef(checkpoint(net(), VALUES), "mid")
    with pytest.raises(SurgeryError, match="a has 4 features, 1 names are given"):
        coef(checkpoint(net(), VALUES), "a", features=["p"])


def test_rows_behind_a_flatten_are_places() -> None:
    found = coef("examples/small.keras", "fc1")
    assert [r.feature for r in found.rows[6 * 5 : 6 * 5 + 1]] == ["0,1,1"]
    assert "<td>0,1,1</td>" in found._repr_html_()


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    file, names = "examples/small.keras", tmp_path / "names.txt"
    names.write_text("\n".join("abcdef"))
    scaler = tmp_path / "scaler.csv"
    scaler.write_text("0,1\n" * 6)
    call = shell("coef", file, "--layer", "fc2", "--features", names, "--scaler", scaler, "--csv")
    assert call.out.splitlines()[0] == "feature,unit,weight"
    assert len(call.out.splitlines()) == 1 + 12 + 2
    assert "fc2" in shell("coef", file, "--layer", "fc2").out
    assert "… and 350 more (--all)" in shell("coef", file, "--layer", "fc1").out
    data = json.loads(shell("coef", file, "--layer", "fc2", "--json").out)
    assert len(data["rows"]) == 14
    scaler.write_text("x\n")
    assert "--scaler wants mean,scale" in shell("coef", file, "--layer=fc2", "--scaler", scaler).err
    scaler.write_bytes(b"\xff\xfe")
    assert "is no text" in shell("coef", file, "--layer=fc2", "--scaler", scaler).err
