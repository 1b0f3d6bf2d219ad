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
    forward = ws.verify(model, module, mapping=there, forward=True, data=x, atol=1e-4)
    after = [id(v) for v in (*model.weights, *module.state_dict(keep_vars=True).values())]
    found = {
        **result,
        "to_torch": difference(by_torch(module, x, case.first), by_keras(model, x)),
        "differing": str(ws.verify(model, module, mapping=there)).rpartition("\n")[2],
        "forward": "equal" if forward.equal else str(forward),
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


def soft(folder: Path) -> dict[str, Any]:
    """Soft updates of live models: what they make of the values, in the same objects."""
    layers = keras.layers
    stack = [layers.Input((4,)), layers.Dense(3, name="d"), layers.BatchNormalization(name="b")]
    online = keras.Sequential(stack)
    target = keras.models.clone_model(online)
    for model, seed in ((online, 1), (target, 2)):
        rng = np.random.default_rng(seed)
        for v in model.weights:
            v.assign(rng.normal(size=v.shape))
    objects = [id(v) for v in target.weights]
    rules = [{"select": "d/bias", "tau": 0.75}, {"select": "b/gamma", "action": "keep"}]
    update = ws.SoftUpdater(online, target, tau=0.25, rules=rules)
    apart = []
    for n in (1, 0, 3):
        wanted = _softly(online.get_weights(), target.get_weights(), n)
        update.step(n)
        pairs = zip(target.get_weights(), wanted, strict=True)
        apart.append(max(float(np.abs(a - b).max()) for a, b in pairs))
    return {
        "fused": type(update._fused).__name__,
        "apart": apart,
        "same_objects": objects == [id(v) for v in target.weights],
        "crossed": [_crossed(folder, keras_first) for keras_first in (True, False)],
    }


def _softly(online: list[Array], target: list[Array], n: int) -> list[Array]:
    """Kernel, bias, gamma, beta, mean, variance after n updates, in float64."""
    taus = [0.25, 0.75, 0, 0.25, 1, 1]
    pairs = zip(taus, online, target, strict=True)
    return [t + (1 - (1 - tau) ** n) * (s.astype("f8") - t) for tau, s, t in pairs]


def _crossed(folder: Path, keras_first: bool) -> bool:
    """Between the frameworks: the bits of an update in one layout, converted afterwards."""
    from decimal import Decimal

    from weightsurgeon.expr import array
    from weightsurgeon.ops.blending import lerp

    layer = keras.layers.Dense(3, use_bias=False, name="d")
    layer.build((None, 4))
    module = torch.nn.Linear(4, 3, bias=False)
    rules = [{"from": "kernel", "to": "weight", "layout": "in out -> out in"}]
    sides = ["keras", "torch"]
    models = [layer, module]
    if not keras_first:
        rules = [{"from": "weight", "to": "kernel", "layout": "out in -> in out"}]
        sides.reverse()
        models.reverse()
    path = folder / f"{sides[0]}.yaml"
    header = f"weightsurgeon: 1\nsource: {{dialect: {sides[0]}}}\ntarget: {{dialect: {sides[1]}}}\n"
    path.write_text(f"{header}rules: {rules}\n")
    kernel, weight = np.array(layer.get_weights()[0]).T, module.weight.detach().numpy().copy()
    old, new = (weight, kernel) if keras_first else (kernel, weight)
    wanted = lerp(array(old), array(new), Decimal("0.3")).numpy()
    ws.SoftUpdater(*models, tau=0.3, mapping=str(path)).step()
    made = module.weight.detach().numpy() if keras_first else layer.get_weights()[0].T
    return bool(np.array_equal(made, wanted))


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


CASES = {
    "live_soft": soft,
    "live_low_precision": low_precision,
    "live_parts": parts,
    "live_flattened": flattened,
}
