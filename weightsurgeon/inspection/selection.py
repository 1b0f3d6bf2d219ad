"""Which tensors are looked at, and what the JSON of every command says of its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..errors import MissingTensor, SurgeryError, shown
from ..formats.base import Checkpoint
from ..mapping.select import Test, selector
from ..outcome import JSON_VERSION


def selected(
    checkpoint: Checkpoint, select: Sequence[Any] = (), exclude: Sequence[Any] = ()
) -> list[str]:
    """The names that any of `select` takes (all, if it is empty) and none of `exclude`.

    Errors: MissingTensor if a selector fits no tensor; SurgeryError if it makes no sense.
    """
    wanted, unwanted = ([_tested(checkpoint, s) for s in side] for side in (select, exclude))

    def fits(tests: list[Test], name: str) -> bool:
        spec, meaning = checkpoint.source.specs[name], checkpoint.meaning(name)
        return any(test(name, spec, meaning) for test in tests)

    return [
        name
        for name in checkpoint
        if (not wanted or fits(wanted, name)) and not fits(unwanted, name)
    ]


def _tested(checkpoint: Checkpoint, value: Any) -> Test:
    try:
        test = selector(value)
    except ValueError as error:
        raise SurgeryError(str(error)) from error
    specs = checkpoint.source.specs
    if not any(test(n, specs[n], checkpoint.meaning(n)) for n in checkpoint):
        raise MissingTensor(f"{shown(checkpoint.path)}: no tensor fits {shown(value)!r}")
    return test


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """An input as data; its hash is over what the headers say: names, dtypes, shapes, ties."""
    source = checkpoint.source
    rows = [[n, s.dtype.name, list(s.shape), source.ties.get(n)] for n, s in source.specs.items()]
    text = json.dumps(rows, separators=(",", ":"))
    return {
        "path": checkpoint.path,
        "format": source.container,
        "dialect": checkpoint.dialect,
        "header_sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def envelope(command: str, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the JSON of every command begins."""
    return {"weightsurgeon_json": JSON_VERSION, "command": command, "inputs": list(inputs)}


def title(given: dict[str, Any]) -> str:
    """An input in a line."""
    dialect = given["dialect"] or "unknown"
    return f"{shown(given['path'])}   {given['format']} · dialect {dialect}"
