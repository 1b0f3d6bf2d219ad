"""Where a layer goes that is one in a dialect and several in another, when there is no mapping.

Keras has a layer for each level, direction and projection, and each knows of which `module` it is
a part; torch has one module with all of them. Rules are made for the layers where both names are
certain; where a name or the form needs a decision that no file tells, the layer is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .names import Pattern
from .rules import Layer


@dataclass
class Placed:
    """Rules for layers that do not simply keep their names, and what is to be said of others.

    layers   names of source layers that these rules take, or that are refused
    refused  reason → layers
    """

    rules: list[Layer] = field(default_factory=list)
    layers: set[str] = field(default_factory=set)
    refused: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rule(self, layer: str, to: str, kind: str, options: Mapping[str, Any]) -> None:
        """One more rule, from a layer of the source to one of the target."""
        here, there = (Pattern(name, (name,) if name else (), {}) for name in (layer, to))
        found = Layer("automatic", 0, True, (here,), (there,), kind, kind, options)
        self.rules.append(found)

    def refuse(self, reason: str, layers: Iterable[str]) -> None:
        """These layers cannot be placed."""
        self.refused.setdefault(reason, []).extend(layers)
