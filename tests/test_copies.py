"""Which outputs are raw copies of runs that lie in a source, and that they come out right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Memory, noise, same

from weightsurgeon.arrange import rearrange
from weightsurgeon.copies import source_extents, step_of
from weightsurgeon.expr import array, leaf
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Extent, Order, Source
from weightsurgeon.notation import parse_layout
from weightsurgeon.ops.movement import concat, crop, permute, reshape, take
from weightsurgeon.plan import Plan, Target
from weightsurgeon.simplify import simplify
from weightsurgeon.spec import TensorSpec, dtype_of
from weightsurgeon.writing import write


class Placed(Source):
    """Tensors that pretend to lie one behind the other in a file."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        specs = {n: TensorSpec(dtype_of("int16"), shape) for n, shape in shapes.items()}
        super().__init__("placed", "placed", specs=specs)

    def extent(self, name: str) -> Extent:
        names = list(self.specs)
        before = names[: names.index(name)]
        return Extent(3, sum(self.specs[n].nbytes for n in before), self.specs[name].nbytes)

    def __getitem__(self, name: str) -> Any:
        return leaf(self, name, self.specs[name])


X = Placed(a=(4, 6), b=(2, 6), c=(3,))  # bytes 0..48, 48..72, 72..78


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        (X["b"], [(48, 24)]),
        (concat([X["b"], X["a"]], 0), [(48, 24), (0, 48)]),
        (crop(X["a"], 0, 1, 3), [(12, 24)]),
        (crop(reshape(concat([X["b"], X["a"]], 0), (3, 2, 6)), 0, 0, 2), [(48, 24), (0, 24)]),
        (take(X["a"], 0, (1, 0, 3)), [(12, 12), (0, 12), (36, 12)]),
        (crop(crop(X["a"], 0, 2, 3), 1, 1, 3), [(26, 4)]),
        (concat([reshape(X["c"], (1, 3)), reshape(X["c"], (1, 3))], 1), [(72, 6), (72, 6)]),
        (crop(X["a"], 1, 0, 3), []),  # runs of six bytes: not worth a call each
        (concat([X["a"], crop(X["a"], 1, 0, 3)], 1), []),
        (permute(X["a"], (1, 0)), []),
        (concat([X["c"], array(np.zeros(3, "int16"))], 0), []),
        (take(X["c"], 0, (0, 1, 2) * 40), []),
    ],
)
def test_where_the_bytes_lie(expr: Any, wanted: list[tuple[int, int]]) -> None:
    assert [(x.offset, x.nbytes) for x in source_extents(expr)] == wanted
    assert step_of(expr) == ("copy" if wanted else "stream")


def test_long_runs_are_copied_though_they_are_many() -> None:
    big = Placed(a=(3, 4, 2**17))["a"]
    assert [x.offset for x in source_extents(crop(big, 1, 1, 3))] == [
        (4 * i + 1) * 2**18 for i in range(3)
    ]
    assert len(source_extents(concat([big, crop(big, 1, 0, 1)], 1))) == 6
    assert len(source_extents(take(big, 1, (3, 0)))) == 6
    assert len(source_extents(take(Placed(a=(2, 2**17))["a"], 0, (0, 1) * 50))) == 100


@given(st.permutations("ge"), st.integers(1, 3), st.integers(1, 3))
def test_experts_fused_and_parted_again_are_raw_copies(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], g: int, e: int
) -> None:
    folder = tmp_path_factory.mktemp("experts")
    values = {f"{i}.{j}": noise((4, 5), "bfloat16", i * 3 + j) for i in range(g) for j in range(e)}
    source = _stored(folder / "in.safetensors", values)
    cells = {tuple(map(int, n.split("."))): leaf(source, n, s) for n, s in source.specs.items()}
    one, two = (parse_layout(t) for t in ("g e | o d -> e (g o) d", "e (g o) d -> g e | o d"))
    fused = simplify(rearrange(cells, *one).cells[()])
    assert step_of(fused) == "copy"
    write(
        Plan({"x": fused}, {"s": source}, Target(str(folder / "fused.safetensors"), "safetensors"))
    )
    with_all = open_source(str(folder / "fused.safetensors"))
    x = leaf(with_all, "x", with_all.specs["x"])
    stacked = np.stack([np.concatenate([values[f"{i}.{j}"] for i in range(g)]) for j in range(e)])
    assert same(x.numpy(), stacked)
    parted = rearrange({(): x}, *two, {"g": g}).cells
    outputs = {".".join(map(str, index)): simplify(p) for index, p in parted.items()}
    assert {step_of(p) for p in outputs.values()} == {"copy"}
    write(Plan(outputs, {"s": with_all}, Target(str(folder / "out.safetensors"), "safetensors")))
    out = open_source(str(folder / "out.safetensors"))
    assert all(same(leaf(out, n, s).numpy(), values[n]) for n, s in out.specs.items())


def _stored(path: Path, tensors: dict[str, Any]) -> Source:
    sink = create_sink(
        "safetensors", str(path), Order({n: array(x).spec for n, x in tensors.items()})
    )
    for name, values in tensors.items():
        sink.write(name, tuple((0, n) for n in values.shape), values)
    sink.commit()
    return open_source(str(path))


def test_a_source_without_extents_is_streamed() -> None:
    memory = Memory({"x": np.zeros(3)})
    assert source_extents(leaf(memory, "x", memory.specs["x"])) == []
