"""The rules where there is no mapping: each layer keeps its name, its kind says the rest."""

from __future__ import annotations

from ..conventions import SEPARATOR, leaves, parts
from ..errors import MappingError, PlanError
from ..formats.base import Checkpoint
from ..grouping import grouped
from .claim import Kinds, neutral, split
from .rules import Layer, Mapping, Move, Rule, Side
from .tokens import parse


def automatic(
    source: Checkpoint, base: Checkpoint | None, here: str | None, there: str | None
) -> Mapping:
    """The mapping that `port` uses without one.

    Within a dialect every name is kept. Between dialects: one rule for each layer of the source.

    Errors: PlanError `kind` that lists the layers of which the kind is not known, or that would
    become two layers.
    """
    if here == there:
        same = parse("{n:path}")
        rule: Rule = Move(file="automatic", source=same, target=same, optional=True)
        return Mapping(Side(here), Side(there), (rule,), file="automatic")
    kinds = Kinds(source), Kinds(base)
    layers = dict.fromkeys(
        split(name)[0] for name in source if source.meaning(name).role != "optimizer"
    )
    rules, unknown = [], dict[str, list[str]]()
    for layer in layers:
        kind = kinds[0].of(layer) or kinds[1].of(layer)
        reason = _refused(kind, here or "", there or "")
        if reason:
            unknown.setdefault(reason, []).append(layer or "(the layer itself)")
        else:
            rules.append(_rule(layer, kind or "", there or ""))
    if unknown:
        raise PlanError(_problems(unknown, here, there))
    return Mapping(Side(here), Side(there), tuple(rules), file="automatic")


def _refused(kind: str | None, here: str, there: str) -> str | None:
    if kind is None:
        return "the kind of {} is not known"
    if parts(kind, there) > 1 or not leaves(kind, there) or not leaves(kind, here):
        return f"a {kind}, as {{}}, is no single layer there"
    return None


def _problems(
    unknown: dict[str, list[str]], here: str | None, there: str | None
) -> list[MappingError]:
    remedy = "write a mapping (--mapping), or give a template that knows (--template)"
    if here is None or there is None:
        side = "source" if here is None else "target"
        remedy = f"the {side}'s dialect is not known: state it, or write a mapping"
    found = []
    for reason, layers in unknown.items():
        labels = ", ".join(g.label for g in grouped(layers)[:8])
        found.append(MappingError("kind", f"{reason.format(labels)}: {remedy}", names=layers))
    return found


def _rule(layer: str, kind: str, there: str) -> Layer:
    """A rule for one layer of this very name."""
    written = neutral(layer).replace(".", SEPARATOR.get(there, "/"))
    source, target = (parse(n.replace("{", "{{").replace("}", "}}")) for n in (layer, written))
    return Layer(file="automatic", sources=(source,), targets=(target,), kind=kind)
