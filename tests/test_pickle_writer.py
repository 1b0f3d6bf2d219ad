"""What is pickled is read back by us and by Python, in opcodes that torch's safe reader knows."""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.formats.pickle_reader import Ordered, load
from weightsurgeon.formats.pickle_writer import dumps
from weightsurgeon.formats.torch_objects import GLOBALS, STORAGES, UNTYPED, Storage, Tensor, storage

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)
sizes = st.integers(0, 2**40)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from([*STORAGES.values(), *UNTYPED]))
    shape = tuple(draw(st.lists(sizes, max_size=4)))
    strides = tuple(draw(sizes) for _ in shape)
    kept = Storage(str(draw(sizes)), "" if dtype in UNTYPED else dtype, draw(sizes))
    return Tensor(kept, draw(sizes), shape, strides, dtype)


@given(plain)
def test_python_reads_what_is_written(value: Any) -> None:
    assert pickle.loads(dumps(value)) == value


@given(st.recursive(plain | tensors(), lambda inner: st.dictionaries(st.text(), inner)))
def test_what_is_written_is_read(value: Any) -> None:
    assert load(dumps(value), GLOBALS, storage) == value


@pytest.mark.parametrize(
    "number", [0, 255, 256, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 127, 128, 2**63]
)
def test_numbers_at_the_borders_of_their_opcodes(number: int) -> None:
    assert pickle.loads(dumps(number)) == number


def test_only_opcodes_of_protocol_2() -> None:
    found = Ordered({"w": Tensor(Storage("0", "float32", 6), 0, (2, 3), (3, 1), "float32")})
    found.state = {"_metadata": Ordered({"": {"version": 1}})}
    opcodes = list(pickletools.genops(dumps(found)))
    assert max(opcode.proto for opcode, _, _ in opcodes) == 2
    assert load(dumps(found), GLOBALS, storage).state == found.state


def test_a_global_is_spelled_out_once() -> None:
    many = {str(i): Tensor(Storage(str(i), "float32", 0), 0, (), (), "float32") for i in range(9)}
    assert dumps(many).count(b"FloatStorage") == 1


def test_the_bytes_are_known() -> None:
    assert dumps({"a": [True, None, 1.5, -1]}) == (
        b"\x80\x02}(X\x01\0\0\0a](\x88NG?\xf8\0\0\0\0\0\0J\xff\xff\xff\xffeu."
    )


def test_other_values_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="a bytes is not written"):
        dumps(b"")
