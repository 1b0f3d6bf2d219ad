"""The laws of expressions, of any movement of any tensor: see strategies.py for what is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from strategies import Array, Case, arrays, bijections, blocks_of, chains, noise, same

from weightsurgeon import execute as engine
from weightsurgeon import reducing, workers
from weightsurgeon.copies import align
from weightsurgeon.expr import array, block_shape, evaluate, slices
from weightsurgeon.formats import create_sink, open_source
from weightsurgeon.formats.base import Order, Source
from weightsurgeon.inverse import fill, hole, inverse
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.movement import permute, reshape, take
from weightsurgeon.ops.table import REDUCTIONS
from weightsurgeon.pending import reduction
from weightsurgeon.plan import Plan, Target
from weightsurgeon.simplify import simplify
from weightsurgeon.workers import Workspace
from weightsurgeon.writing import write

many = settings(max_examples=300)


@many
@given(chains())
def test_what_was_inferred_is_what_comes(case: Case) -> None:
    values = case.expr.numpy()
    assert (case.expr.spec.dtype.numpy(), case.expr.spec.shape) == (values.dtype, values.shape)
    assert same(values, case.values)
    assert values.flags.c_contiguous


_scalar = np.array(1 + 2**-8 + 2**-40)


@many
@given(chains(), st.data())
@example(Case(reshape(array(_scalar), ()), _scalar), None)
def test_a_block_is_the_block_of_the_whole(case: Case, data: st.DataObject | None) -> None:
    block = data.draw(blocks_of(case.expr.spec.shape)) if data else ()
    found = evaluate(case.expr, block)
    assert isinstance(found, np.ndarray)
    assert same(found, case.values[slices(block)] if block else case.values)


@many
@given(chains(), st.data())
def test_a_block_may_be_computed_in_any_place(case: Case, data: st.DataObject) -> None:
    block = data.draw(blocks_of(case.expr.spec.shape))
    shape = block_shape(block)
    step = data.draw(st.sampled_from([1, 2, -1]))
    order = data.draw(st.permutations(range(len(shape))))
    room = noise(tuple(shape[i] * abs(step) for i in order), case.expr.spec.dtype, 3)
    view = room[tuple(slice(None, None, step) for _ in order)] if order else room
    out = view.transpose(np.argsort(order)) if order else view
    expected = room.copy()
    around = expected[tuple(slice(None, None, step) for _ in order)] if order else expected
    around.transpose(np.argsort(order) if order else None)[...] = case.values[slices(block)]
    assert evaluate(case.expr, block, out) is out
    assert same(room, expected)  # and nothing is written between


@given(chains(), st.data(), st.sampled_from([64, 200, 4096]))
def test_scratch_may_be_used_again(case: Case, data: st.DataObject, nbytes: int) -> None:
    space = Workspace(nbytes)
    for _ in range(3):
        block = data.draw(blocks_of(case.expr.spec.shape))
        space.reset()
        out = space(case.expr.spec, block) if data.draw(st.booleans()) else None
        assert same(evaluate(case.expr, block, out, space), case.values[slices(block)])


@many
@given(chains())
def test_a_simpler_expression_has_the_same_spec_and_values(case: Case) -> None:
    simple = simplify(case.expr)
    assert simple.spec == case.expr.spec
    assert same(simple.numpy(), case.values)
    assert simplify(simple) == simple


def started(values: Array) -> Case:
    return Case(array(values), values)


@given(arrays().map(started).flatmap(bijections))
def test_there_and_back_is_the_same_bits(case: Case) -> None:
    inner = case.expr
    while inner.inputs:
        (inner,) = inner.inputs
    back = fill(inverse(case.expr), case.expr)
    assert back.spec == inner.spec
    assert same(back.numpy(), inner.numpy())
    simple = fill(inverse(simplify(case.expr)), array(case.values))
    assert same(simple.numpy(), inner.numpy())


@given(arrays().flatmap(lambda x: bijections(Case(hole(array(x).spec), x))))
def test_the_inverse_of_the_inverse_is_the_movement(case: Case) -> None:
    assert inverse(inverse(case.expr)) == case.expr


# -- the same plan, the same bytes -----------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = str(tmp_path_factory.mktemp("laws") / "source.safetensors")
    tensors = {
        "a": noise((12, 10), "float32", 1),
        "b": noise((3, 5, 2, 4), "bfloat16", 2),
        "c": noise((7, 9), "float8_e5m2", 3),
        "d": noise((), "int64", 4),
        "e": noise((0, 3), "float16", 5),
        "f": np.linspace(-2, 2, 77).reshape(7, 11),
    }
    sink = create_sink("safetensors", path, Order({n: array(x).spec for n, x in tensors.items()}))
    for name, values in tensors.items():
        sink.write(name, tuple((0, n) for n in values.shape), values)
    sink.commit()
    return open_source(path)


def expressions(source: Source) -> dict[str, Any]:
    from weightsurgeon.formats.base import Checkpoint

    x = Checkpoint(source, {}, None, "")
    return {
        "copied": x["a"],
        "renamed": x["d"],
        "empty": permute(x["e"], (1, 0)),
        "reshaped": reshape(x["b"], (15, 8)),
        "turned": permute(x["a"], (1, 0)),
        "moved": take(permute(x["b"], (3, 2, 0, 1)), 1, (1, 0)),
        "flat": reshape(permute(x["c"], (1, 0)), (63,)),
        "rounded": cast(permute(x["f"], (1, 0)), "bfloat16"),
    }


def made(source: Source, path: Path, workers_: int = 2) -> bytes:
    plan = Plan(expressions(source), {"s": source}, Target(str(path), "safetensors"))
    sink = create_sink("safetensors", str(path), Order(plan.specs, align=align(plan)))
    facts = {fact.name: fact for fact in engine.execute(plan, sink, workers=workers_)}
    sink.commit()
    assert facts.keys() == plan.outputs.keys()
    assert {n: f.nbytes for n, f in facts.items()} == {n: s.nbytes for n, s in plan.specs.items()}
    return path.read_bytes()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([1, 2, 3]), st.sampled_from([1, 16, 90, 4096]), st.sampled_from([1, 24, 512])
)
def test_neither_workers_nor_block_sizes_show_in_the_bytes(
    source: Source, tmp_path: Path, number: int, scratch: int, piece: int
) -> None:
    expected = made(source, tmp_path / "whole.safetensors", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "SCRATCH_BYTES", scratch)
        patch.setattr(engine, "PIECE_BYTES", piece)
        patch.setattr(workers, "PIECE_BYTES", piece)
        assert made(source, tmp_path / "blocks.safetensors", number) == expected


def test_what_was_written_is_what_was_meant(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    write(Plan(expressions(source), {"s": source}, Target(str(path), "safetensors")))
    result = open_source(str(path))
    for name, expr in expressions(source).items():
        spec = result.specs[name]
        assert spec == expr.spec
        assert same(result.read(name, tuple((0, n) for n in spec.shape)), expr.numpy())


# -- reductions ------------------------------------------------------------------------------


SUMS = {
    "means": 1,
    "norms": 1,
    "inner": 2,
}  # by inputs: the last bit of a sum depends on how it is parted
EXACT: dict[str, tuple[int, dict[str, Any]]] = {  # row: how many inputs, and params
    "beyond": (2, {}),
    "differ": (2, {}),
    "negative": (1, {}),
    "nonpositive": (1, {}),
    "not_finite": (1, {}),
    "rank": (1, {"kind": "float16", "n": 60, "count": 20}),
    "unit_scores": (1, {"shape": (60,), "sizes": (7,), "norm": "linf"}),
}


def test_every_reduction_is_drawn() -> None:
    assert {*EXACT, *SUMS} == REDUCTIONS.keys()


@pytest.mark.parametrize("name", EXACT)
@given(seed=st.integers(0, 9), cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted))
def test_a_fold_in_parts_merged_is_the_fold(name: str, seed: int, cuts: list[int]) -> None:
    row = REDUCTIONS[name]
    count, params = EXACT[name]
    a, b = noise((60,), "float16", seed), noise((60,), "float16", seed)
    b.view("u2")[seed::7] ^= 3
    inputs = (a, b)[:count]
    spans = list(zip([0, *cuts], [*cuts, 60], strict=True))

    def start() -> Any:
        return row.start(**params)

    whole = row.finish(row.fold(start(), 0, *inputs))
    chain, merged = start(), start()
    for lo, hi in spans:
        runs = [x[lo:hi] for x in inputs]
        chain = row.fold(chain, lo, *runs)
        merged = row.merge(merged, row.fold(start(), lo, *runs))
    np.testing.assert_equal(row.finish(chain), whole)
    np.testing.assert_equal(row.finish(merged), whole)


@pytest.mark.parametrize(("name", "count"), SUMS.items())
@given(seed=st.integers(0, 9), cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted))
def test_a_sum_in_parts_merged_is_the_sum(
    name: str, count: int, seed: int, cuts: list[int]
) -> None:
    row, random = REDUCTIONS[name], np.random.default_rng(seed)
    inputs = [random.uniform(0.1, 1, 60).astype("float16") for _ in range(count)]
    merged = row.start()
    for lo, hi in zip([0, *cuts], [*cuts, 60], strict=True):
        merged = row.merge(merged, row.fold(row.start(), lo, *(x[lo:hi] for x in inputs)))
    whole = row.finish(row.fold(row.start(), 0, *inputs))
    np.testing.assert_allclose(np.ravel(row.finish(merged)), np.ravel(whole), rtol=1e-14)


@pytest.mark.parametrize("scratch", [1, 100, 2**20])
def test_a_reduction_sees_the_same_runs_whatever_the_blocks(
    scratch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weightsurgeon.expr import Reduce

    seen = list[tuple[int, int]]()

    def fold(state: float, start: int, values: Array) -> float:
        seen.append((start, len(values)))
        return float(np.float32(state) + values.sum(dtype=np.float32))  # order shows

    row = Reduce("sum", lambda specs: None, float, fold, lambda a, b: a + b, lambda state: state)
    monkeypatch.setattr(reducing, "SCRATCH_BYTES", scratch)
    monkeypatch.setattr(reducing, "RUN_ELEMENTS", 10)
    values = np.random.default_rng(0).standard_normal((5, 7)).astype("f4")
    found = reducing.reduce({"x": reduction(row, array(values))})
    assert seen == [(0, 10), (10, 10), (20, 10), (30, 5)]
    expected = np.float32(0)
    for at in range(0, 35, 10):
        expected = expected + values.reshape(-1)[at : at + 10].sum(dtype=np.float32)
    assert found == {"x": float(expected)}
