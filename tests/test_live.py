"""Live models as they are written: whole tensors, in an order that reads before it writes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weightsurgeon as ws
from weightsurgeon.errors import FormatError, OutputError
from weightsurgeon.expr import Block, slices
from weightsurgeon.formats.live import LiveSink, LiveSource, container_of
from weightsurgeon.ops.movement import crop
from weightsurgeon.plan import Plan, Target
from weightsurgeon.spec import TensorSpec, dtype_of
from weightsurgeon.writing import write

Array = np.ndarray[Any, Any]


class Arrays(LiveSource):
    """A model that is a dict of arrays; writing `broken` fails."""

    broken = ""

    def __init__(self, tensors: Mapping[str, Array], shared: tuple[str, ...] = ()) -> None:
        super().__init__(tensors, "live Arrays", "live-torch", "torch")
        self.tensors, self.shared = dict(tensors), shared
        self.specs = {n: TensorSpec(dtype_of(x.dtype), x.shape) for n, x in tensors.items()}
        self.writes: list[str] = []

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        part: Array = self.tensors[name][slices(block)].copy()
        if out is not None:
            out[...] = part
        return part

    def memory(self, name: str) -> Hashable:
        return "shared" if name in self.shared else id(self.tensors[name])

    def assign(self, name: str, values: Array) -> None:
        if name == self.broken:
            raise RuntimeError("the device is lost")
        self.tensors[name][...] = values
        self.writes.append(name)


def model(*names: str, size: int = 4) -> Arrays:
    return Arrays({n: np.full(size, i, "float32") for i, n in enumerate(names)})


def plan(target: Arrays, outputs: Mapping[str, Any]) -> Plan:
    found = Target(target.path, "live-torch", "torch", target)
    return Plan(outputs, {"model": target}, found)


def values(source: Arrays) -> dict[str, float]:
    return {name: float(x[0]) for name, x in source.tensors.items()}


def leaf(source: Arrays, name: str) -> Any:
    from weightsurgeon.expr import leaf

    return leaf(source, name, source.specs[name])


def test_tensors_can_change_places() -> None:
    big = model("a", "b", "c", size=3_000_000)  # several blocks, so that reads and writes mix
    write(plan(big, {"a": leaf(big, "b"), "b": leaf(big, "c"), "c": leaf(big, "a")}))
    assert values(big) == {"a": 1, "b": 2, "c": 0}
    assert all((x == x[0]).all() for x in big.tensors.values())


def test_what_is_kept_is_not_written() -> None:
    source = model("a", "b")
    write(plan(source, {"a": leaf(source, "a"), "b": leaf(source, "a")}))
    assert source.writes == ["b"]
    assert values(source) == {"a": 0, "b": 0}


def test_an_error_names_what_is_written_already() -> None:
    source, other = model("a", "b", "c"), model("a", "b", "c")
    source.broken = "c"
    other.tensors["b"][...] = 7
    expected = (
        r"c of live Arrays cannot be written: the device is lost; written already: .*, all oth"
    )
    outputs = {"b": leaf(other, "b"), "c": leaf(other, "c")}
    with pytest.raises(OutputError, match=expected):  # c is held, as another is made of it
        write(plan(source, outputs | {"a": leaf(source, "c")}))


def test_an_error_before_the_first_write_stands_for_itself() -> None:
    source, other = model("a"), model("a")
    source.broken = "a"
    other.tensors["a"][...] = 7
    with pytest.raises(OutputError, match=r"the device is lost$"):
        write(plan(source, {"a": leaf(other, "a")}))


def test_a_tensor_is_written_when_all_of_it_is_there() -> None:
    source = model("a")
    sink = LiveSink(source, source.specs)
    sink.write("a", ((0, 3),), np.ones(3, "float32"))
    assert source.writes == []
    sink.write("a", ((3, 4),), np.ones(1, "float32"))
    assert source.writes == ["a"]
    sink.commit()
    sink.abort()
    assert source.writes == sink.changed == ["a"]
    assert sink.extent("a") is None  # type: ignore[func-returns-value]


def test_what_cannot_be_written_is_refused_before_anything_is() -> None:
    source = model("a", "b")
    source.fixed["b"] = "it is expanded"
    with pytest.raises(OutputError, match="live Arrays cannot be written in place: b: it is expan"):
        LiveSink(source, source.specs)


def test_views_of_one_storage_are_written_when_all_is_read() -> None:
    both = np.arange(4, dtype="float32")
    source = Arrays({"a": both[:2], "b": both[2:]}, shared=("a", "b"))
    write(plan(source, {"a": leaf(source, "b"), "b": leaf(source, "a")}))
    assert both.tolist() == [2, 3, 0, 1]


def test_a_tensor_may_be_made_of_itself() -> None:
    source = model("a", "b")
    source.tensors["a"][...] = [0, 1, 2, 3]
    write(plan(source, {"b": crop(leaf(source, "a"), 0, 0, 4), "a": leaf(source, "b")}))
    assert source.tensors["b"].tolist() == [0, 1, 2, 3]
    assert source.tensors["a"].tolist() == [1, 1, 1, 1]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    assert container_of(tmp_path) is None
    with pytest.raises(FormatError, match="a int: is neither a path nor a live model"):
        ws.open(3)  # type: ignore[arg-type]
