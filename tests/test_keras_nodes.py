"""The graph of a Keras file: the order of inputs, shared layers, nested models."""

from __future__ import annotations

from typing import Any

import pytest
from keras_json import layer, model, tensor

import weightsurgeon as ws
from weightsurgeon.errors import LimitExceeded
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.keras_nodes import nodes_of

SHARED = model(
    [
        layer("InputLayer", "a", batch_shape=[None, 4]),
        layer("InputLayer", "b", batch_shape=[None, 4]),
        layer("Dense", "sh", [tensor("a")], [tensor("b")], units=4),
        layer("Concatenate", "cc", [tensor("sh", 1), tensor("sh", 0)], axis=-1),
        layer("Dense", "out", [tensor("cc", 0, (None, 8))], units=1),
    ],
    [["a", 0, 0], ["b", 0, 0]],
    ["out", 0, 0],
)


def test_the_order_of_inputs_is_that_of_the_call() -> None:
    graph = nodes_of(SHARED, "m", Limits())
    nodes = {n.name: n for n in graph.nodes}
    assert nodes["cc"].inputs == ("sh#1", "sh#0")
    assert nodes["sh#1"].layer == "sh"
    assert nodes["cc"].shape == (8,)
    assert graph.outputs == ("out",)


def test_a_nested_model_is_opened_and_each_use_is_its_own() -> None:
    inner = model(
        [layer("InputLayer", "x", batch_shape=[None, 4]), layer("Dense", "d", [tensor("x")])],
        [["x", 0, 0]],
        [["d", 0, 0]],
        "inner",
    )
    inner["name"] = "inner"
    inner["inbound_nodes"] = [{"args": [tensor("a")]}, {"args": [tensor("b")]}]
    both = layer("Add", "s", [tensor("inner"), tensor("inner", 1)])
    outer = model(
        [*SHARED["config"]["layers"][:2], inner, both],
        [["a", 0, 0], ["b", 0, 0]],
        [["s", 0, 0], ["a", 0, 0]],
    )  # fmt: skip
    graph = nodes_of(outer, "m", Limits())
    nodes = {n.name: n for n in graph.nodes}
    assert nodes["s"].inputs == ("inner/d#0", "inner/d#1")
    assert nodes["inner/d#1"].inputs == ("b",)
    assert graph.outputs == ("s", "a")


def test_too_many_calls_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="more calls than --limit tensors"):
        nodes_of(SHARED, "m", Limits().with_("tensors", 2))


def test_a_sequential_model_is_a_chain() -> None:
    graph = ws.open("examples/small.keras").source.graph()
    assert graph is not None
    for before, after in zip(graph.nodes, graph.nodes[1:], strict=False):
        assert after.inputs == (before.name,)
    shapes = {n.name: n.shape for n in graph.nodes}
    assert shapes["flatten"] == (64,)
    assert shapes["fc2"] == (2,)


def test_a_file_without_a_config_has_no_graph(tiny: Any) -> None:
    assert ws.open(tiny).source.graph() is None
