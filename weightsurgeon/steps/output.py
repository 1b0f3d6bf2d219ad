"""Where the result of a plan goes: a file, or a set of shards with its index."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import OutputError, shown
from ..formats import FORMATS, container_of
from ..mapping.checks import BYTES
from ..plan import Target
from .work import Place

_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


class Output(NamedTuple):
    """Where the state `source` goes; `place` is that of the output in the plan.

    into: the alias of a live model that is written in place; there is no path then
    shard_bytes: see Target; repeat: whether tied tensors are written under each name
    """

    source: str
    path: str
    container: str | None
    shard_bytes: int | None
    repeat: bool
    place: Place
    into: str | None = None

    def target(self, container: str) -> Target:
        """The target of the plan; its dialect and structure are settled elsewhere."""
        return Target(self.path, container, shard_bytes=self.shard_bytes)


def read_output(m: Mapping[str, Any], folder: Path, place: Place) -> Output:
    """The keys of an output; a folder holds the files `model…`, one unless shards are asked for."""
    text, size = str(m.get("path") or ""), m.get("shard_size")
    path, container = str(folder / text) if text else "", m.get("format")
    shard_bytes = None if size is None else size_of(size)
    bare = shard_bytes is not None and not Path(path).suffix  # a set has a folder of its own
    there = bool(text) and container in (None, "safetensors") and Path(path).is_dir()
    if text.endswith("/") or bare or there:
        path = os.path.join(path, "model.safetensors")  # noqa: PTH118  # a NUL in it is told later
        shard_bytes = shard_bytes or 0
    repeat = m.get("ties") == "repeat"
    return Output(str(m.get("from")), path, container, shard_bytes, repeat, place, m.get("into"))


def size_of(value: str | int) -> int:
    """Bytes of a size as it is written: GB is 10⁹, GiB 2³⁰; 0 for `none`.

    >>> size_of("5GB"), size_of("1.5 KiB"), size_of("none")
    (5000000000, 1536, 0)
    """
    if isinstance(value, int) or value == "none":
        return 0 if value == "none" else int(value)
    found = BYTES.fullmatch(value)
    number, unit, binary = found.groups() if found else ("0", "", "")
    return int(Decimal(number) * (1024 if binary else 1000) ** _POWERS[unit])


def container_asked(output: Output) -> str:
    """The container of a plan's output: what it says, or what its suffix says.

    Errors: MappingError for one that is unknown, or that has no shards where they are asked for.
    """
    container = output.container
    if container is None:
        try:
            container = container_of(output.path)
        except OutputError as error:
            raise output.place.refused(str(error)) from error
    if container not in FORMATS:
        text = f"no container {shown(container)!r}; known: {', '.join(FORMATS)}"
        raise output.place.refused(text)
    if output.shard_bytes is not None and container != "safetensors":
        raise output.place.refused(f"{container} has no shards; safetensors has", "shard_size")
    return container
