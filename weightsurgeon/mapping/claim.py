"""Who takes what: each source tensor goes to the first rule whose name fits. Strings only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..conventions import leaves
from ..errors import MappingError, shown
from ..formats.base import Checkpoint
from .names import Captures, NameError_
from .rules import Drop, Layer, Move, Rule


class Claim(NamedTuple):
    """A source tensor and the rule that takes it; for a layer rule, as which role of which kind."""

    rule: Rule
    name: str
    captures: Captures
    role: str = ""
    kind: str = ""


@dataclass
class Names:
    """A checkpoint's names as a mapping sees them: an optional prefix taken off, once a file."""

    checkpoint: Checkpoint
    logical: dict[str, str] = field(default_factory=dict)  # as the mapping sees it → as it stands
    prefix: str = ""

    @property
    def neutral(self) -> dict[str, str]:
        """The names without regard to separators → as they stand."""
        return {neutral(name): real for name, real in self.logical.items()}


def neutral(name: str) -> str:
    """A name in which `/` and `.` are the same."""
    return name.replace("/", ".")


def names_of(checkpoint: Checkpoint, prefixes: tuple[str, ...], file: str) -> Names:
    """Take the first optional prefix that any name has off those that have it.

    Errors: MappingError `prefix` where two names become one.
    """
    prefix = next((p for p in prefixes if any(_starts(n, p) for n in checkpoint)), "")
    found = Names(checkpoint, prefix=prefix)
    for name in checkpoint:
        logical = name[len(prefix) :] if prefix and _starts(name, prefix) else name
        if logical in found.logical:
            text = f"without {prefix!r}, {shown(name)} and {shown(found.logical[logical])} are one"
            raise MappingError("prefix", text, file)
        found.logical[logical] = name
    return found


def _starts(name: str, prefix: str) -> bool:
    return neutral(name).startswith(neutral(prefix)) and len(name) > len(prefix)


class Kinds:
    """The kinds of layers as a checkpoint knows them, by the layer's name."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        meanings = checkpoint.meanings.values() if checkpoint is not None else ()
        self.by_layer = {neutral(m.layer): m.kind for m in meanings if m.kind}

    def of(self, layer: str) -> str | None:
        """The kind of a layer, if it is known."""
        return self.by_layer.get(neutral(layer))


def claim(
    source: Names,
    rules: tuple[Rule, ...],
    dialect: str,
    base: Checkpoint | None,
) -> Iterator[Claim | MappingError | str]:
    """For each source name, in file order: its claim, what is wrong, or the name nobody takes."""
    kinds = Kinds(source.checkpoint), Kinds(base)
    for logical, name in source.logical.items():
        try:
            found = _first(logical, name, source.checkpoint, rules, dialect, kinds)
        except NameError_ as error:
            yield MappingError(error.id, str(error), names=(name,))
            continue
        yield found or name


def _first(
    logical: str,
    name: str,
    checkpoint: Checkpoint,
    rules: tuple[Rule, ...],
    dialect: str,
    kinds: tuple[Kinds, Kinds],
) -> Claim | None:
    spec, meaning = checkpoint.source.specs[name], checkpoint.meaning(name)
    for rule in rules:
        found = None
        if isinstance(rule, Drop):
            found = Claim(rule, name, {}) if rule.select(logical, spec, meaning) else None
        elif isinstance(rule, Move):
            captures = rule.source.match(logical)
            found = None if captures is None else Claim(rule, name, captures)
        elif isinstance(rule, Layer):
            found = _of_layer(rule, logical, name, dialect, kinds)
        when = getattr(rule, "when", None)
        if found is not None and (when is None or when(name, spec, meaning)):
            return found
    return None


def _of_layer(
    rule: Layer, logical: str, name: str, dialect: str, kinds: tuple[Kinds, Kinds]
) -> Claim | None:
    """The claim of a layer rule: the name is a layer that fits, a separator, and a known leaf."""
    layer, leaf = split(logical)
    for part, pattern in enumerate(rule.sources):
        captures = {} if pattern.text == layer == "" else pattern.match(layer)
        if captures is None:
            continue
        kind = rule.kind if rule.kind != "auto" else _told(rule, layer, captures, kinds)
        for role, row in leaves(kind, dialect).items() if kind else ():
            if leaf in row.names and (len(rule.sources) == 1 or row.part == part):
                return Claim(rule, name, captures, role, kind or "")
    return None


def _told(
    rule: Layer, layer: str, captures: Mapping[str, str | int], kinds: tuple[Kinds, Kinds]
) -> str | None:
    here, there = kinds
    return here.of(layer) or there.of(rule.targets[0].write(captures, "."))


def split(name: str) -> tuple[str, str]:
    """A name as layer and leaf, at its last separator.

    >>> split("block/conv1/kernel")
    ('block/conv1', 'kernel')
    """
    at = max(name.rfind("."), name.rfind("/"))
    return name[: max(at, 0)], name[at + 1 :]
