"""Expanding through a graph gives the linear net; what is not linear is told or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from correlation import correlate

from weightsurgeon.conventions import axes_of
from weightsurgeon.errors import SurgeryError
from weightsurgeon.expr import Block, slices
from weightsurgeon.formats.base import Checkpoint, Meaning, Source
from weightsurgeon.formats.graph import Graph, Node
from weightsurgeon.inspection.expansion import Expansion, expand
from weightsurgeon.spec import TensorSpec, dtype_of

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.standard_normal((16, 16, 3))


def r(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


class Memory(Source):
    """Arrays and a graph, as a file would tell them."""

    def __init__(self, values: Mapping[str, np.ndarray], graph: Graph | None) -> None:
        super().__init__("memory", "keras", "keras")
        self.values, self._graph = values, graph
        self.specs = {n: TensorSpec(dtype_of(v.dtype), v.shape) for n, v in values.items()}

    def read(self, name: str, block: Block, out: Any = None) -> Any:
        part = self.values[name][slices(block)]
        if out is None:
            return np.ascontiguousarray(part)
        out[...] = part
        return out

    def graph(self) -> Graph | None:
        return self._graph


KINDS = {
    "Conv2D": "conv",
    "Dense": "linear",
    "BatchNormalization": "batchnorm",
    "DepthwiseConv2D": "depthwise",
    "SeparableConv2D": "separable",
}


class Net:
    """A network that is built call by call."""

    def __init__(self) -> None:
        self.nodes = [Node("x", "x", "InputLayer", {}, (), (16, 16, 3))]
        self.values: dict[str, np.ndarray] = {}
        self.meanings: dict[str, Meaning] = {}

    def call(
        self,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...] | None = None,
        options: Mapping[str, Any] | None = None,
        **tensors: np.ndarray,
    ) -> None:
        """Add a call; its tensors by role."""
        self.nodes.append(Node(name, name, kind, options or {}, inputs, shape))
        for role, values in tensors.items():
            axes = axes_of(KINDS[kind], role, "keras", values.ndim, options or {})
            meaning = Meaning(role, KINDS[kind], axes, name, options or {}, "file")
            self.values[f"{name}/{role}"], self.meanings[f"{name}/{role}"] = values, meaning

    def expand(self, start: str, end: str, units: list[int] | None = None) -> Expansion:
        source = Memory(self.values, Graph(tuple(self.nodes), (self.nodes[-1].name,)))
        return expand(Checkpoint(source, self.meanings, "keras", "stated"), start, end, units)


def agree(found: Expansion, wanted: np.ndarray) -> None:
    ours = correlate(IMAGE, found.cancellation.net, found.stride)
    h, w = wanted.shape[:2]
    assert np.abs(ours[:h, :w] - wanted).max() <= 1e-6 * np.abs(wanted).max()  # kernels are float32


def test_a_chain_with_a_norm_and_a_stride() -> None:
    net, a, b = Net(), r(3, 3, 3, 4), r(2, 2, 4, 5)
    gamma, beta, mean, variance = r(4), r(4), r(4), r(4) ** 2 + 0.1
    net.call("a", "Conv2D", ("x",), options={"strides": [2, 2], "padding": "valid"}, kernel=a)
    net.call("n", "BatchNormalization", ("a",), options={"epsilon": 0.01},
             gamma=gamma, beta=beta, mean=mean, variance=variance)  # fmt: skip
    net.call("b", "Conv2D", ("n",), kernel=b, bias=r(5))
    scaled = correlate(IMAGE, a, 2) * gamma / np.sqrt(variance + 0.01)
    found = net.expand("a", "b")
    agree(found, correlate(scaled, b))
    assert found.flags == ()
    assert found.stride == 2


def test_a_residual_a_concat_and_a_pool() -> None:
    net, a, b, c, d = Net(), r(3, 3, 3, 4), r(3, 3, 4, 4), r(1, 1, 4, 2), r(2, 2, 6, 3)
    net.call("a", "Conv2D", ("x",), kernel=a)
    net.call("b", "Conv2D", ("a",), kernel=b)
    net.call("sum", "Add", ("b", "a"))
    net.call("c", "Conv2D", ("sum",), kernel=c)
    net.call("cat", "Concatenate", ("sum", "c"))
    net.call("pool", "AveragePooling2D", ("cat",), options={"pool_size": [2, 2]})
    net.call("d", "Conv2D", ("pool",), kernel=d)
    first = correlate(IMAGE, a)
    total = correlate(first, b) + first[1:-1, 1:-1]
    joined = np.concatenate([total, correlate(total, c)], axis=2)
    pooled = joined.reshape(6, 2, 6, 2, 6).mean((1, 3))
    agree(net.expand("a", "d"), correlate(pooled, d))


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_separable_and_grouped(stride: int) -> None:
    net, a, b, c, d = Net(), r(3, 3, 3, 2), r(3, 3, 6, 1), r(1, 1, 6, 4), r(2, 2, 2, 6)
    net.call("a", "DepthwiseConv2D", ("x",), options={"strides": [stride, stride]}, kernel=a)
    net.call("s", "SeparableConv2D", ("a",), depthwise_kernel=b, pointwise_kernel=c)
    net.call("g", "Conv2D", ("s",), options={"groups": 2}, kernel=d)
    wide = np.concatenate([correlate(IMAGE[..., [i]], a[:, :, [i]], stride) for i in range(3)], 2)
    deep = np.concatenate([correlate(wide[..., [i]], b[:, :, [i]]) for i in range(6)], 2)
    pointed = correlate(deep, c)
    halves = [correlate(pointed[..., 2 * i : 2 * i + 2], d[..., 3 * i : 3 * i + 3]) for i in (0, 1)]
    agree(net.expand("a", "g"), np.concatenate(halves, 2))


def test_a_global_mean_and_a_dense() -> None:
    net, a, b = Net(), r(3, 3, 3, 4), r(4, 5)
    net.call("a", "Conv2D", ("x",), (14, 14, 4), kernel=a)
    net.call("mean", "GlobalAveragePooling2D", ("a",), (4,))
    net.call("b", "Dense", ("mean",), (5,), kernel=b)
    agree(net.expand("a", "b"), (correlate(IMAGE, a).mean((0, 1)) @ b)[None, None])


def test_what_is_not_linear_is_told() -> None:
    net = Net()
    net.call("a", "Conv2D", ("x",), options={"activation": "relu", "padding": "same"},
             kernel=r(3, 3, 3, 2))  # fmt: skip
    net.call("pool", "MaxPooling2D", ("a",))
    net.call("b", "Conv2D", ("pool",), kernel=r(1, 1, 2, 2))
    flags = "\n".join(net.expand("a", "b").flags)
    assert "a: relu taken as identity" in flags
    assert "pool: a maximum, approximated by the mean" in flags
    assert "exact only where no window leaves the map" in flags


def test_chosen_units_are_those_of_the_whole() -> None:
    net = Net()
    net.call("a", "Conv2D", ("x",), kernel=r(3, 3, 3, 4))
    net.call("b", "Conv2D", ("a",), kernel=r(3, 3, 4, 6))
    whole, some = net.expand("a", "b"), net.expand("a", "b", [5, 2])
    assert (some.cancellation.net == whole.cancellation.net[..., [5, 2]]).all()
    with pytest.raises(SurgeryError, match=r"units 0\.\.5, not 6"):
        net.expand("a", "b", [6])


def test_opposite_paths_cancel() -> None:
    net, one = Net(), np.ones((1, 1, 3, 1))
    net.call("a", "Conv2D", ("x",), kernel=one)
    net.call("up", "Conv2D", ("a",), kernel=np.ones((1, 1, 1, 1)))
    net.call("down", "Conv2D", ("a",), kernel=-np.ones((1, 1, 1, 1)))
    net.call("sum", "Add", ("up", "down"))
    found = net.expand("a", "sum")
    assert not found.cancellation.net.any()
    assert found.cancellation.gross.tolist() == [[[[2.0]] * 3]]
    assert found.to_json()["ratio"] == 0


def test_a_branch_from_elsewhere_is_left_out_and_told() -> None:
    net = Net()
    net.call("a", "Conv2D", ("x",), (14, 14, 2), kernel=r(3, 3, 3, 2))
    net.call("other", "Conv2D", ("x",), (14, 14, 2), kernel=r(3, 3, 3, 2))
    net.call("cat", "Concatenate", ("other", "a"), (14, 14, 4))
    found = net.expand("a", "cat")
    assert found.cancellation.net.shape == (3, 3, 3, 4)
    assert not found.cancellation.net[..., :2].any()
    assert found.flags == ("cat: without other",)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("LayerNormalization", r"l \(LayerNormalization\) is not linear"),
        ("Conv2DTranspose", r"l \(Conv2DTranspose\) is not linear, or not the same everywhere"),
    ],
)
def test_what_has_no_kernel_is_refused_by_name(kind: str, said: str) -> None:
    net = Net()
    net.call("a", "Conv2D", ("x",), kernel=r(3, 3, 3, 2))
    net.call("l", kind, ("a",))
    with pytest.raises(SurgeryError, match=said):
        net.expand("a", "l")


def test_layers_that_do_not_meet_and_files_without_a_graph() -> None:
    net = Net()
    net.call("a", "Conv2D", ("x",), kernel=r(3, 3, 3, 2))
    net.call("b", "Conv2D", ("x",), kernel=r(3, 3, 3, 2))
    with pytest.raises(SurgeryError, match="a does not lead to b"):
        net.expand("a", "b")
    with pytest.raises(SurgeryError, match="no call 'c'"):
        net.expand("a", "c")
    with pytest.raises(SurgeryError, match="tells no graph"):
        expand(Checkpoint(Memory({}, None), {}, "keras", ""), "a", "b")
