"""verify(forward=True) of Keras models and torch modules: what it names where they part."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from frameworks.judge import values

import weightsurgeon as ws

layers, nn = keras.layers, torch.nn


def image(act: str = "relu", eps: float = 1e-3, padding: str = "same") -> Any:
    """A convolution, a norm, two dense layers behind a Flatten."""
    chain = [
        layers.Input((8, 8, 3)),
        layers.Conv2D(4, 3, strides=2, padding=padding, name="c"),
        layers.BatchNormalization(epsilon=eps, name="b"),
        layers.Activation(act, name="r"),
        layers.Flatten(),
        layers.Dense(5, activation=act, name="d"),
        layers.Dense(2, name="e"),
    ]
    return filled(keras.Sequential(chain))


def filled(model: Any) -> Any:
    for v in model.weights:
        v.assign(values(tuple(v.shape), positive="variance" in v.path))
    return model


def module(act: Any = nn.ReLU, eps: float = 1e-3, padding: int = 0) -> Any:
    """The same network; without a padding of its own the map is padded as Keras does."""
    chain = {
        "p": nn.Identity() if padding else nn.ZeroPad2d((0, 1, 0, 1)),
        "c": nn.Conv2d(3, 4, 3, stride=2, padding=padding),
        "b": nn.BatchNorm2d(4, eps=eps),
        "r": act(),
        "f": nn.Flatten(),
        "d": nn.Linear(64, 5),
        "t": act(),
        "e": nn.Linear(5, 2),
    }
    return nn.Sequential(OrderedDict(chain))


def told(a: Any, b: Any, **how: Any) -> dict[str, Any]:
    """What is found, as the tests ask for it."""
    found = ws.verify(a, b, forward=True, **how)
    first = found.to_json()["first"] or {}
    return {
        "equal": found.equal,
        "where": first.get("where"),
        "layer": first.get("a"),
        "reasons": [[r["what"], r["text"]] for r in first.get("reasons", ())],
        "text": str(found),
    }


def images(folder: Path) -> dict[str, Any]:
    """One trap at a time, between two models whose weights are equal."""
    model = image()
    before = [dict(vars(x)) for x in model.layers]
    found: dict[str, Any] = {}
    for name, there in {
        "equal": module(),
        "epsilon": module(eps=1e-5),
        "padding": module(padding=1),
        "activation": module(act=nn.Tanh),
    }.items():
        ws.port(model, there)
        found[name] = told(model, there)
    same = module()
    ws.port(model, same)
    np.savez(folder / "x.npz", x=np.ones((1, 3, 8, 8), "f4"))
    found["back"] = told(same, model, data=folder / "x.npz")
    with torch.no_grad():
        same.d.bias += 5
    found["weights"] = told(model, same)
    twin = image(act="tanh")
    ws.port(model, twin)
    found["keras"] = told(model, twin)
    found["untouched"] = before == [dict(vars(x)) for x in model.layers]
    return found


def recurrent(folder: Path) -> dict[str, Any]:
    """Gates in another order, and steps first."""

    class Steps(nn.Module):
        def __init__(self, batch_first: bool) -> None:
            super().__init__()
            self.x, self.e = nn.LSTM(3, 4, batch_first=batch_first), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            turn = not self.x.batch_first
            y = self.e(self.x(x.transpose(0, 1) if turn else x)[0])
            return y.transpose(0, 1) if turn else y

    chain = [
        layers.Input((7, 3)),
        layers.LSTM(4, return_sequences=True, name="x"),
        layers.Dense(2, name="e"),
    ]
    model, found = filled(keras.Sequential(chain)), {}
    for name, batch_first in {"": True, "_steps_first": False}.items():
        there = Steps(batch_first)
        ws.port(model, there)
        found[f"equal{name}"] = told(model, there)
        with torch.no_grad():
            for p in there.x.parameters():
                p.copy_(torch.cat([p.chunk(4)[i] for i in (0, 2, 1, 3)]))
        found[f"gates{name}"] = told(model, there)
    return found


def others(folder: Path) -> dict[str, Any]:
    """An embedding whose input is an index, a layer alone, several inputs by name."""
    chain = [layers.Input((7,)), layers.Embedding(11, 3, name="x"), layers.Dense(2, name="e")]
    model = filled(keras.Sequential([*chain, layers.Activation("gelu")]))
    found = {}
    for name, act in {"exact": nn.GELU(), "by_tanh": nn.GELU("tanh")}.items():
        there = nn.Sequential(OrderedDict(x=nn.Embedding(11, 3), e=nn.Linear(3, 2), g=act))
        ws.port(model, there)
        found[name] = told(model, there)
    dense, linear = layers.Dense(3, activation="relu"), nn.Linear(4, 3)
    dense.build((None, 4))
    ws.port(dense, linear)
    found["alone"] = told(dense, linear, data=np.concatenate([np.eye(4), -np.eye(4)]))
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    joined = layers.Dense(2, name="e")(layers.Concatenate()([a, b]))
    for name, inputs in {"list": [a, b], "dict": {"a": a, "b": b}}.items():
        two = keras.Model(inputs, joined)
        data = {"b": np.ones((2, 2)), "a": np.zeros((2, 3))}
        found[name] = told(two, two, data=data)
        found[f"{name}_seeded"] = told(two, two)
    return found


CASES = {"forward_images": images, "forward_recurrent": recurrent, "forward_others": others}
