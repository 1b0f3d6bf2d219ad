"""Training goes on: two steps on one side, a port of weights and slots, three steps on both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from frameworks.judge import RANDOM
from keras import layers, optimizers
from torch import nn

import weightsurgeon as ws

EPS = {"epsilon": 1e-8}  # the default of torch; that of Keras, 1e-7, moves the sixth digit
PAIRS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "adam": (
        lambda: optimizers.Adam(0.01, **EPS),
        lambda p: torch.optim.Adam(p, 0.01),
    ),
    "amsgrad": (
        lambda: optimizers.Adam(0.01, amsgrad=True, **EPS),
        lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
    ),
    "sgd": (
        lambda: optimizers.SGD(0.02, momentum=0.9),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.9),
    ),
    "nesterov": (
        lambda: optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (
        lambda: optimizers.RMSprop(0.002, rho=0.9, momentum=0.5, centered=True, **EPS),
        lambda p: torch.optim.RMSprop(p, 0.002, 0.9, momentum=0.5, centered=True),
    ),
}
X = RANDOM.standard_normal((6, 5, 4, 3)).astype("float32")
Y = RANDOM.standard_normal((6, 2)).astype("float32")


def judged(pair: str, folder: Path) -> dict[str, Any]:
    """The largest difference of weights after three more steps: ported there, back, not at all."""
    make, build = PAIRS[pair]
    model = keras.Sequential(
        [
            keras.Input((5, 4, 3)),
            layers.Conv2D(4, 2, name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="fc"),
        ]
    )
    model.compile(make(), "mse", jit_compile=False)
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(3, 4, 2))
    module.add_module("flat", nn.Flatten())
    module.add_module("fc", nn.Linear(4 * 3 * 4, 2))
    optimizer = build(module.parameters())
    keras_steps(model, 2)
    report = ws.port(model, module, optimizers=(model.optimizer, optimizer))
    lines = [line.text for line in report.lines if line.id == "optimizer"]
    bare = copy.deepcopy(module)
    torch_steps(bare, build(bare.parameters()), 3)
    torch_steps(module, optimizer, 3)
    keras_steps(model, 3)
    found = {"to_torch": apart(module, model), "without": apart(bare, model), "lines": lines}
    torch_steps(module, optimizer, 2)
    objects = [id(v) for v in model.optimizer.variables]
    ws.port(module, model, optimizers=(optimizer, model.optimizer))
    keras_steps(model, 3)
    torch_steps(module, optimizer, 3)
    steps = [int(s["step"]) for s in optimizer.state.values() if "step" in s]
    return {
        **found,
        "to_keras": apart(module, model),
        "same_objects": objects == [id(v) for v in model.optimizer.variables],
        "steps": [*sorted(set(steps)), int(model.optimizer.iterations)],
    }


def keras_steps(model: Any, count: int) -> None:
    """Train on the one batch."""
    for _ in range(count):
        model.train_on_batch(X, Y)


def torch_steps(module: Any, optimizer: Any, count: int) -> None:
    """Train on the one batch."""
    x = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
    for _ in range(count):
        optimizer.zero_grad()
        loss: Any = nn.functional.mse_loss(module(x), torch.from_numpy(Y))
        loss.backward()
        optimizer.step()


def apart(module: Any, model: Any) -> float:
    """The largest difference of any weight."""
    compared = ws.verify(module, model)
    return max(float(pair.difference.worst) for pair in compared.pairs)


CASES: dict[str, Callable[[Path], Any]] = {f"train-{p}": partial(judged, p) for p in PAIRS}
