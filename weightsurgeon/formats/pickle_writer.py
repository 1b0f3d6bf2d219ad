"""A pickle of plain values and tensor records, emitted opcode by opcode.

Python's pickler imports whatever it names, and so cannot name torch without torch. Only opcodes of
protocol 2 are used, as torch's safe reader knows no others; the bytes are the same everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from .pickle_reader import Ordered
from .torch_objects import STORAGES, Storage, Tensor

_CLASSES = {dtype: name for name, dtype in STORAGES.items()}
_i32 = struct.Struct("<i").pack
_u32 = struct.Struct("<I").pack
_f64 = struct.Struct(">d").pack


def dumps(value: object) -> bytes:
    """The pickle of dicts, lists, tuples, text, numbers, None, and records of tensors.

    Errors: TypeError for any other value.

    >>> dumps({"a": 1})
    b'\\x80\\x02}(X\\x01\\x00\\x00\\x00aK\\x01u.'
    """
    writer = _Writer()
    writer.put(value)
    return b"\x80\x02" + b"".join(writer.parts) + b"."


class _Writer:
    """Collects the opcodes; a global is spelled out once and remembered after that."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.known: dict[str, bytes] = {}

    def put(self, value: Any) -> None:
        row = _ROWS.get(type(value))
        if row is None:
            raise TypeError(f"a {type(value).__name__} is not written to a pickle")
        row(self, value)

    def name(self, name: str) -> None:
        """Push a global, given as `module name`."""
        recall = self.known.get(name)
        if recall is None:
            index = len(self.known)
            put = b"q" + bytes([index]) if index < 256 else b"r" + _u32(index)
            self.known[name] = b"h" + put[1:] if index < 256 else b"j" + put[1:]
            recall = b"c" + name.replace(" ", "\n").encode() + b"\n" + put
        self.parts.append(recall)

    def items(self, opening: bytes, items: Iterable[Any], closing: bytes) -> None:
        self.parts.append(opening)
        for item in items:
            self.put(item)
        self.parts.append(closing)


def _put_int(w: _Writer, value: int) -> None:
    if 0 <= value < 256:
        w.parts.append(b"K" + bytes([value]))
    elif -(2**31) <= value < 2**31:
        w.parts.append(b"J" + _i32(value))
    else:
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        w.parts.append(b"\x8a" + bytes([len(data)]) + data)


def _put_text(w: _Writer, value: str) -> None:
    data = value.encode("utf-8", "surrogatepass")
    w.parts.append(b"X" + _u32(len(data)) + data)


def _put_dict(w: _Writer, value: dict[Any, Any]) -> None:
    w.items(b"}(", (part for pair in value.items() for part in pair), b"u")


def _put_ordered(w: _Writer, value: Ordered) -> None:
    w.name("collections OrderedDict")
    w.items(b")R(", (part for pair in value.items() for part in pair), b"u")
    if value.state:
        w.put(dict(value.state))
        w.parts.append(b"b")


def _put_tensor(w: _Writer, tensor: Tensor) -> None:
    typed = bool(tensor.storage.dtype)
    w.name("torch._utils _rebuild_tensor_v2" if typed else "torch._utils _rebuild_tensor_v3")
    w.parts.append(b"(")
    _put_storage(w, tensor.storage)
    _put_int(w, tensor.offset)
    w.put(tensor.shape)
    w.put(tensor.strides)
    w.parts.append(b"\x89")  # requires_grad: a state dict holds plain tensors
    w.name("collections OrderedDict")
    w.parts.append(b")R")  # no hooks
    if not typed:
        w.name(f"torch {tensor.dtype}")
    w.parts.append(b"tR")


def _put_storage(w: _Writer, storage: Storage) -> None:
    w.parts.append(b"(X\x07\x00\x00\x00storage")
    w.name(f"torch {_CLASSES[storage.dtype]}" if storage.dtype else "torch.storage UntypedStorage")
    _put_text(w, storage.key)
    w.parts.append(b"X\x03\x00\x00\x00cpu")
    _put_int(w, storage.numel)
    w.parts.append(b"tQ")


_ROWS: dict[type, Callable[[_Writer, Any], None]] = {
    dict: _put_dict,
    Ordered: _put_ordered,
    list: lambda w, value: w.items(b"](", value, b"e"),
    tuple: lambda w, value: w.items(b"(", value, b"t"),
    str: _put_text,
    int: _put_int,
    bool: lambda w, value: w.parts.append(b"\x88" if value else b"\x89"),
    float: lambda w, value: w.parts.append(b"G" + _f64(value)),
    type(None): lambda w, value: w.parts.append(b"N"),
    Tensor: _put_tensor,
}
