"""What no right checkpoint holds, whatever it is compared with: signs of roles that were swapped.

A mapping that takes a variance for a mean finds equal values on both sides. So what each tensor
shall be is held against its values. Findings are told; they make nothing unequal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .conventions import group_of
from .errors import shown
from .formats.base import Checkpoint
from .ops.positive import NEGATIVE
from .pending import Reduction, reduction
from .plan import Line, Plan

_SIGNED = ("variance", "gamma")
_MOSTLY = 3  # a gamma of which a third is below 0 is none: half of a beta or a mean is


def looked_at(b: Checkpoint, names: Mapping[str, Any]) -> dict[str, Reduction]:
    """The reductions to run beside the comparison, by name: one over each that has a sign."""
    return {
        name: reduction(NEGATIVE, b[name])
        for name in names
        if b.meaning(name).role in _SIGNED and b[name].spec.dtype.kind == "float"
    }


def findings(plan: Plan, b: Checkpoint, counted: Mapping[str, Any]) -> Iterator[Line]:
    """What is odd: negative variances, gammas mostly negative, counters of fractions, lost ties."""
    for name, found in counted.items():
        role, size = b.meaning(name).role, b[name].spec.size
        if role == "variance" and found.count:
            at = f"{found.count:,} of {size:,} are below 0, the first at {found.first}"
            yield Line("variance", f"{shown(name)}: {at}: is it a mean or a beta?", (name,))
        if role == "gamma" and found.count * _MOSTLY >= size > 0:
            at = f"{found.count:,} of {size:,} are below 0"
            yield Line("gamma", f"{shown(name)}: {at}: is it a beta or a mean?", (name,))
    for name in (n for n in plan.outputs if n in b):
        kind = b[name].spec.dtype.kind
        if group_of(b.meaning(name).role) == "counter" and kind not in ("int", "uint"):
            text = f"{shown(name)}: counts in {b[name].spec.dtype.name}"
            yield Line("counter", text, (name,))
    for other, name in plan.ties.items():
        if other in b and b.ties.get(other, other) != b.ties.get(name, name):
            text = f"{shown(other)} and {shown(name)} are one tensor here and two there"
            yield Line("tied", text, (other, name))
