"""What the names in a torch pickle mean, without torch: a table, and a record for a tensor.

Only what a state dict is made of is here; any other name is refused by the reader. A record says
what the file claims, checked for types and signs; whether the bytes are there is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .pickle_reader import Global, Ordered


class Storage(NamedTuple):
    """A run of elements in a member of its own. Untyped ones (dtype "") count bytes."""

    key: str
    dtype: str
    numel: int


class Tensor(NamedTuple):
    """A strided view of a storage. `twisted`: conjugated or negated when it is looked at."""

    storage: Storage
    offset: int  # in elements, as are the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    twisted: bool = False

    def take_state(self, state: object) -> None:
        """Accept what torch before 0.4 set on a parameter: requires_grad, volatile, hooks."""
        if type(state) is not tuple or len(state) != 3:
            raise TypeError("the state of a parameter has three parts")


STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
UNTYPED = (
    "uint16", "uint32", "uint64",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip
NOT_READ = (
    "float4_e2m1fn_x2", "complex32", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2",
)  # fmt: skip


def storage(pid: object) -> Storage:
    """The storage that a persistent id stands for."""
    if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage":
        raise TypeError("a persistent id is no storage of five parts")
    _, kind, key, location, numel = pid
    if type(kind) is not Global or kind.name not in _CLASSES:
        raise TypeError("a storage is of no known class")
    if type(key) is not str or type(location) is not str or not _is_plain(key):
        raise TypeError("the key or the location of a storage is no plain text")
    if type(numel) is not int or numel < 0:
        raise ValueError("the length of a storage is no count")
    return Storage(key, _CLASSES[kind.name], numel)


def _is_plain(key: str) -> bool:
    return key.isascii() and key.replace("_", "0").isalnum()


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    return _tensor_v2(storage, offset, shape, strides, False, None)


def _tensor_v2(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> Tensor:
    if type(storage) is not Storage or not storage.dtype:
        raise TypeError("a tensor lacks a typed storage")
    return _checked(storage, offset, shape, strides, storage.dtype, metadata)


def _tensor_v3(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    if type(storage) is not Storage or type(dtype) is not Global or dtype.name not in _DTYPES:
        raise TypeError("a tensor lacks a storage or a dtype")
    return _checked(storage, offset, shape, strides, _DTYPES[dtype.name], metadata)


def _checked(
    storage: Storage, offset: Any, shape: Any, strides: Any, dtype: str, metadata: Any
) -> Tensor:
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise TypeError("shape and strides of a tensor do not match")
    for n in (offset, *shape, *strides):
        if type(n) is not int or n < 0:
            raise ValueError("offset, sizes and strides of a tensor are whole numbers from 0")
    if metadata is None:
        return Tensor(storage, offset, shape, strides, dtype)
    if type(metadata) is not dict:
        raise TypeError("the metadata of a tensor are no dict")
    return Tensor(storage, offset, shape, strides, dtype, any(metadata.values()))


def _parameter(
    data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None
) -> Tensor:
    if type(data) is not Tensor:
        raise TypeError("a parameter is made of no tensor")
    return data


def _ordered(pairs: Any = ()) -> Ordered:
    if pairs == ():
        return Ordered()
    if type(pairs) not in (list, tuple) or not all(_is_pair(pair) for pair in pairs):
        raise TypeError("an OrderedDict is made of pairs")
    return Ordered((key, value) for key, value in pairs)


def _is_pair(pair: Any) -> bool:
    return type(pair) in (list, tuple) and len(pair) == 2 and type(pair[0]) in (str, int)


def _counter(counts: Any = None) -> dict[Any, Any]:
    if counts is not None and type(counts) is not dict:
        raise TypeError("a Counter is made of a dict")
    return counts or {}


def _size(sizes: Any) -> tuple[int, ...]:
    if type(sizes) not in (tuple, list) or not all(type(n) is int for n in sizes):
        raise TypeError("torch.Size is made of whole numbers")
    return tuple(sizes)


def _device(kind: Any, index: Any = None) -> str:
    if type(kind) is not str or (index is not None and type(index) is not int):
        raise TypeError("torch.device is made of a word and a number")
    return kind if index is None else f"{kind}:{index}"


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise TypeError("bytes are made of latin-1 text")
    return text.encode("latin-1")


def _bytearray(data: Any = b"", encoding: Any = None) -> bytes:
    if type(data) is str:
        return _encode(data, encoding)
    if type(data) is not bytes:
        raise TypeError("a bytearray is made of bytes")
    return data


def _set(items: Any) -> set[Any]:
    if type(items) is not list or not all(type(x) in (str, int, float, bytes) for x in items):
        raise TypeError("a set is made of a list of plain values")
    return set(items)


_CLASSES = {f"torch.{name}": dtype for name, dtype in STORAGES.items()}
_CLASSES["torch.storage.UntypedStorage"] = ""
_DTYPES = {f"torch.{dtype}": dtype for dtype in (*STORAGES.values(), *UNTYPED, *NOT_READ)}
_MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "torch._utils._rebuild_tensor": _tensor,  # torch before 0.4
    "torch.nn.parameter.Parameter": _parameter,  # torch before 0.4
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "_codecs.encode": _encode,
    "__builtin__.bytes": lambda: b"",  # protocol 2 has no other way to say so
    "__builtin__.set": _set,
    "builtins.set": _set,
    "__builtin__.bytearray": _bytearray,
    "builtins.bytearray": _bytearray,
}
GLOBALS = {name: Global(name) for name in (*_CLASSES, *_DTYPES)} | {
    name: Global(name, make) for name, make in _MAKERS.items()
}
