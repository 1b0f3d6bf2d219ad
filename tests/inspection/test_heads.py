"""`heads`: parameters by the outputs they reach, and how alike the heads read what is shared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import checkpoint, layer, model, tensor
from porting import Shell

from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection.heads import heads


def shapes() -> dict[str, tuple[int, ...]]:
    return {
        "conv1": (3, 3, 3, 32), "conv2": (3, 3, 32, 64), "d1": (1600, 128), "d2": (1600, 128),
        "o1": (128, 10), "o2": (128, 5),
    }  # fmt: skip


def net() -> Any:
    """28×28×3, two convolutions, two heads of 10 and 5."""

    def at(name: str, *shape: int) -> Any:
        return tensor(name, 0, (None, *shape))

    body = [
        layer("InputLayer", "img", batch_shape=[None, 28, 28, 3]),
        layer("Conv2D", "conv1", [at("img", 28, 28, 3)], filters=32, activation="relu"),
        layer("MaxPooling2D", "p1", [at("conv1", 26, 26, 32)]),
        layer("Conv2D", "conv2", [at("p1", 13, 13, 32)], filters=64, activation="relu"),
        layer("MaxPooling2D", "p2", [at("conv2", 11, 11, 64)]),
        layer("Flatten", "flat", [at("p2", 5, 5, 64)]),
        layer("Dense", "d1", [at("flat", 1600)], units=128, activation="relu"),
        layer("Dense", "d2", [at("flat", 1600)], units=128, activation="relu"),
        layer("Dense", "o1", [at("d1", 128)], units=10),
        layer("Dense", "o2", [at("d2", 128)], units=5),
    ]
    return model(body, [["img", 0, 0]], [["o1", 0, 0], ["o2", 0, 0]])


def weights(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    made = {f"{n}/kernel": rng.standard_normal(s).astype("f4") for n, s in shapes().items()}
    return made | {f"{n}/bias": np.zeros(s[-1], "f4") for n, s in shapes().items()}


def test_groups_add_up() -> None:
    found = heads(checkpoint(net(), weights()))
    assert {g.name: g.params for g in found.groups} == {
        "shared": 19_392,
        "head:o1": 206_218,
        "head:o2": 205_573,
    }
    assert "19,392 + 206,218 + 205,573 = 431,183 from graph" in str(found)
    assert found.groups[1].layers == ("d1", "o1")


def test_equal_heads_have_cosine_1_and_disjoint_ones_0() -> None:
    w = weights()
    w["d2/kernel"] = w["d1/kernel"]
    (equal,) = heads(checkpoint(net(), w)).likenesses
    assert equal.cosine == pytest.approx(1, abs=1e-12)
    assert equal.shared == "conv2"
    apart = {k: v.copy() for k, v in w.items()}
    channel = np.arange(1600) % 64
    apart["d1/kernel"][channel < 32] = 0
    apart["d2/kernel"][channel >= 32] = 0
    found = heads(checkpoint(net(), apart))
    assert found.likenesses[0].cosine == 0
    norms = np.linalg.norm(apart["d1/kernel"].reshape(25, 64, 128), axis=(0, 2))
    np.testing.assert_allclose(found.profiles[0].norms, norms, rtol=1e-6)


def test_on_the_command_line(shell: Shell, tiny: Path) -> None:
    call = shell("heads", "examples/small.keras")
    assert call.code == 0
    assert "head:fc2" in call.out
    data = json.loads(shell("heads", "examples/small.keras", "--json").out)
    assert data["groups"][0]["params"] == 536
    with pytest.raises(SurgeryError, match="tells no graph"):
        heads(tiny)
    assert "<td>head:fc2</td>" in heads("examples/small.keras")._repr_html_()
