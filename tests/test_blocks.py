"""Blocks cover a tensor once, fit the limit, and are cut where it costs least."""

from __future__ import annotations

from itertools import islice
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Case, blocks_of, chains, shapes

from weightsurgeon.blocks import block_sizes, blocks, demand, fitting, need, rows, runs
from weightsurgeon.expr import array, block_shape, slices
from weightsurgeon.inverse import hole
from weightsurgeon.layout import relayout
from weightsurgeon.notation import parse
from weightsurgeon.ops.movement import concat, permute, reshape, take
from weightsurgeon.simplify import simplify
from weightsurgeon.spec import TensorSpec, dtype_of


@given(chains(), st.sampled_from([1, 8, 50, 400, 10**6]))
def test_blocks_cover_the_tensor_once_and_fit(case: Case, limit: int) -> None:
    count = np.zeros(case.values.shape, int)
    for block in blocks(case.expr, limit):
        count[slices(block)] += 1
        assert prod(block_shape(block))
    assert (count == 1).all()
    for first in islice(blocks(case.expr, limit), 1):
        assert need(case.expr, first) <= limit or prod(block_shape(first)) == 1


@given(shapes, st.integers(1, 30), st.data())
def test_rows_cut_a_block_in_order(shape: tuple[int, ...], limit: int, data: st.DataObject) -> None:
    block = data.draw(blocks_of(shape))
    flat = np.arange(prod(shape)).reshape(shape)
    pieces = [flat[slices(part)].reshape(-1).tolist() for part in rows(block, limit)]
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert sum(pieces, []) == flat[slices(block)].reshape(-1).tolist()  # noqa: RUF017


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (((0, 3), (0, 4), (0, 5)), 1),
        (((1, 2), (0, 4), (0, 5)), 1),
        (((0, 3), (1, 3), (0, 5)), 3),
        (((0, 3), (0, 4), (1, 2)), 12),
        (((0, 1), (2, 3), (1, 2)), 1),
    ],
)
def test_runs(block: tuple[tuple[int, int], ...], expected: int) -> None:
    assert runs((3, 4, 5), block) == expected


def test_a_transposition_is_cut_into_squares_and_a_copy_into_rows() -> None:
    x = array(np.zeros((64, 64), "f4"))
    assert block_sizes(permute(x, (1, 0)), 4 * 32 * 32) == (32, 32)
    assert block_sizes(take(x, 1, range(64)), 4 * 64 * 8) == (8, 64)
    assert block_sizes(x, 10**6) == (64, 64)


def test_demand_counts_every_leaf() -> None:
    x, y = array(np.zeros((2, 3))), array(np.zeros((2, 3)))
    joined = concat([x, y, x], 0)
    found = list(demand(joined, ((1, 5), (0, 2))))
    assert [b for _, b in found] == [((1, 2), (0, 2)), ((0, 2), (0, 2)), ((0, 1), (0, 2))]
    assert need(joined, ((1, 5), (0, 2))) == 8 * 8


def test_a_flatten_is_read_about_once() -> None:
    """VGG's first dense kernel: blocks along the wrong axis would read it hundreds of times."""
    shape = (7 * 7 * 512, 4096)
    x = hole(TensorSpec(dtype_of("float32"), shape))
    moved = simplify(relayout(x, parse("(h w c) out"), parse("out (c h w)"), {"h": 7, "w": 7}))
    moved = moved.inputs[0]  # the last reshape keeps the bytes
    found = list(blocks(moved, 17 * 2**20))
    read = sum(need(moved, block) for block in found)
    assert read <= 2 * moved.spec.nbytes


def test_a_block_across_rows_of_a_reshape_is_parted() -> None:
    x = permute(hole(TensorSpec(dtype_of("float32"), (8, 50, 40))), (0, 2, 1))
    flat = reshape(x, (16_000,))
    row = 50 * 40 * 4
    parts = list(fitting(flat, ((1990, 2010),), row))
    assert parts[0][0][0] == 1990
    assert parts[-1][0][1] == 2010
    assert all(need(flat, part) <= row for part in parts)
