"""`branches`: slices by the order of inputs, shares that rescaling does or does not move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import checkpoint, layer, model, tensor
from porting import Shell
from samples import normal, written

from weightsurgeon.errors import SurgeryError
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.inspection.branches import Branches, branches

Array = np.ndarray[Any, Any]


def two(order: tuple[str, str] = ("num", "cat"), axis: int = -1, behind: Any = None) -> Any:
    """Inputs → num (64), cat (64) → concat → [behind] → out; layers are listed cat first."""
    body = [
        layer("InputLayer", "b", batch_shape=[None, 3]),
        layer("InputLayer", "a", batch_shape=[None, 5]),
        layer("Dense", "cat", [tensor("b", 0, (None, 3))], units=64, activation="relu"),
        layer("Dense", "num", [tensor("a", 0, (None, 5))], units=64, activation="relu"),
        layer("Concatenate", "cc", [tensor(n, 0, (None, 64)) for n in order], axis=axis),
        *([behind] if behind else []),
        layer("Dense", "out", [tensor(behind["name"] if behind else "cc")], units=1),
    ]
    return model(body, [["a", 0, 0], ["b", 0, 0]], ["out", 0, 0])


def values(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"cat": (3, 64), "num": (5, 64), "out": (128, 1)}
    made = {f"{n}/kernel": rng.standard_normal(s) for n, s in shapes.items()}
    made |= {f"{n}/bias": rng.standard_normal(s[1]) for n, s in shapes.items()}
    return {k: v.astype("f4") for k, v in made.items()}


def only(found: Branches) -> Any:
    (consumer,) = found.consumers
    return consumer


def test_rows_follow_the_order_of_inputs() -> None:
    for order in (("num", "cat"), ("cat", "num")):
        c = only(branches(checkpoint(two(order), values())))
        assert [(s.branch, s.low, s.high) for s in c.slices] == [
            (order[0], 0, 64),
            (order[1], 64, 128),
        ]
        assert sum(s.params for s in c.slices) + c.bias == 129
        assert sum(s.raw for s in c.slices) == pytest.approx(1)
        assert sum(s.path for s in c.slices) == pytest.approx(1)
        assert c.ground == "from graph"


def test_slices_add_up_to_the_output() -> None:
    v = values()
    c = only(branches(checkpoint(two(), v)))
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((7, 5)).astype("f4"), rng.standard_normal((7, 3)).astype("f4")
    h = {
        "num": np.maximum(a @ v["num/kernel"] + v["num/bias"], 0),
        "cat": np.maximum(b @ v["cat/kernel"] + v["cat/bias"], 0),
    }
    whole = np.concatenate([h["num"], h["cat"]], 1) @ v["out/kernel"] + v["out/bias"]
    parts = sum(h[s.branch] @ v["out/kernel"][s.low : s.high] for s in c.slices) + v["out/bias"]
    assert np.abs(whole - parts).max() < 1e-5 * np.abs(whole).max()


def test_rescaling_moves_the_raw_share_only() -> None:
    v, w = values(), values()
    w["num/kernel"], w["num/bias"] = v["num/kernel"] * 8, v["num/bias"] * 8
    w["out/kernel"] = v["out/kernel"].copy()
    w["out/kernel"][:64] /= 8
    before, after = (only(branches(checkpoint(two(), x))).slices for x in (v, w))
    assert before[0].raw > 10 * after[0].raw
    assert before[0].path == pytest.approx(after[0].path, abs=1e-12)


def test_an_embedding_is_an_input_scale() -> None:
    def of(factor: float) -> Checkpoint:
        body = [
            layer("InputLayer", "ids", batch_shape=[None, 1]),
            layer("InputLayer", "a", batch_shape=[None, 5]),
            layer("Embedding", "emb", [tensor("ids", 0, (None, 1))], input_dim=10, output_dim=4),
            layer("Flatten", "flat", [tensor("emb", 0, (None, 1, 4))]),
            layer("Dense", "cat", [tensor("flat")], units=64, activation="relu"),
            layer("Dense", "num", [tensor("a", 0, (None, 5))], units=64, activation="relu"),
            layer("Concatenate", "cc", [tensor(n, 0, (None, 64)) for n in ("num", "cat")]),
            layer("Dense", "out", [tensor("cc", 0, (None, 128))], units=1),
        ]
        v = values() | {"emb/embeddings": normal(10, 4) * np.float32(factor)}
        v["cat/kernel"] = normal(4, 64, seed=4) / np.float32(factor)
        return checkpoint(model(body, [["ids", 0, 0], ["a", 0, 0]], ["out", 0, 0]), v)

    one, ten = (only(branches(of(f))).slices[0].path for f in (1, 8))
    assert one is not None
    assert one == pytest.approx(ten, abs=1e-7)


def test_what_stands_between_is_followed_or_told() -> None:
    norm = layer("LayerNormalization", "ln", [tensor("cc", 0, (None, 128))])
    c = only(branches(checkpoint(two(behind=norm), values())))
    assert c.notes == ("ln couples the branches",)
    drop = layer("Dropout", "drop", [tensor("cc", 0, (None, 128))])
    assert only(branches(checkpoint(two(behind=drop), values()))).concat == "cc"
    bent = layer("Activation", "act", [tensor("cc", 0, (None, 128))], activation="tanh")
    c = only(branches(checkpoint(two(behind=bent), values())))
    assert c.notes == ("path share: not invariant here, tanh is not homogeneous",)
    add = layer("Add", "add", [tensor("cc", 0, (None, 128)), tensor("cc", 0, (None, 128))])
    found = branches(checkpoint(two(behind=add), values()))
    assert found.consumers == ()
    assert found.notes == ("add (Add) merges branches: no slices behind it",)
    assert "no layer reads a concatenation" in str(found)


def test_a_flattened_map_has_its_channels_in_every_place() -> None:
    def maps(name: str, channels: int) -> Any:
        return tensor(name, 0, (None, 4, 4, channels))

    body = [
        layer("InputLayer", "img", batch_shape=[None, 4, 4, 3]),
        layer("Conv2D", "x", [maps("img", 3)], filters=2, kernel_size=[1, 1], activation="relu"),
        layer("Conv2D", "y", [maps("img", 3)], filters=6, kernel_size=[1, 1], activation="relu"),
        layer("Concatenate", "cc", [maps("y", 6), maps("x", 2)], axis=3),
        layer("Flatten", "flat", [maps("cc", 8)]),
        layer("Dense", "out", [tensor("flat", 0, (None, 128))], units=1),
    ]
    v = {
        "x/kernel": normal(1, 1, 3, 2),
        "y/kernel": normal(1, 1, 3, 6),
        "out/kernel": normal(128, 1),
    }
    c = only(branches(checkpoint(model(body, [["img", 0, 0]], ["out", 0, 0]), v)))
    rows = v["out/kernel"].reshape(16, 8)
    assert [(s.branch, s.low, s.high, s.params) for s in c.slices] == [
        ("y", 0, 6, 96),
        ("x", 6, 8, 32),
    ]
    assert c.places == 16
    assert c.slices[1].norm == pytest.approx(float(np.linalg.norm(rows[:, 6:])))
    assert c.slices[0].path is not None


def test_a_spatial_concatenation_has_no_slices() -> None:
    found = branches(checkpoint(two(axis=2), values()))
    assert found.consumers == ()
    assert "cc joins along axis 2" in found.notes[0]


def test_declared_for_a_file_that_tells_no_graph(tmp_path: Path, shell: Shell) -> None:
    import weightsurgeon as ws

    with pytest.raises(SurgeryError, match="tells no graph; declare it"):
        branches(written(tmp_path / "a.safetensors", {"w": normal(2, 2)}))
    ws.port("examples/small.keras", tmp_path / "m.safetensors", to="torch")
    found = branches(tmp_path / "m.safetensors", {"fc2": {"num": 4, "cat": 2}})
    assert [(s.branch, s.params) for s in only(found).slices] == [("num", 8), ("cat", 4)]
    assert only(found).ground == "declared"
    with pytest.raises(SurgeryError, match="fc2: the branches have 5 channels, the kernel 6"):
        branches(tmp_path / "m.safetensors", {"fc2": {"num": 4, "cat": 1}})
    with pytest.raises(SurgeryError, match="no kernel of fc9 is known; known: conv1, fc1, fc2"):
        branches(tmp_path / "m.safetensors", {"fc9": {"num": 4}})
    call = shell("branches", tmp_path / "m.safetensors", "--concat", "fc2=num:4,cat:2")
    assert call.code == 0
    assert "0:4   num" in call.out
    again = shell("branches", tmp_path / "m.safetensors", "--concat", "fc2=num:4,cat:2", "--json")
    data = json.loads(again.out)
    assert data["consumers"][0]["slices"][1]["branch"] == "cat"
    assert "--concat wants" in shell("branches", "x", "--concat", "=a:1").err
    assert shell("branches", "examples/small.keras").out == "no layer reads a concatenation\n"
    assert "<td>num</td>" in found._repr_html_()
