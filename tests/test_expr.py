"""The noun and the verb, where the laws do not reach: leaves, names, what is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from strategies import Memory, noise, same

from weightsurgeon.errors import SpecError
from weightsurgeon.expr import LEAF, apply, array, evaluate, leaf, leaves, show
from weightsurgeon.notation import parse
from weightsurgeon.ops.arithmetic import full
from weightsurgeon.ops.movement import concat, crop, permute, take
from weightsurgeon.workers import Workspace


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=">f4").reshape(2, 3, 4),
        np.asfortranarray(np.arange(24.0).reshape(4, 6)),
        np.arange(24)[::-2],
        np.broadcast_to(np.arange(3, dtype="i2"), (4, 3)),
        np.array(3.5),
        np.float32(2),
        True,
        [[1, 2], [3, 4]],
    ],
    ids=lambda x: f"{type(x).__name__}{np.shape(x)}",
)
def test_any_array_is_a_tensor(values: Any) -> None:
    native = np.ascontiguousarray(values).reshape(np.shape(values))
    native = native.astype(native.dtype.newbyteorder("="))
    assert same(array(values).numpy(), native)


def test_an_array_of_no_known_dtype_is_refused() -> None:
    with pytest.raises(SpecError, match="unknown dtype <U1"):
        array(["a"])


def test_a_leaf_asks_its_source_for_the_block_only() -> None:
    source = Memory({"x": noise((4, 5), "float32")})
    x = leaf(source, "x", source.specs["x"])
    found = evaluate(permute(x, (1, 0)), ((1, 3), (2, 4)))
    assert same(found, source.arrays["x"].T[1:3, 2:4])
    assert list(leaves(concat([x, permute(permute(x, (1, 0)), (1, 0))], 0))) == [x, x]


def test_nothing_is_read_of_what_is_not_needed() -> None:
    asked = list[Any]()

    class Watched(Memory):
        def read(self, name: str, block: Any, out: Any = None) -> Any:
            asked.append((name, block))
            return super().read(name, block, out)

    source = Watched({"a": noise((2, 3), "int8"), "b": noise((4, 3), "int8")})
    a, b = (leaf(source, n, source.specs[n]) for n in "ab")
    evaluate(crop(concat([a, b], 0), 0, 3, 5))
    assert asked == [("b", ((1, 3), (0, 3)))]


def test_scratch_is_taken_for_what_is_read() -> None:
    space = Workspace(1024)
    x = array(noise((4, 4), "float32"))
    assert np.shares_memory(evaluate(x, None, None, space), space._memory)


def test_an_expression_in_words() -> None:
    w = array([[1, 2]], name="conv1/kernel")
    assert show(permute(w, (1, 0))) == "permute(conv1/kernel, order=(1, 0))"
    assert str(take(w, 1, (1,))) == "take(conv1/kernel, axis=1, indices=(1,))"
    assert show(full((2,), "int8")) == "full(shape=(2,), dtype=int8, value=0)"
    assert show(array([1], name="a\x1b")) == "a\\x1b"


def test_naming_axes_moves_nothing() -> None:
    x = array([[1, 2]])
    named = x.named(parse("in out"))
    assert named.spec == x.spec._replace(axes=parse("in out"))
    assert named.inputs == x.inputs


def test_a_leaf_cannot_be_applied() -> None:
    with pytest.raises(SpecError, match="made by leaf"):
        apply(LEAF, array(1))
