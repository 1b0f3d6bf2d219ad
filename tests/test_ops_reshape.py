"""Which block of the input a block of a reshaped tensor needs: the smallest that will do."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import blocks_of, filled_shapes, shapes_of

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import Block, array, block_shape, evaluate, slices
from weightsurgeon.notation import parse
from weightsurgeon.ops.movement import reshape

PULLS: list[tuple[tuple[int, ...], tuple[int, ...], Block, Block]] = [
    ((6,), (2, 3), ((1, 2), (0, 3)), ((3, 6),)),
    ((6,), (2, 3), ((0, 2), (1, 2)), ((0, 6),)),
    ((2, 3), (6,), ((1, 2),), ((0, 1), (1, 2))),
    ((2, 3), (6,), ((2, 4),), ((0, 2), (0, 3))),
    ((4, 6), (4, 2, 3), ((1, 3), (1, 2), (0, 2)), ((1, 3), (3, 5))),
    ((4, 6), (2, 2, 6), ((1, 2), (0, 2), (2, 4)), ((2, 4), (2, 4))),
    ((2, 1, 3), (2, 3), ((0, 1), (1, 3)), ((0, 1), (0, 1), (1, 3))),
    ((), (1, 1), ((0, 1), (0, 1)), ()),
    ((1,), (), (), ((0, 1),)),
    ((3, 4), (4, 3), ((1, 2), (0, 3)), ((0, 2), (0, 4))),
    ((2, 3), (6,), ((3, 3),), ((0, 0), (0, 0))),
]


@pytest.mark.parametrize(("old", "new", "block", "pulled"), PULLS)
def test_pulled_blocks(
    old: tuple[int, ...], new: tuple[int, ...], block: Block, pulled: Block
) -> None:
    values = np.arange(prod(old)).reshape(old)
    x = reshape(array(values), new)
    assert x.op.pull(x, block) == [pulled]
    assert evaluate(x, block).tolist() == values.reshape(new)[slices(block)].tolist()


@given(filled_shapes, st.data())
def test_no_smaller_block_would_do(old: tuple[int, ...], data: st.DataObject) -> None:
    new = data.draw(shapes_of(prod(old)))
    block = data.draw(blocks_of(new))
    x = reshape(array(np.arange(prod(old)).reshape(old)), new)
    wanted = np.arange(prod(old)).reshape(new)[slices(block)].reshape(-1)
    pulled = x.op.pull(x, block)[0]
    assert pulled is not None
    volume = np.prod(block_shape(pulled), dtype=int)
    if not wanted.size or not old:
        assert not volume or not old
        return
    places = np.unravel_index(wanted, old)
    needed = tuple((int(p.min()), int(p.max()) + 1) for p in places)
    assert all(a <= lo and hi <= b for (a, b), (lo, hi) in zip(pulled, needed, strict=True))
    if wanted.size == np.ptp(wanted) + 1:  # one run of the flat order: nothing else is near
        assert volume <= np.prod(block_shape(needed), dtype=int)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (-2, -3), (6, -1, -1), (-1,), (0,), ()])
def test_a_reshape_keeps_the_number_of_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"reshape: .*elements|a size below 0"):
        reshape(array(np.arange(6)), shape)


def test_axes_name_every_size() -> None:
    assert str(reshape(array(np.arange(6)), (2, 3), parse("a b")).spec.axes) == "a b"
    with pytest.raises(SpecError, match=r"reshape: 2 sizes, but axes \[a\]"):
        reshape(array(np.arange(6)), (2, 3), parse("a"))
