"""Notes of a port: layers whose weights are right and whose outputs may differ all the same."""

from __future__ import annotations

from collections.abc import Iterator

from ..conventions import traps
from ..grouping import grouped
from .state import State


def notes_of(state: State) -> list[str]:
    """One line for all layers of which the same is to be said."""
    here, there = (_family(d) for d in state.dialects)
    found = dict[str, dict[str, None]]()
    for layer, text in _said(state, here, there):
        found.setdefault(text, {})[layer] = None
    return [f"{_labels(list(layers))}: {text}" for text, layers in found.items()]


def _family(dialect: str | None) -> str:
    return "keras" if dialect == "tf" else dialect or ""


def _labels(layers: list[str]) -> str:
    groups = list(grouped(layers))
    more = f" and {len(groups) - 5} more" if len(groups) > 5 else ""
    return ", ".join(g.label for g in groups[:5]) + more


def _said(state: State, here: str, there: str) -> Iterator[tuple[str, str]]:
    base = state.job.base
    for name, made in state.made.items():
        kind = made.meaning.kind
        if kind is None or not made.origin.names or made.origin.action in ("made", "kept"):
            continue
        source = state.job.source.meaning(made.origin.names[0])
        layer = source.layer or made.meaning.layer or name
        ours, theirs = source.options, base.meaning(name).options if base is not None else {}
        for text in traps.differences(kind, ours, theirs):
            yield layer, text
        if here == there:
            continue
        open_ = traps.unknown(kind, ours, theirs, (here, there))
        if open_:
            yield layer, open_
        for dialect, options, other in ((here, ours, there), (there, theirs, here)):
            if dialect == "keras":
                for text in traps.of_keras(kind, options, other):
                    yield layer, text
