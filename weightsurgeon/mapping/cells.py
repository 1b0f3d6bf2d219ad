"""Recurrent layers without a mapping: the cells of Keras and the modules of torch.

A cell is one level and one direction of a module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..conventions import refusal
from ..formats.base import Checkpoint, Meaning
from .logical import neutral
from .placing import Placed

_WORDS = {"rnn": "simple_rnn", "lstm": "lstm", "gru": "gru"}  # as Keras names such layers
_LEVELS = (
    "give a template that has it, or a layer rule with kind: {} and options: "
    "{{{{level: …, direction: …}}}}"
)
_STACKS = (
    "each direction of {} is a stack of its own, torch's second level sees both; give each level a "
    "layer rule of its own"
)
_OWN = re.compile(r"(.*?)(?:/(forward|backward)_\w+)?/(?:simple_rnn|lstm|gru)_cell(?:_\d+)?")


class Cell(NamedTuple):
    """One level and direction of a recurrent module; `layer` is its own name."""

    layer: str
    kind: str
    module: str
    level: int
    backward: bool
    units: int
    alone: bool  # no part of a module, as torch's LSTMCell
    why_not: str | None  # what the other side cannot hold


def place_cells(
    found: Placed, source: Checkpoint, base: Checkpoint | None, here: str, there: str
) -> None:
    """Rules for the cells of the source, between Keras and torch."""
    if (here, there) == ("keras", "torch"):
        _cells_to_modules(found, list(_cells(source)), base)
    elif (here, there) == ("torch", "keras"):
        _modules_to_cells(found, list(_cells(source)), list(_cells(base)), base is not None)


def _cells(checkpoint: Checkpoint | None) -> Iterator[Cell]:
    """The cells of a checkpoint, each told by its recurrent kernel."""
    if checkpoint is None:
        return
    for name, meaning in checkpoint.meanings.items():
        if meaning.kind in _WORDS and meaning.role == "recurrent_kernel":
            units = min(checkpoint[name].spec.shape, default=0)
            yield _cell(meaning, units, checkpoint.dialect == "torch")


def _cell(meaning: Meaning, units: int, torch: bool) -> Cell:
    """A cell of torch is part of its layer where its leaf has a level, one of Keras of a module."""
    options, layer = meaning.options, meaning.layer
    why_not = refusal(meaning.kind or "", options, "keras" if torch else "torch")
    level, way, kind = options.get("level"), options.get("direction"), meaning.kind or ""
    if torch:
        return Cell(
            layer, kind, layer, level or 0, way == "backward", units, level is None, why_not
        )
    module = options.get("module")
    if module is None and (own := _OWN.fullmatch(layer)):  # as Keras names what it makes itself
        module, way = own[1], own[2]
    here = layer if module is None else module
    return Cell(layer, kind, here, level or 0, way == "backward", units, here == layer, why_not)


def _modules(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    found = dict[str, list[Cell]]()
    for cell in cells:
        found.setdefault(cell.module, []).append(cell)
    return found


def _cells_to_modules(found: Placed, cells: list[Cell], base: Checkpoint | None) -> None:
    theirs = {neutral(cell.layer) for cell in _cells(base)}
    for module, parts in _modules(cells).items():
        if neutral(module) not in theirs and {neutral(c.layer) for c in parts} & theirs:
            continue  # the target has the cells themselves
        if parts[0].alone:
            continue  # it keeps its name
        found.layers |= {cell.layer for cell in parts}
        reason = next((f"{{}}: {c.why_not}" for c in parts if c.why_not), _no_module(parts))
        if reason:
            found.refuse(reason, [module])
            continue
        for cell in parts:
            options = {"level": cell.level, "direction": _way(cell)}
            found.rule(cell.layer, module.replace("/", "."), cell.kind, options)


def _no_module(parts: list[Cell]) -> str | None:
    """Why one module of torch cannot hold these cells."""
    kinds, units = {c.kind for c in parts}, {c.units for c in parts}
    if len(kinds) > 1 or len(units) > 1:
        what = f"kinds {', '.join(sorted(kinds))}" if len(kinds) > 1 else f"units {sorted(units)}"
        text = f"the levels of {{}} have {what}, those of a torch module are alike"
    elif _apart(parts):
        return _STACKS
    else:
        return None
    return f"{text}; give each level a layer rule of its own"


def _apart(parts: Iterable[Cell]) -> bool:
    """Whether each direction is a stack of its own."""
    parts = list(parts)
    return len({c.backward for c in parts}) > 1 and len({c.level for c in parts}) > 1


def _way(cell: Cell) -> str:
    return "backward" if cell.backward else "forward"


def _modules_to_cells(found: Placed, cells: list[Cell], theirs: list[Cell], has_base: bool) -> None:
    at = {(neutral(c.module), c.level, c.backward): c.layer for c in theirs}
    for module, parts in _modules(cells).items():
        if parts[0].alone and (neutral(module), 0, False) not in at:
            continue  # it keeps its name
        found.layers.add(module)
        if _apart([c for c in theirs if neutral(c.module) == neutral(module)]):
            found.refuse(_STACKS, [module])
            continue
        for cell in parts:
            to = at.get((neutral(module), cell.level, cell.backward))
            if to is None and not has_base:
                to = _usual_name(cell, parts)
            if to is None:
                what = f"level {cell.level}" + (" backward" if cell.backward else "")
                text = f"{what} of {{}} has no certain name among layers of Keras"
                found.refuse(f"{text}; {_LEVELS.format(cell.kind)}", [module])
                continue
            found.rule(module, to, cell.kind, {"level": cell.level, "direction": _way(cell)})


def _usual_name(cell: Cell, parts: list[Cell]) -> str | None:
    """The layer that Keras makes by itself for the only level of a module."""
    if any(c.level for c in parts):
        return None
    module, word = cell.module.replace(".", "/"), _WORDS[cell.kind]
    path = [f"{_way(cell)}_{word}"] if any(c.backward for c in parts) else []
    return "/".join([*filter(None, [module]), *path, f"{word}_cell"])
