"""What a mapping is once it has been read: frozen rules without any run state."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ..errors import MappingError
from ..notation import Layout
from .names import Pattern
from .select import Test
from .values import NO_VALUES, Values

Sizes = MappingOf[str, int]


@dataclass(frozen=True)
class Rule:
    """What every form has: where it stands, and whether it may match nothing."""

    file: str = ""
    line: int = 0
    optional: bool = False
    alias: str = field(default="", kw_only=True)  # of the source it reads, where there are several

    @property
    def place(self) -> str:
        """`file:line`, for reports."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def refused(self, id: str, text: str, *names: str) -> MappingError:
        """A problem of this rule."""
        return MappingError(id, text, self.file, self.line, names)


@dataclass(frozen=True)
class Move(Rule):
    """`from` + `to`: tensors go to other names, in another layout, with other values.

    `sources` and `targets` are one pattern each, or as many as the list has. `over` names the axes
    that run over tensors here and there: "" for the list, the captures that gather or scatter.
    `ranges` pins captures to lo..hi; None lets the counts of groups differ.
    """

    sources: tuple[Pattern, ...] = ()
    targets: tuple[Pattern, ...] = ()
    layout: Layout | None = None
    sizes: Sizes = field(default_factory=dict)
    values: Values = NO_VALUES
    cast: str | None = None
    when: Test | None = None
    over: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    parts: MappingOf[str, tuple[int | str | None, ...]] = field(default_factory=dict)
    repeat: Sizes = field(default_factory=dict)
    sums: tuple[str, ...] = ()
    ranges: MappingOf[str, tuple[int, int] | None] = field(default_factory=dict)

    @property
    def source(self) -> Pattern:
        """The first pattern of names here."""
        return self.sources[0]

    @property
    def target(self) -> Pattern:
        """The first pattern of names there."""
        return self.targets[0]

    @property
    def many(self) -> bool:
        """Whether it does more than to move one tensor to one place."""
        return any(self.over) or bool(self.parts or self.repeat or self.sums)


@dataclass(frozen=True)
class Layer(Rule):
    """`layer` + `to` + `kind`: all tensors of a layer, as the rows of its kind say.

    `sources` and `targets` are one pattern each, or two where a dialect makes two layers of it.
    """

    sources: tuple[Pattern, ...] = ()
    targets: tuple[Pattern, ...] = ()
    kind: str = "auto"
    target_kind: str = "auto"
    options: MappingOf[str, Any] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)
    roles: MappingOf[str, str | Pattern] = field(default_factory=dict)
    eps: tuple[Fraction, Fraction] | None = None
    fold_into: Pattern | None = None
    level: Pattern | None = None  # where `options` tell it by captures
    when: Test | None = None


@dataclass(frozen=True)
class Drop(Rule):
    """`drop`: source tensors that are claimed and not used; `equal_to` must hold, bit for bit."""

    select: Test = None  # type: ignore[assignment]
    text: str = ""
    equal_to: str | None = None


@dataclass(frozen=True)
class Init(Rule):
    """`init`: a new tensor with `shape`, or base tensors that no rule made."""

    name: str = ""
    select: Test | None = None
    value: Any = 0
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Tie(Rule):
    """`tie` + `with`: one more target name for a tensor that another rule makes."""

    target: Pattern = None  # type: ignore[assignment]
    with_: Pattern = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Side:
    """One side's dialect; a prefix, and segments anywhere, that its names may have."""

    dialect: str | None = None
    optional_prefix: tuple[str, ...] = ()
    optional_segment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mapping:
    """A whole mapping: both sides, the rules in order, and what holds for all of them.

    `sources` are the sides by alias where there are several, in place of `source`.
    """

    source: Side = Side()
    target: Side = Side()
    rules: tuple[Rule, ...] = ()
    sizes: Sizes = field(default_factory=dict)
    policy: MappingOf[str, str] = field(default_factory=dict)
    include: Test | None = None
    exclude: Test | None = None
    dequantise: bool = False
    notes: tuple[str, ...] = ()
    review: tuple[Any, ...] = ()
    file: str = ""
    hash: str = ""
    sources: MappingOf[str, Side] = field(default_factory=dict)

    def of(self, alias: str) -> Mapping:
        """The rules that read one of several sources, as a mapping of that source."""
        own = tuple(replace(rule, alias="") for rule in self.rules if rule.alias == alias)
        return replace(self, source=self.sources[alias], rules=own, sources={})
