"""Configs as Keras 3 writes them, and checkpoints of them in memory, without Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from weightsurgeon.conventions import describe
from weightsurgeon.expr import Block, slices
from weightsurgeon.formats.base import Checkpoint, Limits, Slot, Source
from weightsurgeon.formats.graph import Graph
from weightsurgeon.formats.keras_config import layers_of
from weightsurgeon.formats.keras_nodes import nodes_of
from weightsurgeon.spec import TensorSpec, dtype_of

Array = np.ndarray[Any, Any]


def tensor(layer: str, call: int = 0, shape: Any = (None, 4)) -> dict[str, Any]:
    """A call's argument."""
    config = {"shape": list(shape), "dtype": "float32", "keras_history": [layer, call, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def layer(kind: str, name: str, *calls: list[Any], **config: Any) -> dict[str, Any]:
    """A layer and its calls; several arguments are a list of tensors."""
    nodes = [{"args": [x if len(x) > 1 else x[0]], "kwargs": {}} for x in calls]
    full = {"name": name, **config}
    return {"class_name": kind, "name": name, "config": full, "inbound_nodes": nodes}


def model(layers: list[Any], inputs: list[Any], outputs: list[Any], name: str = "m") -> Any:
    """A functional model."""
    config = {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config}


class Memory(Source):
    """A model in memory, with its graph."""

    def __init__(self, config: Any, values: dict[str, Array]) -> None:
        super().__init__("memory", "memory", "keras")
        self.config, self.values = config, values
        known = {x.name: x for x in layers_of(config, "memory", Limits()).values()}
        for name, array in values.items():
            owner, _, leaf = name.rpartition("/")
            self.specs[name] = TensorSpec(dtype_of(array.dtype), array.shape)
            self.slots[name] = Slot(owner, known[owner].kind, known[owner].options, leaf)

    def read(self, name: str, block: Block, out: Any = None) -> Array:
        where: Any = (*slices(block), ...)
        part = np.ascontiguousarray(self.values[name][where])
        if out is None:
            return part
        out[...] = part
        return np.asarray(out)

    def graph(self) -> Graph:
        return nodes_of(self.config, "memory", Limits())


def checkpoint(config: Any, values: dict[str, Array]) -> Checkpoint:
    """A checkpoint of a config and the values of its layers."""
    source = Memory(config, values)
    return Checkpoint(source, describe("keras", source.slots, source.specs), "keras", "file")
