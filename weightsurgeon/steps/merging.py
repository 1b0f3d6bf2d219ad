"""How a merge is planned: names matched, integers agreed on, the rest combined by a method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from math import floor
from typing import Any, NamedTuple

from ..errors import MappingError, SpecError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint
from ..ops.blending import unrounded
from ..ops.mixing import difference, mix
from ..ops.norms import INNER
from ..ops.reduction import DIFFER
from ..ops.slerping import COLINEAR, cosine, slerp
from ..pending import Pending, pending, reduction
from ..plan import Check, Draft, Line, Origin, Plan
from ..random_bits import key_of
from ..simplify import simplify
from ..spec import TensorSpec, dtype_of
from .matching import listed, misfit
from .merge_keys import Merge
from .ramps import weights_of
from .ranked import trimmed
from .treatment import group_in
from .work import Work


class Cosine(NamedTuple):
    """What a slerp will know of two tensors when its reductions have run."""

    aa: Pending
    bb: Pending
    ab: Pending


class Merger:
    """The plan of a merge of states that all have the same tensors."""

    def __init__(self, given: Merge, work: Work) -> None:
        self.given, self.work = given, work
        self.states = {alias: work.states[alias] for alias in given.inputs}
        self.base = work.states[given.base] if given.base else None
        self.like = self.base or self.states[given.inputs[0]]
        self.draft = Draft()
        self.checks = list[Check]()
        self.cosines = dict[str, Cosine]()
        self.origins = dict[str, Origin]()

    def plan(self) -> Plan:
        """The plan, or every reason why there is none."""
        stored = [name for name in self.like if name not in self.like.ties]
        shared = self._shared(stored)
        merged = [n for n in stored if n in shared and self._moves(n)]
        weights = self._weights(merged)
        outputs = dict[str, Expr]()
        for name in stored:
            made = self.draft.attempt(partial(self._made, name, name in shared, weights.get(name)))
            if made is not None:
                outputs[name] = simplify(made)
        self.draft.refuse_if_problems()
        return Plan(
            outputs=outputs,
            sources=self.work.sources,
            target=self.work.target._replace(dialect=self.like.dialect),
            ties=dict(self.like.ties),
            meanings={n: m for n in outputs if (m := self.like.meaning(n)) is not UNKNOWN},
            origins=self.origins,
            checks=tuple(self.checks),
            lines=tuple(self.draft.lines),
            metadata=dict(self.like.source.metadata),
            after=(partial(_antiparallel, self.cosines),),
        )

    def _shared(self, stored: Iterable[str]) -> frozenset[str]:
        """The stored names that every state has; the rest is refused, or listed."""
        shared = set(stored)
        for alias, state in self.states.items():
            without = [n for n in stored if self._name_in(state, n) is None]
            extra = [n for n in state if n not in self.like and n not in state.ties]
            shared -= set(without)
            if not (without or extra):
                continue
            parts = [f"{shown(alias)} lacks {listed(without)}"] if without else []
            parts += [f"only {shown(alias)} has {listed(extra)}"] if extra else []
            if self.given.match == "strict":
                text = f"{'; '.join(parts)}; match: intersection keeps and lists them"
                names = [*without, *extra]
                self.draft.problem(self.work.place.refused(text, id="unmatched", names=names))
            else:
                self.draft.line("skipped", "; ".join(parts), (*without, *extra))
        return frozenset(shared)

    def _names(self, name: str) -> list[str]:
        return [name, *(a for a, b in self.like.ties.items() if b == name)]

    def _name_in(self, state: Checkpoint, name: str) -> str | None:
        """Under which of its names a tensor stands in a state."""
        return next((n for n in self._names(name) if n in state), None)

    def _moves(self, name: str) -> bool:
        return self.like[name].spec.dtype.kind in ("float", "complex")

    def _weights(self, names: list[str]) -> dict[str, Mapping[str, Fraction]]:
        """The weights of each tensor: those of the first rule that selects it, else the inputs'."""
        found: dict[str, Mapping[str, Fraction]] = {}
        for i, rule in enumerate(self.given.rules):
            taken = [n for n in names if n not in found and self._selects(rule.test, n)]
            if not taken:
                text = "selects no tensor that an earlier rule left"
                self.draft.problem(self.work.place.refused(text, "rules", i, id="no-match"))
            try:
                found |= weights_of(taken, rule, self.given.inputs, self.given.weights)
            except ValueError as error:
                self.draft.problem(self.work.place.refused(str(error), "rules", i, names=taken))
        return {name: found.get(name, self.given.weights) for name in names}

    def _selects(self, test: Any, name: str) -> bool:
        like = self.like
        return any(test(n, like[n].spec, like.meaning(n)) for n in self._names(name))

    def _made(self, name: str, shared: bool, weights: Mapping[str, Fraction] | None) -> Expr:
        here = self.like[name]
        self.origins[name] = Origin("", (name,), action="kept")
        if not shared:
            return here
        inputs = {a: self._input(a, state, name) for a, state in self.states.items()}
        if weights is None:
            return self._agreed(name, inputs)
        if group_in(self.like, name)[0] == "quant":
            raise self._refused(name, f"{here.spec} is quantised: dequantise first", "integer")
        told = ", ".join(f"{alias} {_text(w)}" for alias, w in weights.items())
        how = f"t {self.given.t}" if self.given.method == "slerp" else told
        self.origins[name] = Origin(f"{self.given.method}: {how}", (name,), action="merged")
        try:
            if self.given.method == "slerp":
                return self._slerped(name, *inputs.values())
            return self._mixed(name, list(inputs.values()), weights)
        except SpecError as error:
            raise self._refused(name, str(error), error.id) from error

    def _input(self, alias: str, state: Checkpoint, name: str) -> Expr:
        """A tensor of an input, as it fits the one that it is merged into."""
        there = state[self._name_in(state, name) or name]
        wrong = misfit(self.like[name].spec, there.spec)
        if wrong:
            text = f"{shown(alias)} has {there.spec}, not {self.like[name].spec}"
            raise self._refused(name, text, wrong)
        return unrounded(there)

    def _agreed(self, name: str, inputs: Mapping[str, Expr]) -> Expr:
        """Integers and bools: copied from one input, or the same in all."""
        chosen = self.given.integers
        if chosen is not None:
            self.origins[name] = Origin(f"integers: from {shown(chosen)}", (name,), action="copied")
            return inputs[chosen]
        first, *others = inputs.items()
        for alias, other in others:
            text = f"{shown(first[0])} and {shown(alias)} differ: integers must agree"
            refused = self._refused(name, f"{text}, or integers: {{from: …}}", "integer")
            check = partial(_always, refused)
            try:
                self.checks.append(Check(reduction(DIFFER, first[1], other), check))
            except SpecError as error:
                raise self._refused(name, str(error), "integer") from error
        self.origins[name] = Origin("integers: they agree", (name,), action="copied")
        return first[1]

    def _mixed(self, name: str, inputs: list[Expr], weights: Mapping[str, Fraction]) -> Expr:
        given, base = self.given, self.base
        keys, start = None, None if base is None else unrounded(base[name])
        if given.method == "dare":
            step = self.work.number or 0
            keys = [key_of(f"dare:{alias}", given.seed, step, name) for alias in self.states]
        made = mix(
            inputs,
            list(weights.values()),
            base=start,
            scale=given.scale,
            normalize=given.normalize,
            density=given.density,
            keys=keys,
            trims=[] if given.method != "ties" or start is None else self._trims(inputs, start),
            elect=given.elect,
            dtype=self.like[name].spec.dtype,
        )
        return made.named(self.like[name].spec.axes)

    def _trims(self, inputs: Iterable[Expr], base: Expr) -> list[tuple[Expr, Expr]]:
        """What of each input's differences is too small to be kept, as a rank of them tells it."""
        keep = floor((self.given.density or Fraction(1)) * base.spec.size)
        return [trimmed(difference(x, base), keep) for x in inputs]

    def _slerped(self, name: str, a: Expr, b: Expr) -> Expr:
        t, dtype = self.given.t, self.like[name].spec.dtype
        if t in (0, 1):
            from ..ops.arithmetic import cast

            side = self.states[self.given.inputs[int(t)]]
            kept = side[self._name_in(side, name) or name]
            return kept if kept.spec.dtype == dtype else cast(kept, dtype)
        sums = [Pending(reduction(INNER, x, y)) for x, y in ((a, a), (b, b), (a, b))]
        scalar = TensorSpec(dtype_of("float64"), ())
        made = slerp(a, b, [pending(s, "value", scalar) for s in sums], t, dtype)
        self.cosines[name] = Cosine(*sums)
        return made.named(self.like[name].spec.axes)

    def _refused(self, name: str, text: str, id: str) -> MappingError:
        return self.work.place.refused(f"{shown(name)}: {text}", id=id, names=[name])


def _always(error: MappingError, result: Any) -> MappingError:
    return error


def _text(weight: Fraction) -> str:
    return f"{float(weight):g}"


def _antiparallel(cosines: Mapping[str, Cosine]) -> Iterator[Line]:
    """Tensors that point in opposite directions: between them there is no one arc."""
    names = [
        name
        for name, found in cosines.items()
        if all(p.ready for p in found) and cosine(*(p.result.value for p in found)) < -COLINEAR
    ]
    if names:
        yield Line("antiparallel", "opposite directions, interpolated linearly", tuple(names))
