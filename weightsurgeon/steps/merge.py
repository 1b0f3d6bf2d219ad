"""merge: one checkpoint of several: sums, means, task vectors, spheres; adapters into a base."""

from __future__ import annotations

from ..plan import Plan
from .adapting import Adapting
from .merge_keys import KEYS, Merge, read
from .merging import Merger
from .work import Work

__all__ = ["KEYS", "plan", "read"]


def plan(given: Merge, work: Work) -> Plan:
    """The plan of a merge: of states of the same names, or of adapters into their base."""
    return (Adapting if given.method == "lora" else Merger)(given, work).plan()
