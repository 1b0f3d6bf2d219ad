"""The opcodes of a pickle that describe values, a row each; calls become records.

Each takes the machine and the position behind the opcode, and returns that of the next one. The
six that most of a pickle consists of are not here but in the loop of the reader.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from .pickle_machine import Global, Machine, Ordered, Refusal, Stop, Unknown, extend, set_items

# -- numbers and strings ---------------------------------------------------------------------


def _proto(m: Machine, at: int) -> int:
    if not 2 <= m.data[at] <= 5:
        raise ValueError(f"protocol {m.data[at]}; 2 to 5 are read")
    return at + 1


def _frame(m: Machine, at: int) -> int:
    m.slice(at, 8)  # a hint for readers of streams
    return at + 8


def _constant(value: object) -> Callable[[Machine, int], int]:
    def push(m: Machine, at: int) -> int:
        m.stack.append(value)
        return at

    return push


def _number(code: str) -> Callable[[Machine, int], int]:
    reader = struct.Struct(code)
    unpack, width = reader.unpack_from, reader.size

    def push(m: Machine, at: int) -> int:
        m.stack.append(unpack(m.data, at)[0])
        return at + width

    return push


def _long1(m: Machine, at: int) -> int:
    end = at + 1 + m.data[at]
    m.stack.append(int.from_bytes(m.slice(at + 1, end - at - 1), "little", signed=True))
    return end


def _bytes(width: int) -> Callable[[Machine, int], int]:
    def push(m: Machine, at: int) -> int:
        start = at + width
        length = int.from_bytes(m.slice(at, width), "little")
        m.stack.append(m.slice(start, length))
        return start + length

    return push


def _text(width: int) -> Callable[[Machine, int], int]:
    def push(m: Machine, at: int) -> int:
        data, start = m.data, at + width
        end = start + int.from_bytes(data[at:start], "little")
        if end > len(data):
            raise IndexError(f"a string ends at byte {end} of {len(data)}")
        m.stack.append(data[start:end].decode("utf-8", "surrogatepass"))
        return end

    return push


# -- stack and memo --------------------------------------------------------------------------


def _pop(m: Machine, at: int) -> int:
    m.stack.pop()
    return at


def _stop(m: Machine, at: int) -> int:
    if at != len(m.data) or m.marks or len(m.stack) != 1:
        raise ValueError(f"stops with {len(m.data) - at} bytes and {len(m.stack)} values left")
    raise Stop


def _binput(m: Machine, at: int) -> int:
    m.put(m.data[at])
    return at + 1


def _memoize(m: Machine, at: int) -> int:
    m.put(len(m.memo) + len(m.far))
    return at


def _long_binget(m: Machine, at: int) -> int:
    m.get(int.from_bytes(m.slice(at, 4), "little"))
    return at + 4


# -- tuples, lists, dicts --------------------------------------------------------------------


def _empty(make: Callable[[], Any]) -> Callable[[Machine, int], int]:
    def push(m: Machine, at: int) -> int:
        m.spend()
        m.stack.append(make())
        return at

    return push


def _tuple1(m: Machine, at: int) -> int:
    m.spend()
    m.stack[-1] = (m.stack[-1],)
    return at


def _tuple2(m: Machine, at: int) -> int:
    m.spend()
    last = m.stack.pop()
    m.stack[-1] = (m.stack[-1], last)
    return at


def _tuple3(m: Machine, at: int) -> int:
    m.spend()
    last, middle = m.stack.pop(), m.stack.pop()
    m.stack[-1] = (m.stack[-1], middle, last)
    return at


def _append(m: Machine, at: int) -> int:
    item = m.stack.pop()
    extend(m.stack[-1], [item])
    return at


def _appends(m: Machine, at: int) -> int:
    items = m.since_mark()
    extend(m.stack[-1], items)
    return at


def _setitem(m: Machine, at: int) -> int:
    value, key = m.stack.pop(), m.stack.pop()
    set_items(m.stack[-1], [key], [value])
    return at


def _setitems(m: Machine, at: int) -> int:
    items = m.since_mark()
    set_items(m.stack[-1], items[::2], items[1::2])
    return at


# -- what would be calls ---------------------------------------------------------------------


def _global(m: Machine, at: int) -> int:
    middle = m.data.index(b"\n", at)
    end = m.data.index(b"\n", middle + 1)
    m.stack.append(m.find(m.data[at:middle].decode(), m.data[middle + 1 : end].decode()))
    return end + 1


def _stack_global(m: Machine, at: int) -> int:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("the name of a global is no text")
    m.stack.append(m.find(module, name))
    return at


def _reduce(m: Machine, at: int) -> int:
    m.spend()
    args, made = m.stack.pop(), m.stack[-1]
    if type(args) is not tuple:
        raise TypeError("arguments are no tuple")
    if type(made) is Global and made.make is not None:
        m.stack[-1] = made.make(*args)
    elif type(made) is not Unknown:
        raise TypeError(f"{getattr(made, 'name', type(made).__name__)} is not to be called")
    return at


def _newobj(m: Machine, at: int) -> int:
    """Never made; read on only to name all unknown classes in one error."""
    m.stack.pop()
    if type(m.stack[-1]) is not Unknown:
        raise Refusal("NEWOBJ")
    return at


def _build(m: Machine, at: int) -> int:
    state, target = m.stack.pop(), m.stack[-1]
    if type(target) is Unknown:
        return at
    if type(target) is Ordered and type(state) is dict:
        target.state = state
    elif hasattr(target, "take_state"):  # a record of the table's
        target.take_state(state)
    else:
        raise TypeError(f"attributes are set on a {type(target).__name__}")
    return at


def _binpersid(m: Machine, at: int) -> int:
    m.stack[-1] = m.persistent(m.stack[-1])
    return at


def _refuse(m: Machine, at: int) -> int:
    code = m.data[at - 1]
    if code in _REFUSED:
        raise Refusal(_REFUSED[code])
    raise ValueError(f"{code:#04x} is no opcode")


BININT1, BINUNICODE, BINGET, LONG_BINPUT, MARK, TUPLE = b"KXhr(t"
_TABLE: dict[bytes, Callable[[Machine, int], int]] = {
    b"\x80": _proto, b"\x95": _frame, b".": _stop,
    b"0": _pop, b"q": _binput, b"\x94": _memoize, b"j": _long_binget,
    b"N": _constant(None), b"\x88": _constant(True), b"\x89": _constant(False),
    b"J": _number("<i"), b"M": _number("<H"), b"\x8a": _long1, b"G": _number(">d"),
    b"\x8c": _text(1), b"\x8d": _text(8), b"U": _text(1),
    b"C": _bytes(1), b"B": _bytes(4), b"\x8e": _bytes(8),
    b")": _constant(()), b"\x85": _tuple1, b"\x86": _tuple2, b"\x87": _tuple3,
    b"]": _empty(list), b"a": _append, b"e": _appends, b"\x8f": _empty(set),
    b"}": _empty(dict), b"s": _setitem, b"u": _setitems,
    b"c": _global, b"\x93": _stack_global,
    b"R": _reduce, b"\x81": _newobj, b"b": _build, b"Q": _binpersid,
}  # fmt: skip
ROWS = [_TABLE.get(bytes([code]), _refuse) for code in range(256)]

_REFUSED = {
    ord("i"): "INST", ord("o"): "OBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
    ord("P"): "PERSID", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER", 0x96: "BYTEARRAY8",
    ord("I"): "INT", ord("L"): "LONG", 0x8B: "LONG4", ord("F"): "FLOAT",
    ord("S"): "STRING", ord("T"): "BINSTRING", ord("V"): "UNICODE",
    ord("g"): "GET", ord("p"): "PUT", ord("1"): "POP_MARK", ord("2"): "DUP",
    ord("d"): "DICT", ord("l"): "LIST", 0x90: "ADDITEMS", 0x91: "FROZENSET",
}  # fmt: skip
