"""What may stand in the YAML of a mapping or a plan: a table of keys for each form.

A key has a check and a default; nothing else is accepted. Keys of the language that this version
does not build are known by name and refused as such, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import MappingError, shown
from .checks import (
    Check,
    anything,
    either,
    epsilons,
    flag,
    list_of,
    map_of,
    number,
    one_of,
    options,
    padding,
    reach,
    shard_size,
    size,
    size_or_parts,
    some,
    span,
    text,
    way,
    word,
)
from .yaml_data import Document, Path

REQUIRED: Any = object()


class Key(NamedTuple):
    """What a key wants, and what holds where it is absent."""

    check: Check
    default: Any = REQUIRED


Table = Mapping[str, Key]

DIALECT = one_of("keras", "torch", "onnx", "flax", "tf")
TEXTS = either(some(text), text)
RULE = {"optional": Key(flag, False), "doc": Key(text, None), "inverse": Key(anything, None)}
WHEN = Key(map_of(anything), None)

FORMS: dict[str, Table] = {
    "from": {
        **RULE,
        "from": Key(TEXTS),
        "to": Key(TEXTS),
        "layout": Key(text, None),
        "sizes": Key(map_of(size_or_parts), {}),
        "crop": Key(map_of(span), {}),
        "pad": Key(map_of(padding), {}),
        "scale": Key(anything, 1),
        "shift": Key(anything, 0),
        "range": Key(map_of(reach), {}),
        "repeat": Key(map_of(size), {}),
        "sum": Key(TEXTS, []),
        "cast": Key(text, None),
        "when": WHEN,
    },
    "layer": {
        **RULE,
        "layer": Key(TEXTS),
        "to": Key(TEXTS, None),
        "fold_into": Key(text, None),
        "kind": Key(text),
        "options": Key(options, {}),
        "sizes": Key(map_of(size), {}),
        "roles": Key(map_of(way), {}),
        "eps": Key(epsilons, None),
        "when": WHEN,
    },
    "drop": {**RULE, "drop": Key(anything), "equal_to": Key(text, None)},
    "init": {
        **RULE,
        "init": Key(anything),
        "value": Key(number, 0),
        "shape": Key(list_of(size), None),
        "dtype": Key(text, None),
    },
    "tie": {**RULE, "tie": Key(text), "with": Key(text)},
}
SIDE: Table = {
    "dialect": Key(DIALECT, None),
    "optional_prefix": Key(TEXTS, None),
    "optional_segment": Key(TEXTS, None),
}
MAPPING: Table = {
    "weightsurgeon": Key(one_of(1)),
    "source": Key(anything, {}),
    "sources": Key(map_of(anything), {}),
    "target": Key(anything, {}),
    "sizes": Key(map_of(size), {}),
    "tables": Key(map_of(map_of(word)), {}),
    "policy": Key(either(map_of(text), text), {}),
    "include": Key(anything, None),
    "exclude": Key(anything, None),
    "dequantise": Key(flag, False),
    "name": Key(text, None),
    "notes": Key(list_of(text), []),
    "review": Key(list_of(anything), []),
    "rules": Key(list_of(anything)),
}
PLAN: Table = {
    "weightsurgeon": Key(one_of(1)),
    "sources": Key(map_of(anything), {}),
    "steps": Key(list_of(anything), []),
    "output": Key(anything),
}
SOURCE: Table = {"path": Key(text), "dialect": Key(DIALECT, None)}
OUTPUT: Table = {
    "from": Key(text),
    "path": Key(text, None),
    "into": Key(text, None),
    "format": Key(text, None),
    "shard_size": Key(shard_size, None),
    "ties": Key(one_of("store", "repeat"), "store"),
}

_NOT_BUILT: dict[int, str] = {
    id(OUTPUT): "metadata",
}


# -- validation ------------------------------------------------------------------------------


def validate(
    table: Table, value: Any, document: Document, at: Path = (), later: str = ""
) -> tuple[dict[str, Any], list[MappingError]]:
    """The values of a table's keys, and every reason to refuse them.

    A key that is absent or wrong has its default, so that the rest can be read on. `later` are
    keys that are known and not built.
    """
    if not isinstance(value, dict):
        return {}, [refused(document, at, f"wants a map of {', '.join(table)}")]
    unbuilt = f"{later} {_NOT_BUILT.get(id(table), '')}".split()
    problems = []
    for key in value.keys() - table.keys():
        what = "is not built yet" if key in unbuilt else f"is unknown{nearest(key, table)}"
        problems.append(refused(document, (*at, key), f"the key {shown(key)!r} {what}"))
    found = {}
    for key, row in table.items():
        wrong = _wrong(row.check, value[key], document, (*at, key)) if key in value else []
        if key not in value and row.default is REQUIRED:
            wrong = [refused(document, at, f"the key {key!r} is missing")]
        problems += wrong
        default = None if row.default is REQUIRED else row.default
        found[key] = default if wrong else value.get(key, default)
    return found, problems


def _wrong(check: Check, value: Any, document: Document, at: Path) -> list[MappingError]:
    problems = []
    for path, what in check(value):
        entry = value
        for step in path:
            entry = entry[step]
        place = ".".join(map(str, (at[-1], *path)))
        text_ = f"{shown(place)} {what}, not {shown(str(entry), 60)!r}"
        problems.append(refused(document, (*at, *path), text_))
    return problems


def nearest(key: str, table: Mapping[str, Any]) -> str:
    """What was meant instead of an unknown key, or what there is."""
    from difflib import get_close_matches

    near = get_close_matches(key, table, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(table)}"


def refused(document: Document, at: Path, what: str, id: str = "schema") -> MappingError:
    """A problem at a place of a document: its line, or its path of keys where there is no file."""
    if not document.file:
        keys = ".".join(map(str, at))
        return MappingError(id, f"{keys}: {what}" if keys else what)
    return MappingError(id, what, document.file, document.line(at))
