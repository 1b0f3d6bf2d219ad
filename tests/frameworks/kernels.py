"""The judge must see what is wrong: of all ways to lay a cubic kernel, one gives equal outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations, product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from frameworks.cases import Case
from frameworks.judge import (
    Array,
    by_keras,
    by_torch,
    difference,
    inputs,
    keras_model,
    torch_module,
)

import weightsurgeon as ws

N = 3
MAP = (5, 5, N)
BUILDS: dict[str, Callable[[Any, Any], Case]] = {
    "conv": lambda k, t: Case(
        MAP, [k.Conv2D(N, N, name="x")], {"x": t.Conv2d(N, N, N)}, first=True
    ),
    "transpose": lambda k, t: Case(
        MAP, [k.Conv2DTranspose(N, N, name="x")], {"x": t.ConvTranspose2d(N, N, N)}, first=True
    ),
    "linear": lambda k, t: Case((N,), [k.Dense(N, name="x")], {"x": t.Linear(N, N)}),
}


def judged(build: Callable[[Any, Any], Case], folder: Path) -> dict[str, int]:
    """Count the ways to lay the kernel that give equal outputs, and those that are the port's."""
    case = build(keras.layers, torch.nn)
    model, module, x = keras_model(case), torch_module(case), inputs(case)
    expected = by_keras(model, x)
    model.save(folder / "model.keras")
    ws.port(folder / "model.keras", folder / "module.pt")
    state = torch.load(folder / "module.pt", weights_only=True)
    ours = state["x.weight"].numpy()
    found = {"tried": 0, "equal": 0, "ours": 0}
    for laid in arrangements(model.layers[-1].get_weights()[0]):
        module.load_state_dict({**state, "x.weight": torch.from_numpy(laid)})
        equal = difference(by_torch(module, x, case.first), expected) < 1e-3
        found["tried"] += 1
        found["equal"] += equal
        found["ours"] += equal and np.array_equal(laid, ours)
    return found


def arrangements(kernel: Array) -> Iterator[Array]:
    """Every permutation of the axes, with each axis forwards and backwards."""
    for axes in permutations(range(kernel.ndim)):
        for steps in product((1, -1), repeat=kernel.ndim):
            flipped = kernel.transpose(axes)[tuple(slice(None, None, step) for step in steps)]
            yield np.ascontiguousarray(flipped)


CASES: dict[str, Callable[[Path], Any]] = {
    name: partial(judged, build) for name, build in BUILDS.items()
}
