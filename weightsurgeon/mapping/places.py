"""Which tensor of a layer a leaf is, as the rows of its kind call them; it may have captures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..conventions import leaves
from .names import Capture, Captures, Pattern
from .tokens import parse


class Place(NamedTuple):
    """A role of a kind, in which of its layers it stands, and which of its tensors it is."""

    role: str
    part: int
    cell: int


class Places:
    """The leaves of a kind in a dialect, for one rule; `known` are the captures of its names."""

    def __init__(
        self, kind: str, dialect: str, options: Mapping[str, Any], known: Mapping[str, Capture]
    ) -> None:
        self._exact = dict[tuple[int, str], list[Place]]()
        self._read = list[tuple[int, Pattern, Place]]()
        for role, leaf in leaves(kind, dialect, options).items():
            for cell, names in enumerate(leaf.cells):
                for name in names:
                    self._add(name, Place(role, leaf.part, cell), known)
        found = {depth for depth, _ in self._exact} | {depth for depth, _, _ in self._read}
        self.depths = sorted(found, reverse=True)

    def _add(self, name: str, place: Place, known: Mapping[str, Capture]) -> None:
        text = name.replace("/", ".")
        depth = text.count(".") + 1
        if "{" in name:
            self._read.append((depth, parse(name, {}, known), place))
        else:
            self._exact.setdefault((depth, text), []).append(place)

    def find(self, depth: int, leaf: str) -> Iterator[tuple[Place, Captures]]:
        """What a leaf of so many segments may be, with what its captures read."""
        for place in self._exact.get((depth, leaf.replace("/", ".")), ()):
            yield place, {}
        for n, pattern, place in self._read:
            captures = pattern.match(leaf) if n == depth else None
            if captures is not None:
                yield place, captures
