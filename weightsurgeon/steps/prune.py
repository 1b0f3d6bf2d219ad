"""prune: the smallest weights become zero, exactly as many as asked for, under masks if wanted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path as FilePath
from typing import NamedTuple

from ..errors import SpecError, shown
from ..expr import Expr
from ..formats import container_of
from ..formats.base import Checkpoint, Meaning
from ..mapping.derived import as_it_is
from ..ops.blending import unrounded
from ..ops.masking import as_mask, finite_or_zero, masked, packed, unpacked
from ..ops.reduction import NOT_FINITE, Found
from ..pending import reduction_over
from ..plan import Check, Finding, Line, Origin, Plan, Target
from ..tally import Tally
from .folding import fold, halves
from .prune_keys import KEYS, Pruning, read
from .ranked import Ranked, ranked, unit_size
from .selection import prunable
from .work import Work

__all__ = ["KEYS", "plan", "read"]


class Made(NamedTuple):
    """The tensors that are pruned, their masks, and what is checked and found on the way."""

    tensors: dict[str, Expr]
    masks: dict[str, Expr]
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()


def plan(given: Pruning, work: Work) -> Plan:
    """The plan of a prune: a state with some of its tensors masked."""
    state = work.states[given.source]
    base = as_it_is(state, work.sources)
    base = replace(base, target=work.target._replace(dialect=state.dialect))
    if given.masks.apply == "embedded":
        return fold(base, work)
    if unfolded := halves(list(base.outputs)):
        text = f"{shown(unfolded[0])} is pruned and not folded yet: first mask: {{apply: embedded}}"
        raise work.place.refused(text, names=unfolded)
    made = _made(given, work, state)
    outputs = dict(base.outputs)
    origins = dict(base.origins)
    for name, x in made.tensors.items():
        outputs[name] = masked(x, made.masks[name], Tally()).named(x.spec.axes)
        origins[name] = Origin(str(work.place), (name,), action="pruned")
    beside = (_mask_plan(given, work, made),) if given.masks.write else ()
    found = replace(base, outputs=outputs, origins=origins, checks=made.checks, beside=beside)
    lines = (*(line for other in beside for line in other.lines), *_unlike(given, made))
    tallies = {n: (outputs[n].params["tally"], x.spec.size) for n, x in made.tensors.items()}
    told = replace(found, findings=made.findings, lines=lines)
    return replace(told, after=(*base.after, lambda: _mostly_zero(tallies)))


def _unlike(given: Pruning, made: Made) -> Iterator[Line]:
    """Sums over units grow with their size: ranked as one, the small units go first."""
    units = given.units
    if units is None or given.scope != "global" or units.norm not in ("l1", "l2"):
        return
    sizes = {n: unit_size(units, x) for n, x in made.tensors.items()}
    if len(set(sizes.values())) > 1:
        text = f"units of different size are ranked by {units.norm}, which grows with their size"
        yield Line("unlike-units", f"{text}; mean and rms do not", tuple(sizes))


def _mostly_zero(tallies: Mapping[str, tuple[Tally, int]]) -> Iterator[Line]:
    """Tensors of which next to nothing is left."""
    shares = {n: (tally.counts.get("zeros", 0), size) for n, (tally, size) in tallies.items()}
    found = tuple(n for n, (zeros, size) in shares.items() if size and zeros >= 0.99 * size)
    if found:
        yield Line("mostly-zero", "99 % and more of these are zero", found)


def _made(given: Pruning, work: Work, state: Checkpoint) -> Made:
    names = prunable(given, work, state)
    tensors = {name: state[name] for name in names}
    if given.masks.apply is not None:
        there = work.states[given.masks.apply]
        return Made(tensors, {n: _applied(there, n, x, work) for n, x in tensors.items()})
    checks = []
    if given.nonfinite == "error":
        checks.append(_finite(tensors, work, "is not finite; nonfinite: keep | zero goes on"))
    exact = {n: unrounded(x).named(x.spec.axes) for n, x in tensors.items()}  # what is ranked
    if given.nonfinite == "zero":
        tensors = {n: finite_or_zero(x) for n, x in tensors.items()}
        exact = {n: finite_or_zero(x) for n, x in exact.items()}
    scores = None
    if given.scores is not None:
        scores = _scores(work.states[given.scores], tensors, work)
        checks.append(_finite(scores, work, "is a score that is not finite"))
    found: Ranked = ranked(given, work, exact, scores)
    return Made(tensors, found.masks, tuple(checks), found.findings)


def _finite(tensors: dict[str, Expr], work: Work, text: str) -> Check:
    """Refuse what cannot be ranked, with its name and index."""

    def refused(found: Found) -> SpecError:
        import numpy as np

        at = found.first or 0
        ends = list(accumulate(x.spec.size for x in tensors.values()))
        name = list(tensors)[which := bisect_right(ends, at)]
        at -= ends[which] - tensors[name].spec.size
        index = [int(i) for i in np.unravel_index(at, tensors[name].spec.shape)]
        more = f" ({found.count} are not)" if found.count > 1 else ""
        return SpecError(f"{work.place}: {shown(name)} at {index} {text}{more}", "nonfinite")

    parts = [(x,) for x in tensors.values()]
    return Check(reduction_over(NOT_FINITE, parts), refused)


def _scores(there: Checkpoint, tensors: dict[str, Expr], work: Work) -> dict[str, Expr]:
    """The score of each tensor, by its name."""
    missing = [name for name in tensors if name not in there]
    if missing:
        text = f"{len(missing)} tensors have no score: {', '.join(map(shown, missing[:5]))}"
        raise work.place.refused(text, "score", id="unmatched-source", names=missing)
    for name, x in tensors.items():
        if there[name].spec.shape != x.spec.shape:
            text = f"{shown(name)}: the score is {there[name].spec}, the tensor {x.spec}"
            raise work.place.refused(text, "score", id="shape", names=[name])
    return {name: there[name] for name in tensors}


# -- masks -----------------------------------------------------------------------------------


def _applied(there: Checkpoint, name: str, x: Expr, work: Work) -> Expr:
    """The stored mask of a tensor, packed or not."""
    if name not in there:
        text = f"{shown(name)} has no mask in {shown(there.path)}"
        raise work.place.refused(text, "mask", id="unmatched-source", names=[name])
    mask = there[name]
    if mask.spec.shape == x.spec.shape:
        return as_mask(mask)
    if mask.spec.dtype.name == "uint8" and mask.spec.shape == (-(-x.spec.size // 8),):
        return unpacked(mask, x.spec.shape)
    text = f"{shown(name)}: the mask {mask.spec} does not fit {x.spec}"
    raise work.place.refused(text, "mask", id="shape", names=[name])


def _mask_plan(given: Pruning, work: Work, made: Made) -> Plan:
    """The file of masks: 1 is kept; one element is stored as a bool, as its byte would be both."""
    folder = FilePath(work.place.document.file).parent
    path = str(folder / str(given.masks.write))
    outputs, meanings = dict[str, Expr](), dict[str, Meaning]()
    for name, mask in made.masks.items():
        small = mask.spec.size <= 1 or not given.masks.packed
        outputs[name] = mask if small else packed(mask)
        pack = {"order": "high first", "shape": list(mask.spec.shape), "type": "bool"}
        meanings[name] = Meaning("weight_mask", options={} if small else {"pack": pack})
    target = Target(path, container_of(path))
    lines = (Line("masks", f"{len(outputs)} masks in {shown(path)}"),)
    return Plan(outputs, work.sources, target, meanings=meanings, checks=made.checks, lines=lines)
