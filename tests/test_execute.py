"""Copies in runs, blocks by workers, facts; and what stops it all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import Memory, noise, same

from weightsurgeon import copies
from weightsurgeon import execute as engine
from weightsurgeon.errors import BrokenFile, FormatError, OutputError, PlanError, SpecError
from weightsurgeon.expr import array
from weightsurgeon.formats import create_sink, files, open_source
from weightsurgeon.formats.base import Checkpoint, Extent, Order, Source
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.movement import permute, reshape
from weightsurgeon.ops.reduction import DIFFER
from weightsurgeon.pending import reduction
from weightsurgeon.plan import Check, Plan, Target
from weightsurgeon.writing import write


def stored(path: Path, tensors: dict[str, Any]) -> Source:
    order = Order({name: array(x).spec for name, x in tensors.items()})
    sink = create_sink("safetensors", str(path), order)
    for name, values in tensors.items():
        sink.write(name, tuple((0, n) for n in values.shape), values)
    sink.commit()
    return open_source(str(path))


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    names = {f"t{i}": noise((30 + i, 40), "float32", i) for i in range(4)}
    yield (found := stored(tmp_path / "in.safetensors", names))
    found.close()


def tensors(source: Source) -> Checkpoint:
    return Checkpoint(source, {}, None, "")


def planned(source: Source, path: Path, **outputs: Any) -> Plan:
    return Plan(outputs, {"s": source}, Target(str(path), "safetensors"))


def test_neighbours_are_one_copy() -> None:
    def step(name: str, a: int, b: int, n: int, fd: int = 3) -> copies.Copy:
        return copies.Copy([name], Extent(fd, a, n), Extent(9, b, n))

    steps = [step("c", 30, 130, 5), step("a", 10, 110, 10), step("b", 20, 120, 10)]
    (run,) = copies.joined(steps)
    assert run == copies.Copy(["a", "b", "c"], Extent(3, 10, 25), Extent(9, 110, 25))
    assert len(copies.joined([step("a", 10, 110, 10), step("b", 21, 120, 10)])) == 2
    assert len(copies.joined([step("a", 10, 110, 10), step("b", 20, 121, 10)])) == 2
    assert len(copies.joined([step("a", 10, 110, 10), step("b", 20, 120, 10, fd=4)])) == 2


def test_what_keeps_its_bytes_is_copied(source: Source, tmp_path: Path) -> None:
    x = tensors(source)
    plan = planned(
        source, tmp_path / "out.safetensors",
        a=x["t1"], b=reshape(x["t2"], (40, 32)), c=permute(x["t3"], (1, 0)), d=array(np.ones(3)),
    )  # fmt: skip
    assert [copies.step_of(e) for e in plan.outputs.values()] == [
        "copy",
        "copy",
        "stream",
        "stream",
    ]
    seen = list[int]()
    sink = create_sink("safetensors", plan.target.path, Order(plan.specs, align=copies.align(plan)))
    facts = list(engine.execute(plan, sink, seen.append))
    sink.commit()
    assert sorted((f.name, f.step) for f in facts) == [
        ("a", "copy"), ("b", "copy"), ("c", "stream"), ("d", "stream"),
    ]  # fmt: skip
    assert sum(seen) == plan.nbytes
    out = tensors(open_source(plan.target.path))
    assert all(same(out[name].numpy(), e.numpy()) for name, e in plan.outputs.items())


def test_the_longest_run_lies_in_its_page_as_before(source: Source, tmp_path: Path) -> None:
    x = tensors(source)
    plan = planned(
        source, tmp_path / "out.safetensors", q=permute(x["t0"], (1, 0)), a=x["t2"], b=x["t3"]
    )
    wish = copies.align(plan)
    start = source.extent("t2")
    assert start is not None
    assert wish == ("a", start.offset % 4096)
    write(plan)
    found = open_source(plan.target.path).extent("a")
    assert found is not None
    assert found.offset % 4096 == start.offset % 4096
    small = Memory({"x": np.zeros(3)})
    assert copies.align(planned(small, tmp_path / "o", x=tensors(small)["x"])) is None


def test_a_failed_check_stops_before_anything_is_written(source: Source, tmp_path: Path) -> None:
    x = tensors(source)
    t1 = array(x["t1"].numpy().view("i4"))
    checks = tuple(
        Check(reduction(DIFFER, a, b), lambda d: OutputError(f"{d.count} differ"))
        for a, b in ((x["t1"], x["t1"]), (t1, array(t1.numpy() + 1)))
    )
    plan = replace(planned(source, tmp_path / "out.safetensors", a=x["t1"]), checks=checks)
    with pytest.raises(PlanError, match=r"^1240 differ$"):
        write(plan)
    assert [p.name for p in tmp_path.iterdir()] == ["in.safetensors"]


def test_an_error_names_its_tensor_and_leaves_nothing(source: Source, tmp_path: Path) -> None:
    wide = Memory({"x": np.array([1e39])})
    plan = planned(wide, tmp_path / "out.safetensors", fc=cast(tensors(wide)["x"], "bfloat16"))
    with pytest.raises(
        SpecError, match=r"^fc: 1 finite values have no place in bfloat16"
    ) as caught:
        write(plan)
    assert caught.value.id == "nonfinite"
    assert [p.name for p in tmp_path.iterdir()] == ["in.safetensors"]


def test_a_source_that_changes_meanwhile_is_noticed(source: Source, tmp_path: Path) -> None:
    plan = planned(source, tmp_path / "out.safetensors", a=tensors(source)["t1"])
    os.utime(source.path, ns=(1, 1))
    with pytest.raises(BrokenFile, match="was changed while it was read"):
        write(plan)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_source_that_shrinks_is_noticed(source: Source, tmp_path: Path) -> None:
    x = tensors(source)["t3"]
    os.truncate(source.path, 2000)
    for expr in (x, permute(x, (1, 0))):
        with pytest.raises(BrokenFile, match=r"became shorter|ends \d+ bytes early"):
            write(planned(source, tmp_path / "out.safetensors", a=expr))
    assert not (tmp_path / "out.safetensors").exists()


def test_where_the_kernel_cannot_copy_we_do(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> int:
        raise OSError(errno.EXDEV, "not across")

    monkeypatch.setattr(os, "copy_file_range", no)
    monkeypatch.setattr(files, "PIECE", 1000)
    write(planned(source, tmp_path / "out.safetensors", a=tensors(source)["t1"]))
    out = tensors(open_source(str(tmp_path / "out.safetensors")))
    assert same(out["a"].numpy(), tensors(source)["t1"].numpy())


@pytest.mark.parametrize("seam", ["copy_file_range", "preadv", "pwrite"])
def test_what_the_disk_says_is_one_line(
    seam: str, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tensors(source)["t1"]

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, seam, broken)
    expr = x if seam == "copy_file_range" else permute(x, (1, 0))
    with pytest.raises((OutputError, FormatError), match="Input/output error"):
        write(planned(source, tmp_path / "out.safetensors", a=expr))
    assert [p.name for p in tmp_path.iterdir()] == ["in.safetensors"]
