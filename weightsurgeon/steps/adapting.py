"""Adapters merged into their base: each kernel they adapt gets its low-rank update, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import partial

from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..ops.arithmetic import cast
from ..ops.blending import unrounded
from ..ops.low_rank import Factors, low_rank
from ..ops.movement import reshape
from ..plan import Origin
from .adapters import Adapter, adapter_of, factors_of
from .matching import listed
from .merge_keys import Merge
from .merging import Merger
from .treatment import group_in
from .work import Work


class Adapting(Merger):
    """The plan of a merge of adapters: every name, tie and dtype is the base's."""

    def __init__(self, given: Merge, work: Work) -> None:
        super().__init__(given, work)
        self.adapters = dict[str, Adapter]()
        for alias, state in self.states.items():
            found = self.draft.attempt(partial(self._read, alias, state))
            if found is not None:
                self.adapters[alias] = found
        self.draft.refuse_if_problems()

    def _read(self, alias: str, state: Checkpoint) -> Adapter:
        try:
            return adapter_of(state)
        except SpecError as error:
            raise self.work.place.refused(f"{shown(alias)}: {error}", id=error.id) from error

    def _shared(self, stored: Iterable[str]) -> frozenset[str]:
        """What an adapter touches, under the stored name; what the base lacks is refused."""
        touched: dict[str, dict[str, list[str]]] = {}
        for alias, adapter in self.adapters.items():
            absent = []
            for name in (*adapter.pairs, *adapter.replaced):
                if name not in self.like:
                    absent.append(name)
                    continue
                mine = touched.setdefault(self.like.ties.get(name, name), {})
                mine.setdefault(alias, []).append(name)
            if absent:
                text = f"the base lacks {listed(absent)}, which {shown(alias)} adapts"
                if self.given.match == "strict":
                    error = self.work.place.refused(text, id="unmatched", names=absent)
                    self.draft.problem(error)
                else:
                    self.draft.line("skipped", text, tuple(absent))
        self.touched = touched
        return frozenset(touched)

    def _made(self, name: str, shared: bool, weights: Mapping[str, Fraction] | None) -> Expr:
        here = self.like[name]
        self.origins[name] = Origin("", (name,), action="kept")
        if not shared:
            return here
        by = self.touched[name]
        twice = [alias for alias, names in by.items() if len(names) > 1]
        if twice:
            both = listed(by[twice[0]])
            text = f"{shown(twice[0])} adapts it under two names: {both}"
            raise self._refused(name, text, "tied")
        told = ", ".join(f"{alias} {float((weights or {}).get(alias, 1)):g}" for alias in by)
        self.origins[name] = Origin(f"lora: {told}", (name,), action="merged")
        try:
            return self._adapted(name, here, {a: n[0] for a, n in by.items()}, weights or {})
        except SpecError as error:
            raise self._refused(name, str(error), error.id) from error

    def _adapted(
        self, name: str, here: Expr, by: Mapping[str, str], weights: Mapping[str, Fraction]
    ) -> Expr:
        updates = []
        for alias, as_named in by.items():
            adapter = self.adapters[alias]
            if as_named in adapter.replaced:
                if len(by) > 1:
                    raise SpecError(f"{shown(alias)} replaces what others adapt")
                self.origins[name] = Origin(f"lora: {alias}", (name,), action="replaced")
                return _replacing(here, adapter.replaced[as_named])
            updates.append(self._update(name, here, as_named, adapter, weights.get(alias)))
        if group_in(self.like, name)[0] == "quant":
            raise SpecError(f"{here.spec} is quantised: dequantise first", "integer")
        shape = here.spec.shape
        wide = reshape(unrounded(here), (shape[0], here.spec.size // max(shape[0], 1)))
        made = reshape(low_rank(wide, updates, here.spec.dtype), shape)
        return made.named(here.spec.axes)

    def _update(
        self, name: str, here: Expr, as_named: str, adapter: Adapter, weight: Fraction | None
    ) -> Factors:
        if len(here.spec.shape) < 2:
            raise SpecError(f"{here.spec} is no kernel", "shape")
        scale = self.given.scale * (Fraction(1) if weight is None else weight)
        return factors_of(here.spec, as_named, adapter, scale)


def _replacing(here: Expr, there: Expr) -> Expr:
    if there.spec.shape != here.spec.shape:
        raise SpecError(f"{there.spec} does not fit {here.spec}", "shape")
    there = there.named(here.spec.axes)
    return there if there.spec.dtype == here.spec.dtype else cast(there, here.spec.dtype)
