"""What the frameworks say: build a row in both, port its weights each way, compare the outputs."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from frameworks.cases import Case

import weightsurgeon as ws

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(5)

MAPPING = """
weightsurgeon: 1
source: {{dialect: {here}}}
target: {{dialect: {there}}}
rules:
- {rule}
"""


def judged(case: Case, model: Any, module: Any, x: Array, folder: Path) -> dict[str, Any]:
    """How far apart the outputs are before a port, after one to torch, and after one to Keras."""
    before = difference(by_torch(module, x, case.first), by_keras(model, x))
    model.save(folder / "model.keras")
    result = {
        "before": before,
        "paths": sorted(v.path for v in model.weights),
        "names": sorted(ws.open(folder / "model.keras")),
        "to_torch": to_torch(case, model, module, x, folder),
    }
    return {**result, "to_keras": to_keras(case, module, x, folder)}


def to_torch(case: Case, model: Any, module: Any, x: Array, folder: Path) -> float:
    """Port the model's weights, load them with torch; the difference of the outputs."""
    mapping = mapping_of(folder / "there.yaml", "keras", "torch", case.there)
    ws.port(folder / "model.keras", folder / "module.pt", mapping=mapping)
    module.load_state_dict(torch.load(folder / "module.pt", weights_only=True), strict=True)
    return difference(by_torch(module, x, case.first), by_keras(model, x))


def to_keras(case: Case, module: Any, x: Array, folder: Path) -> float:
    """Port other weights of the module back, load them with Keras; the difference."""
    randomise(module, case.fixed)
    torch.save(module.state_dict(), folder / "saved.pt")
    mapping = mapping_of(folder / "back.yaml", "torch", "keras", case.back)
    template = folder / "model.keras"
    ws.port(folder / "saved.pt", folder / "back.keras", mapping=mapping, template=template)
    model = keras.models.load_model(folder / "back.keras")
    return difference(by_keras(model, x), by_torch(module, x, case.first))


def mapping_of(path: Path, here: str, there: str, rule: str) -> Path | None:
    """The mapping of one rule, as a file; None where the automatic rules will do."""
    if not rule:
        return None
    path.write_text(MAPPING.format(here=here, there=there, rule=rule))
    return path


# -- the two frameworks ----------------------------------------------------------------------


def keras_model(case: Case) -> Any:
    """The chain of layers as a functional model with random weights."""
    x = first = keras.Input(case.shape, dtype="int32" if case.vocab else "float32")
    for layer in case.keras:
        x = layer(x)
    model = keras.Model(first, x)
    for variable in model.weights:
        variable.assign(values(tuple(variable.shape), positive="variance" in variable.path))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # until then it computes with what it had
    return model


def torch_module(case: Case) -> Any:
    """The chain of modules with random weights, in evaluation mode."""
    module = torch.nn.Sequential(OrderedDict(case.torch)).eval()
    randomise(module, case.fixed)
    return module


def randomise(module: Any, fixed: tuple[str, ...] = ()) -> None:
    """Give every tensor other values, those of norms too; none that Keras could not hold."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and name not in fixed:
            tensor.copy_(torch.from_numpy(values(tuple(tensor.shape), "var" in name)))


def values(shape: tuple[int, ...], positive: bool) -> Array:
    """Random float32 values."""
    low, high = (0.5, 1.5) if positive else (-0.7, 0.7)
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def inputs(case: Case) -> Array:
    """A batch of two random inputs."""
    shape = (2, *case.shape)
    if case.vocab:
        return RANDOM.integers(0, case.vocab, shape).astype(np.int32)
    return RANDOM.standard_normal(shape).astype(np.float32)


def by_keras(model: Any, x: Array) -> list[Array]:
    """The outputs of a model."""
    made = model(x, training=False)
    return [keras.ops.convert_to_numpy(y) for y in (made if isinstance(made, list) else [made])]


def by_torch(module: Any, x: Array, first: bool) -> list[Array]:
    """The outputs of a module, channels last; `first`: it wants and gives channels first."""
    given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if first else x))
    with torch.no_grad():
        made = module(given)
    outputs = [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]
    return [np.moveaxis(y, 1, -1) if first and y.ndim > 2 else y for y in outputs]


def difference(ours: list[Array], theirs: list[Array]) -> float:
    """The largest difference of any value, in units of the largest value if that is above one."""
    if [y.shape for y in ours] != [y.shape for y in theirs]:
        raise ValueError(f"{[y.shape for y in ours]} are not {[y.shape for y in theirs]}")
    scale = max(1.0, *(float(np.abs(y).max()) for y in theirs))
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)) / scale
