"""Which layer of one model stands for which of the other: by the tensors that are mapped.

Tensors of a cell stand for the recurrent layer they are in; projections for themselves, or for
the whole attention where the other side has it as one layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..formats.base import Checkpoint, Meaning

Names = tuple[str, str]  # a tensor of ours, one of theirs
_CELLS = ("rnn", "lstm", "gru", "convlstm")


class Pair(NamedTuple):
    """A layer of each model, and the tensors of theirs with those of ours they are from."""

    a: str
    b: str
    tensors: tuple[Names, ...]


def layer_pairs(names: Iterable[Names], a: Checkpoint, b: Checkpoint) -> list[Pair]:
    """The pairs of layers, in the order of the tensors."""
    found = {(x, y): (_layer(a, x), _layer(b, y)) for x, y in names}
    ours = _wholes(found.values(), a)
    theirs = _wholes([(y, x) for x, y in found.values()], b)
    pairs: dict[Names, list[Names]] = {}
    for tensors, (x, y) in found.items():
        key = ours.get((x, y), x), theirs.get((y, x), y)
        pairs.setdefault(key, []).append(tensors)
    return [Pair(*key, tuple(tensors)) for key, tensors in pairs.items()]


def _layer(side: Checkpoint, name: str) -> str:
    meaning = side.meaning(name)
    if meaning.layer or meaning.kind:
        return _whole(meaning) if meaning.kind in _CELLS else meaning.layer
    return name.rpartition("/" if "/" in name else ".")[0]


def _whole(meaning: Meaning) -> str:
    return str(meaning.options.get("module", meaning.layer))


def _wholes(pairs: Iterable[Names], side: Checkpoint) -> Mapping[Names, str]:
    """Parts of one layer that stand for one layer of the other side: the layer they are of."""
    whole = {m.layer: _whole(m) for m in side.meanings.values()}
    together: dict[Names, set[Names]] = {}
    for x, y in pairs:
        together.setdefault((whole.get(x, x), y), set()).add((x, y))
    return {p: key[0] for key, parts in together.items() if len(parts) > 1 for p in parts}
