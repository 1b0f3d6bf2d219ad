"""A file becomes a Checkpoint: what its bytes say, joined with what the rows know of layers.

Roles and axes come from our own metadata in the file, else from what the file says of its layers,
by the rows of `conventions`; what neither tells stays unknown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .conventions import describe
from .formats import boundary, open_source
from .formats import open_readable as readable
from .formats.base import Checkpoint, Limits, Source
from .formats.live import Live, open_live
from .neutral import dialect_of, meanings_of, ties_of


def open_checkpoint(
    path: str | os.PathLike[str] | Live, dialect: str | None = None, limits: Limits | None = None
) -> Checkpoint:
    """Open a file by its content, or a live model; `dialect` overrides what it says of itself.

    Errors: FormatError for whatever is wrong with the file or model.
    """
    if not isinstance(path, str | os.PathLike):
        return _joined(open_live(path), None)
    source = open_source(os.fspath(path), limits)
    try:
        return boundary(source.path, lambda: _joined(source, dialect))
    except BaseException:
        source.close()
        raise


def open_readable(path: str | os.PathLike[str]) -> tuple[Checkpoint, list[Any]]:
    """A checkpoint to be looked at only: of a set of shards what can be read, and its flaws.

    Errors: those of `open_checkpoint` where nothing can be read.
    """
    source, flaws = readable(os.fspath(path))
    try:
        return boundary(source.path, lambda: _joined(source, None)), flaws
    except BaseException:
        source.close()
        raise


def _joined(source: Source, dialect: str | None) -> Checkpoint:
    grounds = ((dialect, "stated"), (dialect_of(source), "metadata"), (source.dialect, "file"))
    found, ground = next((g for g in grounds if g[0]), (None, ""))
    if found is None:
        found = infer_dialect(source.specs)
        ground = "inferred" if found else ""
    for name, stored in ties_of(source).items():
        source.specs[name], source.ties[name] = source.specs[stored], stored
    meanings = {**describe(found, source.slots, source.specs), **meanings_of(source)}
    return Checkpoint(source, meanings, found, ground)


_OF_TORCH = {
    *("weight", "running_mean", "in_proj_weight", "weight_hh", "weight_hh_l0"),
    *("weight_g", "weight_orig", "original", "original0"),
}


def infer_dialect(names: Iterable[str]) -> str | None:
    """The dialect that all names speak, if their separators and leaves leave no doubt.

    >>> infer_dialect(["conv1.weight", "conv1.bias"])
    'torch'
    """
    slashed, dotted = set[str](), set[str]()
    for name in names:
        if "/" in name:
            slashed.add(name.rpartition("/")[2])
        elif "." in name:
            dotted.add(name.rpartition(".")[2])
    if slashed & {"kernel", "gamma", "embeddings", "moving_mean"} and not dotted:
        return "keras"
    if dotted & _OF_TORCH and not slashed:
        return "torch"
    return None
