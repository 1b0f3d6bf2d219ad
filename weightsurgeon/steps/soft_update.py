"""soft_update: a target moves a little towards its online twin: Polyak averages, EMA, copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from ..conventions import group_of
from ..errors import MappingError, SpecError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint
from ..ops.arithmetic import cast
from ..ops.blending import lerp, unrounded
from ..ops.reduction import DIFFER
from ..pending import reduction
from ..plan import Check, Draft, Line, Origin, Plan
from ..random_bits import key_of
from ..simplify import simplify
from ..spec import DType, dtype_of
from ..tally import Tally
from .matching import Matched, matched, misfit
from .sides import in_layout_of
from .soft_update_keys import KEYS, SoftUpdate, read
from .treatment import Treatment, treatment
from .work import Work

_DONE = {"soft": "soft", "copy": "copied", "keep": "kept"}


def plan(given: SoftUpdate, work: Work) -> Plan:
    """The plan of a soft update: names matched, each tensor treated as its rule or role says."""
    if given.storage == "stochastic" and work.number is None:
        text_ = "stochastic needs the number of the step: --step, or step= of run"
        raise work.place.refused(f"storage: {text_}", "storage")
    target, history = work.states[given.target], []
    online = work.states[given.online]
    if given.mapping is not None:
        online, made = in_layout_of(target, online, given.mapping, work)
        history.append(made)
    update = _Update(given, work, target, online)
    return update.plan(history)


class _Update:
    def __init__(
        self, given: SoftUpdate, work: Work, target: Checkpoint, online: Checkpoint
    ) -> None:
        self.given, self.work, self.target, self.online = given, work, target, online
        self.draft, self.used = Draft(), set[int]()
        self.origins = dict[str, Origin]()
        self.tallies = dict[str, Tally]()
        self.checks = list[Check]()

    def plan(self, history: Iterable[Plan]) -> Plan:
        treated = {
            name: self._treated(name) for name in self.target if name not in self.target.ties
        }
        needed = [name for name, t in treated.items() if t.action != "keep"]
        found = matched(self.target, self.online, needed, self.given.match, self.work.place)
        outputs = dict[str, Expr]()
        for name, how in treated.items():
            made = self.draft.attempt(partial(self._made, name, how, found))
            if made is not None:
                outputs[name] = simplify(made)
        self._judge_rules()
        self.draft.refuse_if_problems()
        earlier = list(history)
        return Plan(
            outputs=outputs,
            sources=self.work.sources,
            target=self.work.target._replace(dialect=self.target.dialect),
            ties=dict(self.target.ties),
            meanings={n: m for n in outputs if (m := self.target.meaning(n)) is not UNKNOWN},
            origins=self.origins,
            checks=(*(c for p in earlier for c in p.checks), *self.checks),
            lines=(*(x for p in earlier for x in p.lines), *found.lines),
            notes=tuple(x for p in earlier for x in p.notes),
            metadata=dict(self.target.source.metadata),
            mappings=(),
            after=(partial(_stalled, self.tallies, self.given.warn_above),),
        )

    def _names(self, name: str) -> list[str]:
        """All names of a tensor: that under which it is stored, and those tied to it."""
        return [name, *(a for a, b in self.target.ties.items() if b == name)]

    def _treated(self, name: str) -> Treatment:
        how = treatment(self._names(name), self.target, self.given.rules, self.given.roles)
        if how.rule is not None:
            self.used.add(how.rule)
        return how

    def _made(self, name: str, how: Treatment, found: Matched) -> Expr:
        here = self.target[name]
        twins = [n for n in self._names(name) if n in found.names] if how.action != "keep" else []
        action = how.action if twins else "keep"
        why = how.why if twins or how.action == "keep" else "not online"
        self.origins[name] = Origin(why, (name,), action=_DONE[action])
        if action == "keep":
            return here
        there = self._agreed(name, twins)
        wrong = misfit(here.spec, there.spec)
        if wrong:
            text_ = f"{shown(name)}: online {there.spec} does not fit target {here.spec}"
            hint = "; no broadcasting, no reshape: use a mapping"
            raise self.work.place.refused(text_ + hint, id=wrong, names=[name])
        try:
            if action == "copy":
                return self._copied(here, there)
            return self._soft(name, here, there, self.given.tau if how.tau is None else how.tau)
        except SpecError as error:
            text_ = f"{shown(name)}: {error} (`roles` or a rule may say copy or keep)"
            raise self.work.place.refused(text_, id=error.id, names=[name]) from error

    def _agreed(self, name: str, twins: list[str]) -> Expr:
        """The online tensor of a target that may have several names: they must hold one value."""
        first = self.online[twins[0]]
        stored = {self.online.ties.get(n, n): n for n in twins}
        for other in list(stored.values())[1:]:
            text_ = f"{shown(name)} is tied to {shown(other)} in the target, online they differ"
            refused = self.work.place.refused(text_, id="tied", names=[name, other])
            self.checks.append(
                Check(reduction(DIFFER, first, self.online[other]), partial(_always, refused))
            )
        return first

    def _copied(self, here: Expr, there: Expr) -> Expr:
        there = there.named(here.spec.axes)
        return there if there.spec.dtype == here.spec.dtype else cast(there, here.spec.dtype)

    def _soft(self, name: str, here: Expr, there: Expr, tau: Decimal) -> Expr:
        if group_of(self.target.meaning(name).role) == "quant":
            raise SpecError(f"{here.spec} is quantised: dequantise first", "integer")
        tally = self.tallies[name] = Tally()
        made = lerp(
            unrounded(here),
            unrounded(there),
            tau,
            steps=self.given.steps,
            dtype=self._dtype(here.spec.dtype),
            key=self._key(name, here.spec.dtype),
            nonfinite=self.given.nonfinite,
            tally=tally,
        )
        if made.op.name != "lerp":  # tau 0 or 1: bytes of one side, rounded as that side is
            del self.tallies[name]
            return here if tau == 0 or self.given.steps == 0 else self._copied(here, there)
        return made

    def _dtype(self, declared: DType) -> DType:
        small = declared.kind == "float" and declared.bits < 32
        return dtype_of("float32") if self.given.storage == "float32" and small else declared

    def _key(self, name: str, declared: DType) -> int | None:
        if self.given.seed is None or declared.kind != "float" or declared.bits >= 32:
            return None
        return key_of("round", self.given.seed, self.work.number or 0, name)

    def _judge_rules(self) -> None:
        for i in sorted(set(range(len(self.given.rules))) - self.used):
            text_ = "selects no tensor that an earlier rule left"
            self.draft.problem(self.work.place.refused(text_, "rules", i, id="no-match"))


def _always(error: MappingError, result: Any) -> MappingError:
    return error


def _stalled(tallies: Mapping[str, Tally], warn_above: Decimal) -> Iterator[Line]:
    """A warning where too many elements that should have moved did not."""
    moved = lost = 0
    names = []
    for name, tally in tallies.items():
        counts = tally.counts
        stalled = counts.get("stalled", 0)
        apart = stalled + counts.get("changed", 0)
        moved, lost = moved + apart, lost + stalled
        if stalled > warn_above * apart:
            names.append(name)
    if names:
        share = f"{100 * lost / moved:.1f} % of the elements that differ did not move"
        remedy = (
            "a step is under half an ulp; storage: float32 or stochastic, or more steps at once"
        )
        yield Line("stalled", f"{share}: {remedy}", tuple(names))


__all__ = ["KEYS", "plan", "read"]
