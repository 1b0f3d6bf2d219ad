"""The layout of an HDF5 file that is written past HDF5.

A skeleton with all groups, attributes and empty datasets is made in a sparse file without a name:
space is allocated but never filled, so it costs neither memory nor disk. What lies around the data
is kept as pieces; the values go to their offsets in the real file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from ..errors import OutputError, shown
from ..spec import TensorSpec

ALIGN = 64  # bytes: what a raw copy and a cache line like
_ATTRIBUTE = 64512  # bytes an object header can hold, as Keras counts them
_REFERENCE = 16  # bytes a string takes in it

Text = str | list[str]


class Skeleton(NamedTuple):
    """Where each dataset's bytes go, what stands around them, and the size of the file."""

    places: dict[str, int]
    pieces: list[tuple[int, bytes]]
    nbytes: int


def lay_out(
    datasets: Mapping[str, TensorSpec],
    links: Mapping[str, str],
    attributes: Mapping[str, Mapping[str, Text]],
) -> Skeleton:
    """Lay out a file by the paths of its datasets.

    links       a second path → the path of the dataset
    attributes  group → its text attributes; the group is made if need be

    Errors: OutputError for a path that HDF5 would read otherwise, or that is a group as well.
    """
    import tempfile

    import h5py

    _check_paths([*datasets, *links])
    with tempfile.TemporaryFile() as scratch:
        with h5py.File(
            scratch, "w", libver="earliest", alignment_threshold=1, alignment_interval=ALIGN
        ) as file:
            for group, texts in attributes.items():
                made = file.require_group(group) if group else file
                for key, text in texts.items():
                    _write_text(made, key, text)
            places = {path: _create(file, path, spec) for path, spec in datasets.items()}
            for path, stored in links.items():
                file[path] = file[stored]
        return _around(scratch, places, datasets)


def _check_paths(paths: list[str]) -> None:
    known = set(paths)
    for path in paths:
        parts = path.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\0" in path:
            raise OutputError(f"{shown(path)} is no name that HDF5 keeps as it is")
        above = next((p for i in range(1, len(parts)) if (p := "/".join(parts[:i])) in known), None)
        if above:
            raise OutputError(f"{shown(above)} and {shown(path)}: HDF5 cannot hold both")


def _create(file: Any, path: str, spec: TensorSpec) -> int:
    """An empty dataset whose space is there; its offset."""
    import numpy as np
    from h5py import h5d, h5p, h5s, h5t

    opaque = spec.dtype.name == "bfloat16"
    dtype = np.dtype("V2") if opaque else spec.dtype.numpy().newbyteorder("<")
    stored = h5t.py_create(dtype, logical=True)
    create, link = h5p.create(h5p.DATASET_CREATE), h5p.create(h5p.LINK_CREATE)
    create.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    create.set_fill_time(h5d.FILL_TIME_NEVER)
    create.set_obj_track_times(False)
    link.set_create_intermediate_group(True)
    space = h5s.create_simple(spec.shape) if spec.shape else h5s.create(h5s.SCALAR)
    dataset = h5d.create(file.id, path.encode(), stored, space, create, lcpl=link)
    if opaque:
        file[path].attrs["dtype"] = "bfloat16"
    return dataset.get_offset() or 0


def _write_text(group: Any, key: str, text: Text) -> None:
    """A text attribute; a list too long for an object header in numbered pieces, as Keras does."""
    import h5py

    if isinstance(text, str):
        group.attrs[key] = text
        return
    most = _ATTRIBUTE // _REFERENCE
    parts = [text[i : i + most] for i in range(0, len(text), most)] or [[]]
    for number, part in enumerate(parts):
        name = f"{key}{number}" if len(parts) > 1 else key
        group.attrs.create(name, part, (len(part),), h5py.string_dtype())


def _around(
    scratch: IO[bytes], places: dict[str, int], datasets: Mapping[str, TensorSpec]
) -> Skeleton:
    """The bytes between the data."""
    nbytes = scratch.seek(0, 2)
    pieces, at = [], 0
    spans = sorted((places[p], spec.nbytes) for p, spec in datasets.items() if spec.nbytes)
    for begin, length in [*spans, (nbytes, 0)]:
        if begin > at:
            scratch.seek(at)
            pieces.append((at, scratch.read(begin - at)))
        at = begin + length
    return Skeleton(places, pieces, nbytes)
