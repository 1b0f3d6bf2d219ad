"""cast: floats rounded to another float dtype, once, at the end of the plan; all else as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..expr import Expr
from ..formats.base import Checkpoint
from ..grouping import grouped
from ..mapping.checks import anything, one_of, text
from ..mapping.derived import as_it_is
from ..mapping.schema import Key, Table
from ..mapping.select import Test, selector
from ..ops.arithmetic import cast, loses
from ..plan import Line, Origin, Plan
from ..simplify import simplify
from ..spec import DType, dtype_of
from ..tally import Tally
from .reading import Reading
from .work import Work

KEYS: Table = {
    "from": Key(text),
    "dtype": Key(text),
    "select": Key(anything, None),
    "exclude": Key(anything, None),
    "overflow": Key(one_of("error", "inf", "clamp"), "error"),
    "as": Key(text),
}


class Cast(NamedTuple):
    """What a cast's keys say; no `select` means every float."""

    source: str
    dtype: DType
    select: Test | None
    exclude: Test | None
    overflow: str


def read(step: Reading) -> Cast | None:
    """The keys of a cast: a float dtype, selectors."""
    m = step.keys
    step.state("from")
    tests = [
        step.attempt(selector, m[key], at=(key,)) if m[key] is not None else None
        for key in ("select", "exclude")
    ]
    dtype = step.attempt(dtype_of, m["dtype"], at=("dtype",)) if m["dtype"] else None
    if dtype is None:
        return None
    if dtype.kind != "float" or dtype.bits < 8:
        step.refuse(f"wants a float of a byte or more, not {dtype}", "dtype")
    return Cast(m["from"], dtype, tests[0], tests[1], m["overflow"])


def plan(given: Cast, work: Work) -> Plan:
    """The state with the selected floats rounded.

    Errors: MappingError `dead-rule` where no float is selected.
    """
    state = work.states[given.source]
    whole = as_it_is(state, work.sources)
    chosen = [name for name in whole.outputs if _selected(given, name, state)]
    floats = [n for n in chosen if _castable(whole.outputs[n])]
    if not floats:
        text_ = f"selects no float: {len(chosen)} of {len(whole.outputs)} tensors, none of a byte"
        raise work.place.refused(f"{text_} or more", "select", id="dead-rule")
    _refuse_excluded(given, state, work)
    outputs, origins = dict(whole.outputs), dict(whole.origins)
    rounded = list[str]()
    for name in floats:
        x = outputs[name]
        if x.spec.dtype == given.dtype:
            continue
        lossy = loses(x.spec.dtype, given.dtype)
        rounded += [name] if lossy else []
        outputs[name] = simplify(cast(x, given.dtype, given.overflow, Tally() if lossy else None))
        origins[name] = Origin(str(work.place), (name,), "lossy" if lossy else "exact")
    lines = [Line("lossy-cast", f"rounded to {given.dtype}", tuple(rounded))] if rounded else []
    if given.select is not None and (left := tuple(n for n in chosen if n not in floats)):
        lines.append(Line("kept", "selected, but no floats: copied", left))
    return replace(whole, outputs=outputs, origins=origins, lines=(*whole.lines, *lines))


def _castable(x: Expr) -> bool:
    """Whether a tensor is one of floats that can be computed with."""
    return x.spec.dtype.kind == "float" and x.spec.dtype.bits >= 8


def _selected(given: Cast, name: str, state: Checkpoint) -> bool:
    """Whether one of a tensor's names is selected, and none excluded."""
    names = [name, *(other for other, stored in state.ties.items() if stored == name)]
    facts = [(n, state[n].spec, state.meaning(n)) for n in names]
    if given.exclude is not None and any(given.exclude(*f) for f in facts):
        return False
    return given.select is None or any(given.select(*f) for f in facts)


def _refuse_excluded(given: Cast, state: Checkpoint, work: Work) -> None:
    """An `exclude` that excludes nothing was misspelt."""
    test = given.exclude
    if test is not None and not any(test(n, state[n].spec, state.meaning(n)) for n in state):
        labels = ", ".join(g.label for g in grouped(state)[:3])
        raise work.place.refused(
            f"matches no tensor; there are {labels}", "exclude", id="dead-rule"
        )
