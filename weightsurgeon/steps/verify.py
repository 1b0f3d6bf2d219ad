"""verify: refuse to commit what breaks an N:M pattern; the first offending group is named."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..errors import SurgeryError, shown
from ..expr import Expr
from ..mapping.checks import anything, flag, one_of, text
from ..mapping.derived import as_it_is
from ..mapping.schema import Key, Table
from ..mapping.select import Test, selector
from ..ops.keeping import kept_of
from ..ops.reduction import BEYOND, Found
from ..pending import reduction
from ..plan import Check, Line, Plan
from .prune_keys import Pattern, pattern_of
from .ranked import axis_at, whole_groups
from .reading import Reading
from .selection import prunable
from .work import Work

KEYS: Table = {
    "from": Key(text),
    "nm": Key(text),
    "axis": Key(text),
    "select": Key(anything, {"role": "kernel"}),
    "exclude": Key(anything, None),
    "optional": Key(flag, False),
    "ragged": Key(one_of("error", "keep"), "error"),
}


class Verifying(NamedTuple):
    """What a verify's keys say."""

    source: str
    pattern: Pattern
    select: Test
    exclude: Test | None
    roles: bool
    optional: bool
    ragged: bool


def read(step: Reading) -> Verifying | None:
    """The keys of a verify; None where some are wrong, which is remembered."""
    m = step.keys
    step.state("from")
    select = step.attempt(selector, m["select"], at=("select",))
    exclude = None
    if m["exclude"] is not None:
        exclude = step.attempt(selector, m["exclude"], at=("exclude",))
    pattern = pattern_of(step, m)
    if select is None or pattern is None:
        return None
    roles = isinstance(m["select"], dict) and "role" in m["select"]
    ragged = m["ragged"] == "keep"
    return Verifying(m["from"], pattern, select, exclude, roles, m["optional"], ragged)


def plan(given: Verifying, work: Work) -> Plan:
    """The plan of a verify: the state as it is, and a check for each tensor."""
    state = work.states[given.source]
    names = prunable(given, work, state)
    checks = tuple(_check(given, work, name, state[name]) for name in names)
    nm = f"{given.pattern.most}:{given.pattern.group}"
    line = Line("verified", f"at most {nm} along {given.pattern.axis}", tuple(names))
    return replace(as_it_is(state, work.sources), checks=checks, lines=(line,))


def _check(given: Verifying, work: Work, name: str, x: Expr) -> Check:
    """No value beyond the pattern may be other than zero."""
    pattern = given.pattern
    axis = axis_at(work, name, x, pattern.axis, "axis")
    whole_groups(given.ragged, work, name, x, axis, pattern)
    mask = kept_of(x, axis, pattern.most, pattern.group)

    def refused(found: Found) -> SurgeryError:
        import numpy as np

        index = [int(i) for i in np.unravel_index(found.first or 0, x.spec.shape)]
        index[axis] //= pattern.group
        text = f"{shown(name)}: group {index} has more than {pattern.most} non-zeros"
        more = f"; {found.count} values are beyond the pattern" if found.count > 1 else ""
        return work.place.refused(f"{text}{more}", id="pattern", names=[name])

    return Check(reduction(BEYOND, x, mask), refused)
