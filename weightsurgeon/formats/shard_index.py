"""A set of safetensors files and the index that makes one checkpoint of them, as Hugging Face does.

`{"metadata": {"total_size": n}, "weight_map": {name: file}}`. Tensors go into shards greedily, in
their order: one opens a new shard if the sum would be over the limit; one that is larger alone
stands alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import BrokenFile
from ..spec import TensorSpec
from .base import Limits
from .json_data import loads

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"


def divided(specs: Mapping[str, TensorSpec], limit: int) -> list[list[str]]:
    """The names of each shard.

    >>> from weightsurgeon.spec import DTYPES
    >>> specs = {n: TensorSpec(DTYPES["uint8"], (size,)) for n, size in zip("abcd", (3, 5, 9, 1))}
    >>> divided(specs, 8)
    [['a', 'b'], ['c'], ['d']]
    """
    shards, room = [list[str]()], limit
    for name, spec in specs.items():
        if spec.nbytes > room and shards[-1]:
            shards.append([])
            room = limit
        shards[-1].append(name)
        room -= spec.nbytes
    return shards


def stem_of(path: str) -> str:
    """The path without what makes it a file or an index: `out/model`."""
    for suffix in (INDEX_SUFFIX, SUFFIX):
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def shard_name(stem: str, number: int, count: int, tag: str = "") -> str:
    """`model-00001-of-00004.safetensors`, with a tag where that name is taken."""
    return f"{stem}-{number:05}-of-{count:05}{'-' if tag else ''}{tag}{SUFFIX}"


def is_shard_of(stem: str | None, name: str) -> bool:
    """Whether a file's name is one that `shard_name` gives, for a stem or (None) for any."""
    head = r"[^/]+" if stem is None else re.escape(stem)
    tail = r"-[0-9]{5,}-of-[0-9]{5,}(-[0-9a-f]{8})?\.safetensors"
    return re.fullmatch(head + tail, name) is not None


def encoded(files: Mapping[str, str], nbytes: int, metadata: Mapping[str, str]) -> bytes:
    """The bytes of an index: tensor → file, and what is known of the whole."""
    about = {**metadata, "total_size": nbytes}
    index = {"metadata": about, "weight_map": dict(files)}
    return (json.dumps(index, indent=2, sort_keys=True) + "\n").encode()


def decoded(data: bytes, path: str, limits: Limits) -> tuple[dict[str, str], dict[str, Any]]:
    """Tensor → file, and the metadata of an index.

    Errors: BrokenFile or LimitExceeded for what is no index.
    """
    index = loads(data, path, "index", limits)
    files = index.get("weight_map") if isinstance(index, dict) else None
    about = index.get("metadata", {}) if isinstance(index, dict) else None
    if not isinstance(files, dict) or not all(isinstance(f, str) for f in files.values()):
        raise BrokenFile(path, "weight_map", "is no map of tensors to files")
    if not isinstance(about, dict):
        raise BrokenFile(path, "metadata", "is no map")
    return files, about


def named(data: bytes, stem: str) -> set[str]:
    """The files that an index names and that can be its shards; none where it cannot be read.

    Only names of shards of this stem count: whatever else an index may say, nobody unlinks it.
    """
    try:
        files, _ = decoded(data, "", Limits())
    except (BrokenFile, ValueError):
        return set()
    return {file for file in files.values() if is_shard_of(stem, file)}


def listed(names: Iterable[str]) -> str:
    """A few names of many."""
    from ..errors import shown

    found = list(names)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(map(shown, found[:3])) + more
