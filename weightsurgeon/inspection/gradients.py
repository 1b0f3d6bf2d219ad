"""Gradients of a live model on the user's batch: do the first layers learn as the last ones do?

One backward pass, nothing left behind: no `.grad` is touched, and buffers, moving statistics and
modes are as before. Two things are compared between the first and the last layers: how fast a
kernel moves, RMS(∂L/∂W)/RMS(W), and the signal that arrives, RMS(∂L/∂b). A chain of ReLU layers
shows in the second only: what a kernel's gradient loses in the signal it gains in its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite, log10, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SurgeryError, shown
from .health import Finding, Limits
from .showing import number

if TYPE_CHECKING:
    from ..expr import Array

Loss = Callable[[Any], Any]
ENDS = 2  # layers at either end whose geometric mean is taken


class Gradient(NamedTuple):
    """A parameter's gradient: its RMS, that of the parameter, and how many values are none."""

    name: str
    rank: int
    rms: float
    weight: float
    nan: int
    inf: int


def gradients(model: Any, loss_fn: Loss) -> list[Gradient]:
    """The gradients of a scalar loss for every parameter, in the model's order.

    Errors: SurgeryError if the model is of no framework that is known, or the loss no scalar.
    """
    for module, judge in (("torch.nn", _is_torch), ("keras", _is_keras)):
        if judge(model):
            return list(_torch(model, loss_fn) if module == "torch.nn" else _keras(model, loss_fn))
    kind = f"{type(model).__module__}.{type(model).__name__}"
    raise SurgeryError(f"gradients want a live torch or Keras model, not {shown(kind)}")


def _is_torch(model: Any) -> bool:
    import sys

    torch = sys.modules.get("torch")  # a model of it proves that it is there
    keras = isinstance(model, getattr(sys.modules.get("keras"), "Model", ()))
    return torch is not None and isinstance(model, torch.nn.Module) and not keras


def _is_keras(model: Any) -> bool:
    import sys

    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def _torch(model: Any, loss_fn: Loss) -> Iterator[Gradient]:
    import torch

    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    with _restored(model), torch.enable_grad():
        loss = loss_fn(model)
        _check_scalar(loss)
        found = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    for (name, p), g in zip(named, found, strict=True):
        if g is not None:
            values, weight = (x.detach().double().cpu().numpy() for x in (g, p))
            yield _gradient(name, values, weight)


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Buffers and modes of a module as they were."""
    import torch

    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    modes = [(m, m.training) for m in model.modules()]
    try:
        yield
    finally:
        with torch.no_grad():
            for b, before in buffers:
                b.copy_(before)
        for m, training in modes:
            m.training = training


def _keras(model: Any, loss_fn: Loss) -> Iterator[Gradient]:
    import keras

    backend, variables = keras.backend.backend(), model.trainable_variables
    root = f"{model.name}/"
    kept = [(v, keras.ops.convert_to_numpy(v)) for v in model.non_trainable_variables]
    try:
        found = _by_backend(backend, model, loss_fn, variables)
    finally:
        for v, before in kept:
            v.assign(before)
    for v, g in zip(variables, found, strict=True):
        if g is not None:
            values = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(g)).astype("f8")
            yield _gradient(
                v.path.removeprefix(root), values, keras.ops.convert_to_numpy(v).astype("f8")
            )


def _by_backend(backend: str, model: Any, loss_fn: Loss, variables: Sequence[Any]) -> Sequence[Any]:
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_fn(model)
        _check_scalar(loss)
        found: Sequence[Any] = tape.gradient(loss, [v.value for v in variables])
        return found
    if backend == "torch":
        import torch

        loss = loss_fn(model)
        _check_scalar(loss)
        grads = torch.autograd.grad(loss, [v.value for v in variables], allow_unused=True)
        return [None if g is None else g.detach() for g in grads]
    raise SurgeryError(f"gradients of Keras are taken with tensorflow or torch, not with {backend}")


def _check_scalar(loss: Any) -> None:
    shape = tuple(getattr(loss, "shape", (None,)))
    if shape != ():
        raise SurgeryError(f"loss_fn returned {shown(type(loss).__name__)} {shape}, no scalar loss")


def _gradient(name: str, values: Array, weight: Array) -> Gradient:
    import numpy as np

    nan, bad = int(np.isnan(values).sum()), int((~np.isfinite(values)).sum())
    with np.errstate(all="ignore"):
        size, own = (sqrt(float(np.mean(x * x))) if x.size else 0.0 for x in (values, weight))
    return Gradient(name, values.ndim, size, own, nan, bad - nan)


# -- what they tell ----------------------------------------------------------------------------


def judged(found: Sequence[Gradient], limits: Limits) -> Iterator[Finding]:
    """W001 and W002 nearest to the loss, W013 and W014 by the ends of the model."""
    bad = [g for g in found if g.nan or g.inf]
    if bad:
        g = bad[-1]  # the last in the model's order is the first that the backward pass meets
        code, count = ("W001", g.nan) if g.nan else ("W002", g.inf)
        word = "NaN" if g.nan else "Inf"
        text = f"{count:,} {word} in its gradient; of {len(bad)} the nearest to the loss"
        yield Finding(code, g.name, text)
        return
    kernels = [g for g in found if g.rank > 1 and g.weight]
    layers = {_layer(g.name) for g in kernels}
    biases = [g for g in found if g.rank == 1 and _layer(g.name) in layers]  # of no normalisation
    speed = _ends([g.rms / g.weight for g in kernels])
    signal = _ends([g.rms for g in biases])
    told = [(speed, "RMS(∂L/∂W)/RMS(W)", kernels), (signal, "RMS(∂L/∂b)", biases)]
    for code, sign in (("W013", 1), ("W014", -1)):
        if code not in limits:
            continue
        limit = log10(limits[code]["ratio"])
        over = [
            (ratio, what, of)
            for ratio, what, of in told
            if ratio is not None and sign * ratio > sign * limit
        ]
        for ratio, what, of in over[:1]:
            size = number(10**ratio) if isfinite(ratio) and abs(ratio) < 300 else f"10^{ratio:g}"
            text = f"{what} of the first layers is {size} × that of the last"
            yield Finding(code, of[0].name, text, label="heuristic")


def _layer(name: str) -> str:
    return name.replace("/", ".").rpartition(".")[0]


def _ends(values: Sequence[float]) -> float | None:
    """log₁₀ of the first ones over the last ones, by geometric means."""
    if len(values) < 2 * ENDS:
        return None
    first, last = values[:ENDS], values[-ENDS:]
    if not all(last):
        return None
    if not all(first):
        return float("-inf")
    return sum(log10(a) - log10(b) for a, b in zip(first, last, strict=True)) / ENDS
