"""Pickles as data: every opcode and every global has a case, and nothing is ever called."""

from __future__ import annotations

import collections
import gc
import pickle
import struct
import subprocess
import sys
from typing import Any

import pytest
from attacks.build_zip import number, numbers, state, tensor, text
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import BrokenFile, LimitExceeded, RefusedFile
from weightsurgeon.formats.pickle_machine import Global
from weightsurgeon.formats.pickle_opcodes import ROWS, _refuse
from weightsurgeon.formats.pickle_reader import Ordered, load, paused_gc
from weightsurgeon.formats.torch_objects import GLOBALS, Storage, Tensor, storage


def read(body: bytes) -> Any:
    """The value of opcodes, between PROTO and STOP."""
    return load(b"\x80\x02" + body + b".", GLOBALS, storage, "x.pt", "data.pkl")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(values, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_are_what_pickle_says_they_are(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol), GLOBALS, storage) == value


OPCODES = {
    "BINPUT": (b"K\x01q\x000h\x00", 1),
    "LONG_BINPUT": (b"K\x01r\x00\x00\x00\x000j\x00\x00\x00\x00", 1),
    "put again": (b"K\x01q\x000K\x02q\x000h\x00", 2),
    "put far away": (b"K\x01r\xff\xff\xff\xff0j\xff\xff\xff\xff", 1),
    "put far, get short": (b"K\x01q\xc80h\xc8", 1),
    "MEMOIZE": (b"K\x01\x940h\x00", 1),
    "NONE": (b"N", None), "NEWTRUE": (b"\x88", True), "NEWFALSE": (b"\x89", False),
    "BININT": (b"J\xff\xff\xff\xff", -1), "BININT1": (b"K\xff", 255),
    "BININT2": (b"M\xff\xff", 65535),
    "LONG1": (b"\x8a\x02\x00\x80", -32768), "LONG1 of nothing": (b"\x8a\x00", 0),
    "BINFLOAT": (b"G" + struct.pack(">d", 0.1), 0.1),
    "BINUNICODE": (text("ü"), "ü"), "a lone surrogate": (b"X\x03\0\0\0\xed\xa0\x80", "\ud800"),
    "SHORT_BINUNICODE": (b"\x8c\x01a", "a"), "BINUNICODE8": (b"\x8d\x01\0\0\0\0\0\0\0a", "a"),
    "SHORT_BINSTRING": (b"U\x01a", "a"),
    "SHORT_BINBYTES": (b"C\x01a", b"a"), "BINBYTES": (b"B\x01\0\0\0a", b"a"),
    "BINBYTES8": (b"\x8e\x01\0\0\0\0\0\0\0a", b"a"),
    "EMPTY_TUPLE": (b")", ()), "TUPLE": (b"(K\x01K\x02t", (1, 2)), "TUPLE1": (b"K\x01\x85", (1,)),
    "TUPLE2": (b"K\x01K\x02\x86", (1, 2)), "TUPLE3": (b"K\x01K\x02K\x03\x87", (1, 2, 3)),
    "EMPTY_LIST": (b"]", []), "APPEND": (b"]K\x01a", [1]), "APPENDS": (b"](K\x01K\x02e", [1, 2]),
    "EMPTY_DICT": (b"}", {}), "SETITEM": (b"}" + text("a") + b"K\x01s", {"a": 1}),
    "SETITEMS": (b"}(K\x01K\x02K\x03K\x04u", {1: 2, 3: 4}), "EMPTY_SET": (b"\x8f", set()),
    "a flat tuple as key": (b"}K\x01K\x02\x86Ns", {(1, 2): None}),
    "POP": (b"K\x01K\x020", 1), "FRAME": (b"\x95" + bytes(8) + b"K\x01", 1),
    "GLOBAL": (b"ctorch\nfloat32\n", Global("torch.float32")),
    "STACK_GLOBAL": (text("torch") + text("float32") + b"\x93", Global("torch.float32")),
    "OrderedDict": (b"ccollections\nOrderedDict\n)R", {}),
    "OrderedDict of pairs": (b"ccollections\nOrderedDict\n](K\x01K\x02\x86e\x85R", {1: 2}),
    "Counter": (b"ccollections\nCounter\n}K\x01K\x02s\x85R", {1: 2}),
    "Counter of nothing": (b"ccollections\nCounter\n)R", {}),
    "Size": (b"ctorch\nSize\n" + numbers(2, 3) + b"\x85R", (2, 3)),
    "device": (b"ctorch\ndevice\n" + text("cuda") + number(1) + b"\x86R", "cuda:1"),
    "device without a number": (b"ctorch\ndevice\n" + text("cpu") + b"\x85R", "cpu"),
    "encode": (b"c_codecs\nencode\n" + text("é") + text("latin1") + b"\x86R", b"\xe9"),
    "set": (b"c__builtin__\nset\n](K\x01e\x85R", {1}),
    "set of Python 3": (b"cbuiltins\nset\n](K\x01e\x85R", {1}),
    "bytearray": (b"c__builtin__\nbytearray\n" + text("é") + text("latin-1") + b"\x86R", b"\xe9"),
    "bytearray of bytes": (b"cbuiltins\nbytearray\nC\x01a\x85R", b"a"),
    "bytes of nothing": (b"c__builtin__\nbytes\n)R", b""),
    "bytearray of nothing": (b"cbuiltins\nbytearray\n)R", b""),
}  # fmt: skip


@pytest.mark.parametrize("opcode", OPCODES)
def test_each_opcode_and_global_means_this(opcode: str) -> None:
    body, value = OPCODES[opcode]
    found = read(body)
    assert found == value
    assert type(found) is type(value) or isinstance(found, Ordered)


def test_the_table_of_opcodes_is_complete() -> None:
    """No opcode has a row that the cases above do not use; six more are in the reader's loop."""
    rows = {code for code, row in enumerate(ROWS) if row is not _refuse}
    letters = b").0BCGJMNQRU]abcejqsu}"
    others = b"\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8d\x8e\x8f\x93\x94\x95"
    assert rows == {*letters, *others}


def test_a_tensor_is_a_record() -> None:
    expected = Tensor(Storage("0", "float32", 6), 0, (2, 3), (3, 1), "float32")
    assert read(tensor()) == expected
    assert read(tensor(metadata=b"}" + text("conj") + b"\x88s")).twisted
    assert not read(tensor(metadata=b"}" + text("conj") + b"\x89s")).twisted
    parameter = b"ctorch._utils\n_rebuild_parameter\n" + tensor() + b"\x88)\x87R"
    assert read(parameter) == expected
    with_state = b"ctorch._utils\n_rebuild_parameter_with_state\n(" + tensor() + b"\x88)}tR"
    assert read(with_state) == expected


def test_an_untyped_storage_counts_bytes() -> None:
    body = b"ctorch._utils\n_rebuild_tensor_v3\n((" + text("storage")
    body += b"ctorch.storage\nUntypedStorage\n" + text("0") + text("cpu") + b"K\x06tQK\x00"
    body += numbers(3) + numbers(1) + b"\x89)ctorch\nuint16\ntR"
    assert read(body) == Tensor(Storage("0", "", 6), 0, (3,), (1,), "uint16")


def test_attributes_are_set_on_an_ordered_dict_only() -> None:
    found = read(b"ccollections\nOrderedDict\n)R}" + text("_metadata") + b"}sb")
    assert found == {}
    assert found.state == {"_metadata": {}}
    assert read(b"ccollections\nOrderedDict\n)R").state == {}


# -- what is refused -------------------------------------------------------------------------

CODE = {
    "reduce": b"cposix\nsystem\n" + text("true") + b"\x85R",
    "stack global": text("posix") + text("system") + b"\x93" + text("true") + b"\x85R",
    "newobj": b"c__main__\nNet\n)\x81}b",
    "a getattr of ours": b"cbuiltins\ngetattr\n" + text("a") + text("b") + b"\x86R",
    "a submodule of ours": b"ctorch\nhub.load\n" + text("a") + b"\x85R",
    "numpy": b"cnumpy.core.multiarray\n_reconstruct\n)R",
    "filled": b"cevil\nDict\n)R(K\x01K\x02u",
    "appended": b"cevil\nList\n)R(K\x01e",
}


@pytest.mark.parametrize("attack", CODE)
def test_code_is_refused_by_name(attack: str) -> None:
    with pytest.raises(RefusedFile, match=r"asks for code, which is not run: \S+\.\S+;"):
        read(CODE[attack])


def test_all_unknown_names_stand_in_one_error() -> None:
    names = [f"evil.f{i}" for i in range(3)]
    body = b"](" + b"".join(f"cevil\nf{i}\n)R".encode() for i in range(3)) + b"e"
    with pytest.raises(RefusedFile, match=", ".join(names)):
        read(body)
    body = b"](" + b"".join(f"cevil\nf{i}\n)R".encode() for i in range(9)) + b"e"
    with pytest.raises(RefusedFile, match="f4 and 4 more"):
        read(body)
    with pytest.raises(RefusedFile, match=r"posix\.system"):  # before the damage behind it
        read(b"cposix\nsystem\n\xff")


OTHER_OPCODES = {
    "INST": b"(iposix\nsystem\n", "OBJ": b"(o", "NEWOBJ_EX": b"\x92", "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\0", "EXT4": b"\x84\x01\0\0\0", "PERSID": b"Pa\n", "NEXT_BUFFER": b"\x97",
    "READONLY_BUFFER": b"\x98", "INT": b"I1\n", "LONG": b"L1L\n", "FLOAT": b"F1\n",
    "STRING": b"S'a'\n", "BINSTRING": b"T\0\0\0\0", "UNICODE": b"Va\n", "GET": b"g0\n",
    "PUT": b"p0\n", "POP_MARK": b"1", "DUP": b"2", "DICT": b"(d", "LIST": b"(l",
    "ADDITEMS": b"\x90", "FROZENSET": b"\x91", "LONG4": b"\x8b\0\0\0\0", "BYTEARRAY8": b"\x96",
    "NEWOBJ": b"ccollections\nOrderedDict\n)\x81",
}  # fmt: skip


@pytest.mark.parametrize("opcode", OTHER_OPCODES)
def test_other_opcodes_are_refused_by_name_and_position(opcode: str) -> None:
    with pytest.raises(RefusedFile, match=rf"opcode {opcode} at byte \d+"):
        read(OTHER_OPCODES[opcode])


BROKEN = {
    "no opcode": (b"\xff", "0xff is no opcode"),
    "the end": (b"K", "out of range"),
    "an empty stack": (b"0", "pop from empty"),
    "no mark": (b"t", "pop from empty"),
    "an unknown memo": (b"h\x07", "nothing is kept under 7"),
    "a long that ends": (b"\x8a\xff1", "255 bytes are declared"),
    "BINBYTES8 that lies": (b"\x8e" + b"\xff" * 8, "are declared"),
    "BINUNICODE8 that lies": (b"\x8d" + b"\xff" * 7 + b"\x7f", "string ends at byte"),
    "BINUNICODE that lies": (b"X\xff\xff\xff\xff", "string would end"),
    "text that is none": (b"X\x01\0\0\0\xff", "utf-8"),
    "a protocol": (b"\x80\x07", "protocol 7"),
    "a global without an end": (b"ctorch", "not found"),
    "a number as a name": (b"K\x01K\x02\x93", "no text"),
    "append to a dict": (b"}K\x01a", "appended to a dict"),
    "set on a list": (b"]K\x01K\x02s", "set on a list"),
    "a key without a value": (b"}(K\x01u", "set on a dict"),
    "a key twice": (b"}(K\x01NK\x01Nu", "stands twice"),
    "a list as a key": (b"}]Ns", "list is no key"),
    "a deep tuple as a key": (b"})\x85\x85Ns", "tuple is no key"),
    "a call of a value": (b"K\x01)R", "int is not to be called"),
    "a call of a plain name": (b"ctorch\nfloat32\n)R", "torch.float32 is not to be called"),
    "arguments that are a list": (b"ccollections\nOrderedDict\n]R", "no tuple"),
    "too many arguments": (b"ctorch\nSize\n" + numbers(1, 2) + b"R", "argument"),
    "attributes of a list": (b"]}b", "set on a list"),
    "slots of an OrderedDict": (b"ccollections\nOrderedDict\n)RN}\x86b", "set on a Ordered"),
    "two values": (b"NN", "2 values left"),
    "nothing": (b"", "0 values left"),
    "an open mark": (b"N(", "left"),
    "a pid that is text": (text("0") + b"Q", "persistent id"),
    "a pid of an unknown kind": (b"(" + text("storage") + text("a") + text("0") + text("cpu")
                                 + b"K\x06tQ", "no known class"),
    "a key with a path": (tensor(key="../0"), "plain text"),
    "a count below 0": (tensor(numel=-1), "no count"),
    "an offset below 0": (tensor(offset=-1), "whole numbers"),
    "a stride below 0": (tensor(strides=(-3, 1)), "whole numbers"),
    "more strides than sizes": (tensor(strides=(1, 1, 1)), "do not match"),
    "metadata of a tensor": (tensor(metadata=b"K\x01"), "no dict"),
    "a quantised storage": (tensor(kind="float32"), "no known class"),
    "a tensor of nothing": (b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR", "lacks a typed"),
    "a tensor v3 of nothing": (b"ctorch._utils\n_rebuild_tensor_v3\n(NNNNNNNtR", "lacks a storage"),
    "a parameter of nothing": (b"ctorch._utils\n_rebuild_parameter\nNNN\x87R", "no tensor"),
    "an OrderedDict of numbers": (b"ccollections\nOrderedDict\n](K\x01e\x85R", "pairs"),
    "a Counter of a list": (b"ccollections\nCounter\n]\x85R", "Counter"),
    "a Size of text": (b"ctorch\nSize\n" + text("a") + b"\x85R", "torch.Size"),
    "a device of a number": (b"ctorch\ndevice\nK\x01\x85R", "torch.device"),
    "another encoding": (b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R", "latin-1"),
    "a set of lists": (b"cbuiltins\nset\n](]e\x85R", "plain values"),
    "a bytearray of a number": (b"cbuiltins\nbytearray\nJ\0\0\0\x40\x85R", "made of bytes"),
}  # fmt: skip


@pytest.mark.parametrize("attack", BROKEN)
def test_broken_pickles_say_where_and_why(attack: str) -> None:
    body, words = BROKEN[attack]
    with pytest.raises(BrokenFile, match=rf"data.pkl: is no sound pickle at byte \d+: .*{words}"):
        read(body)


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(BrokenFile, match="1 bytes"):
        load(b"\x80\x02N.N", {}, storage)


@pytest.mark.parametrize("maker", [b"}", b"]", b")\x85", b"("])
def test_one_byte_may_not_make_an_object_each(maker: bytes) -> None:
    assert (
        read(maker * 500 + b"0" * 499 * (maker != b"(") + b"t" * 500 * (maker == b"(")) is not None
    )
    with pytest.raises(LimitExceeded, match="too many objects"):
        read(maker * 400_000)


def test_damage_at_every_byte_is_an_error_of_ours() -> None:
    whole = state(("w", tensor()), ("n", numbers(1, 2)))
    refused = 0
    for at in range(len(whole)):
        for value in (0, 0x2E, 0x7F, 0xFF):
            changed = whole[:at] + bytes([value]) + whole[at + 1 :]
            try:
                load(changed, GLOBALS, storage)
            except (BrokenFile, RefusedFile):
                refused += 1
    assert refused > len(whole)  # of four changes to a byte more than one is seen, on average


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    with paused_gc():
        assert not gc.isenabled()
        read(b"N")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_no_unpickler_is_imported() -> None:
    code = (
        "import sys; from weightsurgeon.formats import pickle_reader, torch_zip;"
        "print(sorted({'pickle', '_pickle', 'torch', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_dict_of_the_pickler_keeps_its_order() -> None:
    value = collections.OrderedDict([("b", 1), ("a", 2)])
    assert list(load(pickle.dumps(value, 2), GLOBALS, storage).items()) == [("b", 1), ("a", 2)]
