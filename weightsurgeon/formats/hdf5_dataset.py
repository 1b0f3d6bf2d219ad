"""One dataset of an HDF5 file: what is checked before any of its data is touched.

Its creation properties come first (they could name other files or plugins), then its type, then
its size; where its bytes are exactly the dense little-endian tensor, their place is told.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..errors import BrokenFile, LimitExceeded, RefusedFile, UnsupportedFile
from ..spec import DTYPES, TensorSpec, checked_shape
from .base import Limits

_FILTERS = {1, 2, 3, 5, 6, 32000}  # deflate shuffle fletcher32 nbit scale-offset lzf: built in


class Dataset(NamedTuple):
    """A dataset: its spec, and where its bytes lie if they are the dense little-endian tensor.

    `stated` is False for two opaque bytes an element that nothing in the file calls bfloat16.
    """

    spec: TensorSpec
    offset: int | None
    stated: bool = True


def inspect(path: str, where: str, dataset: Any, file_bytes: int, limits: Limits) -> Dataset:
    """Check an open dataset.

    Errors: RefusedFile, UnsupportedFile, LimitExceeded, BrokenFile.
    """
    import h5py

    _check_storage(path, where, dataset)
    if dataset.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        raise UnsupportedFile(path, where, "has no dataspace, so it is no tensor")
    name, stated = _dtype(path, where, dataset)
    spec = TensorSpec(DTYPES[name], checked_shape([int(n) for n in dataset.shape]))
    _check_chunks(path, where, dataset, spec, limits)
    return Dataset(spec, _place(path, where, dataset, spec, file_bytes), stated)


def _check_storage(path: str, where: str, dataset: Any) -> None:
    """No other file and no plugin."""
    import h5py

    layout = dataset.get_create_plist()
    if layout.get_external_count():
        raise RefusedFile(path, where, "keeps its data in another file")
    if layout.get_layout() == h5py.h5d.VIRTUAL:
        raise RefusedFile(path, where, "is virtual: put together from other files")
    for number in range(layout.get_nfilters()):
        code = layout.get_filter(number)[0]
        if code not in _FILTERS:
            raise RefusedFile(path, where, f"needs filter {code}, a plugin; write it without")


def _dtype(path: str, where: str, dataset: Any) -> tuple[str, bool]:
    import h5py

    dtype = dataset.dtype
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
        stated = h5py.h5a.exists(dataset, b"dtype")
        if stated and h5py.h5a.open(dataset, b"dtype").get_storage_size() <= 64:
            stated = h5py.AttributeManager(h5py.Dataset(dataset))["dtype"] in (
                "bfloat16",
                b"bfloat16",
            )
        return "bfloat16", stated
    if dtype.kind in "fiubc" and dtype.name in DTYPES and h5py.check_enum_dtype(dtype) is None:
        return dtype.name, True
    raise UnsupportedFile(path, where, f"holds {dtype}, which is no tensor's type")


def _check_chunks(path: str, where: str, dataset: Any, spec: TensorSpec, limits: Limits) -> None:
    """libhdf5 holds whole chunks."""
    import h5py

    layout = dataset.get_create_plist()
    if layout.get_layout() != h5py.h5d.CHUNKED:
        return
    nbytes = prod(layout.get_chunk()) * spec.dtype.itemsize
    if nbytes > limits.chunk_bytes:
        what = f"chunks of {nbytes} bytes are over the limit of {limits.chunk_bytes}"
        raise LimitExceeded(path, where, f"{what}; raise it with --limit chunk_bytes={nbytes}")


def _place(path: str, where: str, dataset: Any, spec: TensorSpec, file_bytes: int) -> int | None:
    """The offset of the bytes, if they are exactly the dense little-endian tensor."""
    import h5py

    offset = dataset.get_offset()
    contiguous = dataset.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    if offset is None or not contiguous or not spec.size:
        return None
    if offset + spec.nbytes > file_bytes or dataset.get_storage_size() != spec.nbytes:
        what = f"{spec.nbytes} bytes at {offset} are not in a file of {file_bytes} bytes"
        raise BrokenFile(path, where, f"{what}; was it cut short?")
    stored = dataset.get_type()
    plain = h5py.h5t.py_create(dataset.dtype.newbyteorder("<"), logical=True)
    opaque = isinstance(stored, h5py.h5t.TypeOpaqueID)
    return int(offset) if opaque or stored.equal(plain) else None
