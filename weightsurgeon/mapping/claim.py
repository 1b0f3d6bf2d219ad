"""Who takes what: each source tensor goes to the first rule whose name fits. Strings only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..conventions import LEAVES
from ..errors import MappingError, shown
from ..formats.base import Checkpoint, Meaning
from ..spec import TensorSpec
from .logical import Names, neutral
from .names import Captures, NameError_
from .places import Places
from .rules import Drop, Layer, Move, Rule
from .tokens import captures_of

_DEPTHS = (2, 1)  # segments of a leaf: `query/kernel` of an attention, `kernel`


class Claim(NamedTuple):
    """A source tensor and the rule that takes it; for a layer rule, as which role of which kind."""

    rule: Rule
    name: str
    captures: Captures
    role: str = ""
    kind: str = ""
    item: int = 0  # which of the names of a list, or of the leaves of a role, it is
    layer: str = ""  # as the mapping sees it


class Misfit(NamedTuple):
    """A rule that fits a name in a way that must be refused."""

    rule: Rule
    problem: MappingError


class Kinds:
    """The kinds of layers as a checkpoint knows them, by the layer's name; only those with rows.

    In another dialect (`moves`) a kind alone does not tell how a layer lies that may stand behind
    a Flatten: where its side does not know of one (`blind`), the other side has to tell the kind.
    """

    def __init__(self, checkpoint: Checkpoint | None, moves: bool) -> None:
        meanings = checkpoint.meanings.values() if checkpoint is not None else ()
        known = [m for m in meanings if m.kind in LEAVES]
        self.blind = {neutral(m.layer): m.kind for m in known if moves and untold(m)}
        self.by_layer = {neutral(m.layer): m.kind for m in known if not (moves and untold(m))}

    def of(self, layer: str) -> str | None:
        """The kind of a layer, if it is known."""
        return self.by_layer.get(neutral(layer))


def untold(meaning: Meaning) -> bool:
    """Does its file say that it knows nothing of a Flatten before the layer?"""
    return meaning.options.get("flatten_from", ()) is None


class Claimer:
    """Decides which rule takes a source tensor."""

    def __init__(
        self,
        source: Names,
        rules: tuple[Rule, ...],
        dialects: tuple[str | None, str | None],
        base: Checkpoint | None,
    ) -> None:
        self.source, self.rules, self.dialect = source, rules, dialects[0] or ""
        moves = dialects[0] != dialects[1]
        self.here, self.there = Kinds(source.checkpoint, moves), Kinds(base, moves)
        self._known = dict[tuple[int, str], Places]()

    def claims(self) -> Iterator[Claim | Misfit | str]:
        """For each source name, in file order: its claim, what is wrong, or the name itself."""
        for logical, name in self.source.logical.items():
            yield self._first(logical, name)

    def _first(self, logical: str, name: str) -> Claim | Misfit | str:
        for rule in self.rules:
            try:
                found = self.takes(rule, logical, name)
            except NameError_ as error:
                return Misfit(rule, rule.refused(error.id, str(error), name))
            if found is not None:
                return found
        return name

    def takes(self, rule: Rule, logical: str, name: str) -> Claim | None:
        """The claim of a rule on a name, if it fits.

        Errors: NameError_ `ambiguous`, or `kind` where the rule asks the files and none knows.
        """
        test = rule.select if isinstance(rule, Drop) else getattr(rule, "when", None)
        if test is not None and not test(logical, *self._facts(name)):
            return None
        if isinstance(rule, Move):
            return self._of_names(rule, logical, name)
        if isinstance(rule, Layer):
            return self._of_layer(rule, logical, name)
        return Claim(rule, name, {}) if isinstance(rule, Drop) else None

    def _of_names(self, rule: Move, logical: str, name: str) -> Claim | None:
        """The claim of a rule that names tensors: one of its patterns fits, in its ranges."""
        found = list[Claim]()
        for item, pattern in enumerate(rule.sources):
            captures = pattern.match(logical)
            if captures is not None and _in_ranges(rule, captures):
                found.append(Claim(rule, name, captures, item=item))
        if len(found) > 1:
            fit = " and ".join(repr(rule.sources[claim.item].text) for claim in found)
            raise NameError_("ambiguous", f"{shown(name)} fits {fit} of one list")
        return found[0] if found else None

    def _facts(self, name: str) -> tuple[TensorSpec, Meaning]:
        checkpoint = self.source.checkpoint
        return checkpoint.source.specs[name], checkpoint.meaning(name)

    def _of_layer(self, rule: Layer, logical: str, name: str) -> Claim | None:
        """The claim of a layer rule: the name is a layer that fits, a separator, a known leaf."""
        for depth in _DEPTHS if rule.kind == "auto" else self._places(rule, rule.kind).depths:
            layer, leaf = split(logical, depth)
            for part, pattern in enumerate(rule.sources):
                captures = {} if pattern.text == layer == "" else pattern.match(layer)
                if captures is None:
                    continue
                found = self._as_leaf(rule, part, layer, depth, leaf, captures)
                if found is not None:
                    return found._replace(name=name)
        return None

    def _as_leaf(
        self, rule: Layer, part: int, layer: str, depth: int, leaf: str, captures: Captures
    ) -> Claim | None:
        """The claim on a leaf of a layer that fits, if its kind has such a leaf."""
        kind: str | None = rule.kind
        if kind == "auto":
            kind = self._told(rule, layer, captures, sure=depth == _DEPTHS[-1])
        if kind is None:
            return None
        for place, more in self._places(rule, kind).find(depth, leaf):
            agree = all(captures.get(n, v) == v for n, v in more.items())
            if agree and (len(rule.sources) == 1 or place.part == part):
                captures = {**captures, **more}
                if rule.level is not None and not rule.level.names() <= captures.keys():
                    what = f"level {rule.level.text!r}: nothing tells it in {shown(layer)}"
                    raise NameError_("capture", what)
                return Claim(rule, "", captures, place.role, kind, place.cell, layer)
        return None

    def _places(self, rule: Layer, kind: str) -> Places:
        key = id(rule), kind
        if key not in self._known:
            known = captures_of(*rule.sources, *rule.targets)
            self._known[key] = Places(kind, self.dialect, rule.options, known)
        return self._known[key]

    def _told(
        self, rule: Layer, layer: str, captures: Mapping[str, str | int], sure: bool
    ) -> str | None:
        """The kind that either file knows; None where none does and it need not be `sure`."""
        there_ = rule.targets[0].write(captures, ".")
        kinds = {self.here.of(layer), self.there.of(there_)} - {None}
        if len(kinds) == 1:
            return str(kinds.pop())
        if not kinds and not sure:
            return None
        what = "disagree: " + ", ".join(sorted(map(str, kinds))) if kinds else "do not tell it"
        raise NameError_("kind", f"kind auto: of {shown(layer)} the files {what}; write the kind")


def _in_ranges(rule: Move, captures: Captures) -> bool:
    """Whether every pinned capture lies in its range."""
    spans = ((captures.get(name), span) for name, span in rule.ranges.items() if span)
    return all(n is None or span[0] <= int(n) < span[1] for n, span in spans)


def split(name: str, depth: int = 1) -> tuple[str, str]:
    """A name as layer and leaf, at its last separator, or at one before.

    >>> split("block/conv1/kernel"), split("mha/query/kernel", depth=2)
    (('block/conv1', 'kernel'), ('mha', 'query/kernel'))
    """
    at = len(name)
    for _ in range(depth):
        at = max(name.rfind(".", 0, max(at, 0)), name.rfind("/", 0, max(at, 0)))
    return name[: max(at, 0)], name[at + 1 :]
