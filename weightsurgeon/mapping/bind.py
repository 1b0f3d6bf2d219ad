"""From a claim to an expression: where a tensor goes, and how it must be moved to lie there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..conventions import axes_of, refusal, sizes_of
from ..conventions.linear import joined
from ..errors import MappingError, SpecError, shown
from ..expr import Expr
from ..formats.base import Meaning
from ..layout import (
    Sizes,
    agree,
    check_axes,
    known_sizes,
    meet,
    refined,
    relayout,
)
from ..notation import expand_spatial
from ..ops.arithmetic import loses
from ..plan import Origin
from ..spec import Axes, TensorSpec
from .claim import Claim, split
from .demands import Demands
from .naming import Naming
from .pasting import Paste, pasted
from .resizing import filtered, resized, solved
from .rules import Layer, Move
from .stated import check_kind, check_rows, check_words, renamed
from .values import NO_VALUES, Values

_OF_ITS_FILE = ("module", "part")  # what a layer is called there says nothing here


class Made(NamedTuple):
    """An output: its name, what it is, why, and the one base tensor that it must fit."""

    name: str
    expr: Expr
    meaning: Meaning
    origin: Origin


class Unheld(SpecError):
    """A layer that the other side cannot hold: all of its tensors are refused with one line."""


@dataclass(frozen=True)
class Binder(Naming):
    """Turns claims into outputs; holds what is the same for all of them."""

    sizes: Mapping[str, int]
    demands: Demands
    keep: bool = False  # the base gives values too
    pastes: Mapping[str, Paste] = field(default_factory=dict)  # by the base's name

    # -- how it gets there -------------------------------------------------------------------

    def bind(self, claim: Claim, name: str) -> Made:
        """The output of a claim.

        Errors: MappingError with the rule's place, the tensor, the values.
        """
        x, wanted = self.source[claim.name], self.wanted(name)
        try:
            if isinstance(claim.rule, Layer):
                moved, meaning = self._by_kind(claim, x, wanted)
            else:
                moved, meaning = self._by_layout(claim, claim.rule, x, name, wanted)  # type: ignore[arg-type]
            asked = getattr(claim.rule, "cast", None)
            if name in self.pastes and self.base is not None and wanted is not None:
                moved = self.demands.in_dtype(moved, wanted, asked, x.spec.dtype)
                base = self.demands.in_dtype(self.base[name], None, moved.spec.dtype.name)
                moved = pasted(moved, base, self.pastes[name])
            self.demands.check(claim.name, moved, wanted)
            moved = self.demands.in_dtype(moved, wanted, asked, x.spec.dtype)
        except SpecError as error:
            ends = self.ends(claim) if isinstance(error, Unheld) else (claim.name, name)
            text = f"{' → '.join(map(shown, ends))}: {error}"
            raise self.refused(claim, error.id, text) from error
        layer, _ = split(name)
        meaning = replace(meaning, layer=layer)
        return Made(name, moved, meaning, self._origin(claim, name, x, moved))

    def _origin(self, claim: Claim, name: str, x: Expr, moved: Expr) -> Origin:
        values: Values = getattr(claim.rule, "values", NO_VALUES)
        class_ = "lossy" if loses(x.spec.dtype, moved.spec.dtype) else values.class_
        action = "pasted" if values.into_base or name in self.pastes else ""
        return Origin(claim.rule.place, (claim.name,), class_, action)

    def wanted(self, name: str) -> TensorSpec | None:
        """The spec of the base's tensor of this name, axes included."""
        return self.base[name].spec if self.base is not None and name in self.base else None

    def refused(self, claim: Claim, id: str, text: str) -> MappingError:
        """A problem of a claim."""
        return claim.rule.refused(id, text, claim.name)

    def _by_layout(
        self, claim: Claim, rule: Move, x: Expr, name: str, wanted: TensorSpec | None
    ) -> tuple[Expr, Meaning]:
        meaning = self.source.meaning(claim.name)
        if rule.layout is None:
            self._same_axes(x, wanted)
            moved = rule.values.computed(x, {}, self.demands.overflow)
            return moved, self._meaning(meaning, x.spec.axes, claim)
        rank = len(x.spec.shape)
        have = expand_spatial(rule.layout.have.axes, rank)
        count = len(have) - len(rule.layout.have.axes) + 1
        want = expand_spatial(rule.layout.want.axes, count=count)
        known = {**known_sizes(have), **known_sizes(want)}
        known |= filtered({**self.sizes, **rule.sizes}, have)
        sizes, grown = resized(rule.values, x.spec, have, want, wanted, known)
        here = meet(have, x.spec)
        there = meet(want, wanted) if wanted is not None else {}
        check_words(have, x.spec)
        check_axes(here, there)
        cropped, sizes = rule.values.resized(x, have, sizes, grown)
        moved = rule.values.computed(
            relayout(cropped, have, want, sizes), sizes, self.demands.overflow
        )
        if rule.values.into_base:
            moved = self.demands.in_dtype(moved, wanted, rule.cast, x.spec.dtype)
            moved = self._in_base(rule, moved, name, want, (sizes, grown))
        axes = renamed(want, {**there, **here})
        return moved.named(axes), self._meaning(meaning, axes, claim)

    def _in_base(
        self, rule: Move, moved: Expr, name: str, want: Axes, sizes: tuple[Sizes, Sizes]
    ) -> Expr:
        """What was moved among the entries of the base's tensor that it does not reach."""
        base = self.base[name] if self.keep and self.in_base(name) and self.base else None
        if base is None:
            raise SpecError("pad: fill: base keeps the values of a base; give --into", "schema")
        return rule.values.pasted(
            moved, self.demands.in_dtype(base, None, moved.spec.dtype.name), want, *sizes
        )

    def _same_axes(self, x: Expr, wanted: TensorSpec | None) -> None:
        """Without a layout nothing moves: both sides must lie alike, and that must be known."""
        theirs = wanted.axes if wanted is not None else None
        if x.spec.axes is not None and theirs is not None:
            if not agree(x.spec.axes, theirs):
                text = f"lies as [{x.spec.axes}], the target as [{theirs}]; give a layout or a kind"
                raise SpecError(text, "axes")
            return
        here, there = self.dialects
        if len(x.spec.shape) >= 2 and here != there:
            ways = " to ".join(d or "an unknown dialect" for d in self.dialects)
            text = f"{x.spec} goes from {ways} and may lie otherwise there"
            raise SpecError(f"{text}; give the rule a layout or a kind", "axes")

    def ends(self, claim: Claim) -> tuple[str, str]:
        """The layer of a claim here and there."""
        return claim.layer, split(self.all_targets(claim)[0])[0]

    def held(self, claim: Claim) -> dict[str, object]:
        """The options of a layer, that both sides can hold.

        Errors: SpecError `kind`, `Unheld` where it is the layer that a side cannot hold.
        """
        kinds = claim.kind, self.target_kind(claim)
        check_kind(self.source.meaning(claim.name), claim.role, kinds)
        options = self.options(claim)
        for kind, dialect in zip(kinds, reversed(self.dialects), strict=True):
            if reason := refusal(kind, options, dialect or ""):
                raise Unheld(reason, "kind")
        return {name: value for name, value in options.items() if name not in _OF_ITS_FILE}

    def _by_kind(self, claim: Claim, x: Expr, wanted: TensorSpec | None) -> tuple[Expr, Meaning]:
        rule, kind = claim.rule, self.target_kind(claim)
        here, there = (d or "" for d in self.dialects)
        options = self.held(claim)
        rank = len(x.spec.shape)
        have = axes_of(claim.kind, claim.role, here, rank, options)
        want_rank = None if wanted is None else len(wanted.shape)
        want = axes_of(kind, claim.role, there, want_rank, options, like=have)
        if rank == 0:  # a counter lies in one way only
            have = want = Axes(())
        if have is None or want is None:
            raise SpecError(self.no_row(claim, kind, rank, have is None), "kind")
        have, want = joined(have, want), joined(want, have)
        have = refined(have, x.spec.axes)  # what the file states of itself wins
        want = refined(want, wanted.axes) if wanted is not None else want
        known = {**self.sizes, **self._told(claim, options), **getattr(rule, "sizes", {})}
        known = filtered(known, have)
        check_rows((have, want), x.spec, wanted)
        if have == want:  # nothing moves: no size is asked for
            moved = x.named(want)
        else:
            moved = relayout(x, have, want, solved(x.spec, have, want, wanted, known))
        meaning = Meaning(claim.role, kind, want, "", options, "file")
        return moved, meaning

    def _told(self, claim: Claim, options: Mapping[str, object]) -> dict[str, int]:
        """Sizes that the options tell; the first half of a separable one is a depthwise one."""
        kind = "depthwise" if claim.role == "depthwise_kernel" else claim.kind
        return sizes_of(kind, options)

    def no_row(self, claim: Claim, kind: str, rank: int, here: bool) -> str:
        """Why a role cannot be moved: its row does not say how it lies on a side."""
        side, dialect = (claim.kind, self.dialects[0]) if here else (kind, self.dialects[1])
        text = f"no row says how the {claim.role} of a {side} lies in {dialect} at rank {rank}"
        return f"{text}; give a template, or from/to rules with a layout"

    def _meaning(self, meaning: Meaning, axes: Axes | None, claim: Claim) -> Meaning:
        return replace(meaning, axes=axes, ground=meaning.ground or "mapping")
