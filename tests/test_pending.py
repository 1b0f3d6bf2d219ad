"""Reductions as inputs: which run first, what a plan says of them, and their values as tensors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from strategies import Memory

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array
from weightsurgeon.formats.base import Checkpoint, Source
from weightsurgeon.ops.movement import concat, reshape
from weightsurgeon.ops.reduction import DIFFER, Difference
from weightsurgeon.outcome import report
from weightsurgeon.pending import Pending, pending, reduction, reduction_over, waves
from weightsurgeon.plan import Finding, Line, Plan
from weightsurgeon.reducing import run_reductions
from weightsurgeon.spec import TensorSpec, dtype_of

COUNT = TensorSpec(dtype_of("int64"), ())


def plan_of(source: Source) -> Plan:
    """An output that waits for a count, which waits for another count."""
    x = Checkpoint(source, {}, None, "")
    first = Pending(reduction(DIFFER, x["a"], x["b"]))
    count = pending(first, "count", COUNT)
    second = Pending(reduction(DIFFER, count, x["zero"]))
    pair = [reshape(count, (1,)), reshape(pending(second, "first", COUNT), (1,))]
    told = Finding(second, lambda found: [Line("told", f"first at {found.first}")])
    return Plan({"counts": concat(pair, 0)}, {"s": source}, findings=(told,))


def memory() -> Memory:
    a = np.arange(6, dtype="f4")
    return Memory({"a": a, "b": np.where(a < 2, a, 9).astype("f4"), "zero": np.array(0)})


def test_a_result_is_an_input_once_it_is_known() -> None:
    plan = plan_of(memory())
    with pytest.raises(SpecError, match="count is not known before the reductions"):
        plan.outputs["counts"].numpy()
    assert not [line for line in report(plan, "run", False).lines if line.id == "told"]
    run_reductions(plan)
    assert plan.outputs["counts"].numpy().tolist() == [4, 0]
    assert report(plan, "run", False).lines == (Line("told", "first at 0"),)


def test_waves_are_in_order_of_what_waits() -> None:
    plan = plan_of(memory())
    rows = [[str(one) for one in wave] for wave in waves(plan.outputs.values())]
    assert rows == [
        ["differ(a, b)"],
        ["differ(reshape(count, shape=(1,)), reshape(zero, shape=(1,)))"],
    ]
    lone = reduction(DIFFER, array([1]), array([1]))
    assert waves([], [lone, lone]) == [[lone]]
    assert list(plan.explain())[1:] == [f"pass {i + 1}  {row[0]}" for i, row in enumerate(rows)]


def test_a_plan_that_waits_is_data_too() -> None:
    source = memory()
    plan = plan_of(source)
    data = json.loads(json.dumps(plan.to_json()))
    assert [entry["reduce"] for entry in data["reductions"]] == ["differ", "differ"]
    again = Plan.from_json(data, {"s": source})
    assert again.hash() == plan.hash()
    run_reductions(again)
    assert again.outputs["counts"].numpy().tolist() == [4, 0]
    assert again.to_json() == plan.to_json()


def test_a_block_of_a_result() -> None:
    source = Pending(reduction(DIFFER, array([1]), array([1])))
    source.settle(np.arange(12).reshape(3, 4))
    grid = pending(source, "", TensorSpec(dtype_of("float32"), (3, 4)))
    assert source.read("", ((1, 3), (2, 4))).tolist() == [[6, 7], [10, 11]]
    assert grid.numpy().dtype == np.float32
    source.settle(Difference(7))
    assert pending(source, "count", COUNT).numpy().tolist() == 7


def test_many_parts_are_told_short() -> None:
    parts = [(array([1], f"t{i}"), array([1], "u")) for i in range(9)]
    assert str(reduction_over(DIFFER, parts)) == "differ(t0, u · t1, u · t2, u and 6 more)"
    with pytest.raises(SpecError, match="cannot be compared"):
        reduction_over(DIFFER, [*parts, (array([1]), array([1, 2]))])
