"""Live models: the same weights as by file, without a file, and the same objects afterwards."""

from __future__ import annotations

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
    mapping_of,
    randomise,
    values,
)

import weightsurgeon as ws


def live(case: Case, model: Any, module: Any, x: Array, folder: Path) -> dict[str, Any]:
    """Port between the two models, each way; how far apart the outputs are, what else changed."""
    there = mapping_of(folder / "there.yaml", "keras", "torch", case.there)
    back = mapping_of(folder / "back.yaml", "torch", "keras", case.back)
    objects = [id(v) for v in (*model.weights, *module.state_dict(keep_vars=True).values())]
    modes = [p.requires_grad for p in module.parameters()]
    randomise(module, case.fixed)
    ws.port(module, model, mapping=back)
    _finalised(model)
    result = {"to_keras": difference(by_keras(model, x), by_torch(module, x, case.first))}
    for v in model.weights:
        v.assign(values(tuple(v.shape), positive="variance" in v.path))
    _finalised(model)
    ws.port(model, module, mapping=there)
    after = [id(v) for v in (*model.weights, *module.state_dict(keep_vars=True).values())]
    found = {
        **result,
        "to_torch": difference(by_torch(module, x, case.first), by_keras(model, x)),
        "differing": str(ws.verify(model, module, mapping=there)).rpartition("\n")[2],
        "same_objects": objects == after,
        "same_modes": modes == [p.requires_grad for p in module.parameters()],
        "unlike_the_file": unlike(model, folder / "alike.keras"),
    }
    return {**found, "pruned": [pruned(model), pruned(module)]}


def pruned(model: Any) -> bool:
    """Does a Pruner hold exactly half of what it is asked for at zero, in the same objects?"""
    chosen = [n for n, x in ws.open(model).items() if x.spec.dtype.kind == "float"]
    if not chosen:
        return True
    pruner = ws.Pruner(model, sparsity=0.5, select=chosen[0], nonfinite="keep")
    tensor = ws.open(model).source.tensors[ws.open(model).ties.get(chosen[0], chosen[0])]  # type: ignore[attr-defined]
    with_zeros = np.count_nonzero(ws.open(model)[chosen[0]].numpy() == 0)
    pruner.step(0)
    again = ws.open(model)
    values = again[chosen[0]].numpy()
    same = again.source.tensors[again.ties.get(chosen[0], chosen[0])] is tensor  # type: ignore[attr-defined]
    return bool(same and np.count_nonzero(values == 0) == max(values.size // 2, with_zeros))


def _finalised(model: Any) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def unlike(model: Any, path: Path) -> list[str]:
    """In what a live model differs from the file that it saves."""
    model.save(path)
    a, b = ws.open(model), ws.open(path)
    found = [f"names: {sorted(a)} {sorted(b)}"] if sorted(a) != sorted(b) else []
    for name in {*a} & {*b}:
        if a.meaning(name) != b.meaning(name) or a[name].spec != b[name].spec:
            found.append(f"{name}: {a.meaning(name)} {b.meaning(name)}")
        if not np.array_equal(a[name].numpy(), b[name].numpy()):
            found.append(f"{name}: other values")
    return found


def low_precision(folder: Path) -> dict[str, Any]:
    """Each dtype of a live model is read bit for bit, and written back."""
    layer = keras.layers.Dense(5, dtype="bfloat16", name="x")
    layer.build((None, 3))
    module = torch.nn.Linear(3, 5, dtype=torch.bfloat16)
    kernel, version = module.weight, module.weight._version
    ws.port(layer, module)
    expected = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32")).T
    ws.port(module, folder / "module.safetensors")
    ws.port(folder / "module.safetensors", module)
    return {
        "equal": bool(np.array_equal(module.weight.detach().float().numpy(), expected)),
        "dtypes": [str(module.weight.dtype), layer.kernel.dtype],
        "same": kernel is module.weight and version < module.weight._version,
        "graph": str(module.weight.grad_fn),
        "file": str(ws.verify(layer, folder / "module.safetensors")),
    }


def parts(folder: Path) -> dict[str, Any]:
    """What only live models have: layers by themselves, own classes, seeds, metrics, optimizers."""
    layers = keras.layers
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="d")], name="inner")
    model = keras.Sequential([layers.Input((4,)), layers.Dropout(0.5, seed=1), inner], name="m")
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    own = _own()
    own(np.ones((1, 4), np.float32))
    linear = torch.nn.Linear(4, 3)
    report = ws.port(model.get_layer("inner").get_layer("d"), linear)
    unbuilt = {"layer": layers.Dense(2), "model": keras.Sequential([layers.Dense(2)])}
    twice = keras.Sequential([layers.Input((4,)), _named("sub"), _named("sub_")])
    return {
        "names": list(ws.open(model)),
        "own": {n: ws.open(own).meaning(n).kind for n in ws.open(own)},
        "layer": [(row.name, row.action) for row in report.rows],
        "unbuilt": {name: _refusal(lambda m=m: ws.open(m)) for name, m in unbuilt.items()},
        "nested": list(ws.open(twice)),
    }


def flattened(folder: Path) -> dict[str, Any]:
    """A layer by itself knows the map that is flattened before it in its model, or says so."""
    layers, nn = keras.layers, torch.nn
    image = layers.Input((5, 5, 2))
    flat = layers.Flatten()(layers.ReLU()(layers.Conv2D(4, 3, name="c")(image)))
    behind = layers.Dense(3, name="f")(layers.Dropout(0.1)(flat))
    inner = keras.Sequential([layers.Input((36,)), layers.Dense(3, name="d")], name="inner")
    both = layers.Dense(3, name="both")(layers.Concatenate()([flat, flat]))
    last = layers.Dense(3, name="g")(behind)
    model = keras.Model(image, [last, inner(flat), both])
    nested = nn.Sequential()
    nested.add_module("d", nn.Linear(36, 3))
    own = _own(layers.Conv2D(4, 3, name="c"))
    own(np.ones((1, 5, 5, 2), np.float32))
    pairs = {
        "f": (model.get_layer("f"), nn.Linear(36, 3)),
        "g": (model.get_layer("g"), nn.Linear(3, 3)),
        "d": (inner, nested),
        "both": (model.get_layer("both"), nn.Linear(72, 3)),
    }
    return {
        "layouts": {n: ws.port(*pairs[n]).rows[0].layout for n in ("f", "g", "d")},
        "refused": _refusal(lambda: ws.port(*pairs["both"])),
        "own": {n: ws.open(own).meaning(n).options.get("flatten_from", ()) for n in ws.open(own)},
    }


def _own(first: Any = None) -> Any:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [first] if first is not None else []
            self.blocks += [
                keras.layers.Dense(4, name="a"),
                keras.layers.LayerNormalization(name="b"),
            ]

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return x

    return Own()


def _named(name: str) -> Any:
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4, name="d")], name=name)


def _refusal(work: Any) -> str:
    try:
        work()
    except ws.SurgeryError as error:
        return str(error)
    return ""


CASES = {"live_low_precision": low_precision, "live_parts": parts, "live_flattened": flattened}
