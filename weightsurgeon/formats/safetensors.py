"""safetensors: u64 header length, JSON header, then the tensors, tiling the rest exactly.

Our own reader: it checks every range before anything is allocated. How a file is laid out is in
`safetensors_layout`, how a set of files is written in `sharded_sink`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BrokenFile, LimitExceeded, OutputError, SpecError, shown
from ..expr import Block
from ..spec import DTYPES, TensorSpec, checked_shape
from .base import Carries, Extent, Limits, Order, Sink, Slot, Source
from .files import File, read_block
from .json_data import loads
from .safetensors_layout import CODES, METADATA, create_file
from .shard_index import INDEX_SUFFIX

if TYPE_CHECKING:
    from ..expr import Array
CARRIES = Carries(frozenset(CODES.values()), ties=False, reserved=frozenset({METADATA}))
_DIALECTS = {"pt": "torch", "tf": "keras", "flax": "flax"}


def sniff(head: bytes, file: File) -> bool:
    """A header length that fits the file, and a JSON object behind it.

    Under our suffix the length may be wrong: that it was cut short is what helps to know.
    """
    length = int.from_bytes(head[:8], "little")
    fits = length <= file.size - 8 or file.path.lower().endswith(".safetensors")
    return len(head) >= 8 and length >= 2 and fits and head[8:].lstrip()[:1] in (b"{", b"")


# -- reading ---------------------------------------------------------------------------------


class SafetensorsSource(Source):
    """An open safetensors file."""

    def __init__(self, file: File, header: Mapping[str, Any], start: int) -> None:
        super().__init__(file.path, "safetensors")
        self.file = file
        self.offsets: dict[str, int] = {}
        extra = set[str]()
        for name, entry in header.items():
            if name == METADATA:
                self.metadata = _strings(file.path, entry)
            else:
                spec, offset = _entry(file, name, entry, start)
                self.specs[name], self.offsets[name] = spec, offset
                extra |= entry.keys() - {"dtype", "shape", "data_offsets"}
        if extra:
            self.remarks.append(f"ignored fields of the header: {', '.join(sorted(extra))[:200]}")
        self._check_tiling(start)
        self.dialect = _DIALECTS.get(self.metadata.get("format", ""))
        self.slots = {name: _slot(name) for name in self.specs}

    def _check_tiling(self, start: int) -> None:
        """No hole, no overlap, no trailing bytes: one meaning for every byte."""
        at = start
        for name in sorted(self.specs, key=lambda n: (self.offsets[n], self.specs[n].nbytes)):
            if self.offsets[name] != at:
                what = f"data starts at {self.offsets[name] - start}, expected at {at - start}"
                raise BrokenFile(self.path, name, f"{what}: tensors overlap or leave a hole")
            at += self.specs[name].nbytes
        if at != self.file.size:
            what = f"tensors end at byte {at}, the file at {self.file.size}"
            raise BrokenFile(self.path, "", f"{what}; was it cut short?")

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block, read by position."""
        from ..expr import fresh

        spec = self.specs[name]
        out = fresh(spec, block) if out is None else out
        return read_block(self.extent(name), spec, block, out, self.path, name)

    def extent(self, name: str) -> Extent:
        """Every tensor lies dense and little-endian."""
        return Extent(self.file.fd, self.offsets[name], self.specs[name].nbytes)

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if the file was changed since it was opened."""
        self.file.check_unchanged()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open(file: File, limits: Limits) -> Source:
    """Read the header and check every range against the file."""
    length = int.from_bytes(file.pread(0, 8), "little")
    file.check_range(8, length, "header")
    if length > limits.header_bytes:
        what = f"a header of {length} bytes is over the limit of {limits.header_bytes}"
        raise LimitExceeded(file.path, "", f"{what}; raise it with --limit header_bytes={length}")
    header = loads(file.pread(8, length, "header"), file.path, "header", limits)
    if not isinstance(header, dict):
        raise BrokenFile(file.path, "header", "is no JSON object")
    if len(header) > limits.tensors:
        what = f"{len(header)} tensors are over the limit of {limits.tensors}"
        raise LimitExceeded(file.path, "header", f"{what}; raise --limit tensors")
    return SafetensorsSource(file, header, 8 + length)


def _strings(path: str, entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(v, str) for v in entry.values()):
        raise BrokenFile(path, METADATA, "is not a map of strings")
    return entry


def _entry(file: File, name: str, entry: Any, start: int) -> tuple[TensorSpec, int]:
    try:
        code, (begin, end) = entry["dtype"], entry["data_offsets"]
        dtype, shape = DTYPES[CODES[code]], checked_shape(entry["shape"])
    except SpecError as error:
        raise BrokenFile(file.path, name, str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        what = f"wants a known dtype, a shape and two data_offsets, has {str(entry)[:120]}"
        raise BrokenFile(file.path, name, what) from error
    spec = TensorSpec(dtype, shape)
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise BrokenFile(file.path, name, f"data_offsets {begin!r}, {end!r} are no range")
    if end - begin != spec.nbytes or spec.size * dtype.bits % 8:
        what = f"{code} of shape {shape} takes {spec.nbytes} bytes, data_offsets give {end - begin}"
        raise BrokenFile(file.path, name, what)
    file.check_range(start + begin, end - begin, name)
    return spec, start + begin


def _slot(name: str) -> Slot:
    """Layer and leaf as the last separator divides the name; the file tells no kind."""
    at = max(name.rfind("."), name.rfind("/"))
    return Slot(name[:at] if at > 0 else "", "", {}, name[at + 1 :])


# -- writing ---------------------------------------------------------------------------------


def create(path: str, order: Order) -> Sink:
    """One file, or a set of shards and their index where the order says how large they are."""
    if order.shard_bytes is None:
        if path.lower().endswith(INDEX_SUFFIX):
            text = "is an index of shards: say how large they are, or give the name of one file"
            raise OutputError(f"{shown(path)}: {text}")
        return create_file(path, order)
    from .sharded_sink import create_shards

    return create_shards(path, order)
