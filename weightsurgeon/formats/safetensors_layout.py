"""How a safetensors file is laid out: the spelling of dtypes, the header, the place of each tensor.

The writer streams, and is deterministic where the published one is not (its metadata order changes
from run to run, and non-contiguous numpy arrays come out scrambled).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .base import Order
from .file_sink import FileSink

CODES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "F4": "float4_e2m1fn",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
_NAMES = {name: code for code, name in CODES.items()}
METADATA = "__metadata__"


def create_file(path: str, order: Order) -> FileSink:
    """Lay out the file: widest items first, so that every tensor is aligned to its item."""
    names = sorted(order.specs, key=lambda n: -order.specs[n].dtype.bits)
    entries: dict[str, Any] = {}
    if order.metadata:
        entries[METADATA] = dict(sorted(order.metadata.items()))
    at = 0
    for name in names:
        spec = order.specs[name]
        span = [at, at + spec.nbytes]
        code = _NAMES[spec.dtype.name]
        entries[name] = {"dtype": code, "shape": list(spec.shape), "data_offsets": span}
        at += spec.nbytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    offsets = {n: entries[n]["data_offsets"][0] for n in names}
    start = _start(8 + len(header), offsets, order.align)
    head = (start - 8).to_bytes(8, "little") + header.ljust(start - 8)
    places = {n: start + offset for n, offset in offsets.items()}
    return FileSink(path, order.specs, places, [(0, head)], start + at)


def _start(least: int, offsets: Mapping[str, int], align: tuple[str, int] | None) -> int:
    """Where data begin: a multiple of 64, or so that the named tensor lies as wished in a page."""
    if align is None:
        return -(-least // 64) * 64
    name, wished = align
    if (wished - offsets[name]) % 8:
        return _start(least, offsets, None)  # readers want items where they can be addressed
    return least + (wished - offsets[name] - least) % 4096
