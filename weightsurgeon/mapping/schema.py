"""What may stand in the YAML of a mapping or a plan: a table of keys for each form.

A key has a check and a default; nothing else is accepted. Keys of the language that this version
does not build are known by name and refused as such, never ignored.

The checks are a few lines of our own: a validation library took 140 ms to import and to build its
models, a third of the time in which a gigabyte is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ..errors import MappingError, shown
from .yaml_data import Document, Path

Check = Callable[[Any], Iterator[tuple[Path, str]]]
"""Gives a problem for each place (below the value) that is not as wanted."""


# -- checks ----------------------------------------------------------------------------------


def anything(value: Any) -> Iterator[tuple[Path, str]]:
    """Whatever; checked later by whoever reads it."""
    yield from ()


def text(value: Any) -> Iterator[tuple[Path, str]]:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        yield (), "wants a text"


def flag(value: Any) -> Iterator[tuple[Path, str]]:
    """True or false."""
    if not isinstance(value, bool):
        yield (), "wants true or false"


def size(value: Any) -> Iterator[tuple[Path, str]]:
    """A whole number that can be a size."""
    if type(value) is not int or not 0 <= value < 2**63:
        yield (), "wants a whole number from 0"


def number(value: Any) -> Iterator[tuple[Path, str]]:
    """A number, or the word base."""
    if value != "base" and not (type(value) is int or isinstance(value, Decimal)):
        yield (), "wants a number, or base"


def one_of(*words: Any) -> Check:
    """One of these values."""

    def check(value: Any) -> Iterator[tuple[Path, str]]:
        if not any(type(value) is type(w) and value == w for w in words):
            yield (), f"wants {' | '.join(map(str, words))}"

    return check


def list_of(item: Check) -> Check:
    """A list, each item as wanted."""

    def check(value: Any) -> Iterator[tuple[Path, str]]:
        if not isinstance(value, list):
            yield (), "wants a list"
            return
        for i, entry in enumerate(value):
            yield from (((i, *path), what) for path, what in item(entry))

    return check


def map_of(item: Check) -> Check:
    """A map, each value as wanted."""

    def check(value: Any) -> Iterator[tuple[Path, str]]:
        if not isinstance(value, dict):
            yield (), "wants a map"
            return
        for key, entry in value.items():
            yield from (((key, *path), what) for path, what in item(entry))

    return check


def either(*checks: Check) -> Check:
    """As one of the checks wants it; of the problems, those of the last are told."""

    def check(value: Any) -> Iterator[tuple[Path, str]]:
        found = [list(c(value)) for c in checks]
        if all(found):
            yield from found[-1]

    return check


# -- the tables ------------------------------------------------------------------------------

REQUIRED: Any = object()


class Key(NamedTuple):
    """What a key wants, and what holds where it is absent."""

    check: Check
    default: Any = REQUIRED


Table = Mapping[str, Key]

DIALECT = one_of("keras", "torch", "onnx", "flax", "tf")
TEXTS = either(list_of(text), text)
RULE = {"optional": Key(flag, False), "doc": Key(text, None)}
WHEN = Key(map_of(anything), None)

FORMS: dict[str, Table] = {
    "from": {
        **RULE,
        "from": Key(text),
        "to": Key(text),
        "layout": Key(text, None),
        "sizes": Key(map_of(size), {}),
        "cast": Key(text, None),
        "when": WHEN,
    },
    "layer": {
        **RULE,
        "layer": Key(TEXTS),
        "to": Key(TEXTS),
        "kind": Key(text),
        "options": Key(map_of(anything), {}),
        "sizes": Key(map_of(size), {}),
        "roles": Key(map_of(one_of("fill", "drop", "keep")), {}),
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
SIDE: Table = {"dialect": Key(DIALECT, None), "optional_prefix": Key(TEXTS, None)}
MAPPING: Table = {
    "weightsurgeon": Key(one_of(1)),
    "source": Key(anything, {}),
    "target": Key(anything, {}),
    "sizes": Key(map_of(size), {}),
    "tables": Key(map_of(map_of(anything)), {}),
    "policy": Key(either(map_of(text), text), "strict"),
    "include": Key(anything, None),
    "exclude": Key(anything, None),
    "name": Key(text, None),
    "notes": Key(list_of(text), []),
    "review": Key(list_of(anything), []),
    "rules": Key(list_of(anything)),
}
PLAN: Table = {
    "weightsurgeon": Key(one_of(1)),
    "sources": Key(map_of(anything)),
    "steps": Key(list_of(anything)),
    "output": Key(anything),
}
SOURCE: Table = {"path": Key(text), "dialect": Key(DIALECT, None)}
STEP: Table = {"transfer": Key(anything)}
TRANSFER: Table = {
    "from": Key(text),
    "mapping": Key(text, None),
    "into": Key(text, None),
    "template": Key(text, None),
    "to": Key(DIALECT, None),
    "sizes": Key(map_of(size), {}),
    "unused": Key(one_of("error", "list", "ignore"), None),
    "kept": Key(one_of("error", "list"), None),
    "as": Key(text),
}
OUTPUT: Table = {"from": Key(text), "path": Key(text), "format": Key(text, None)}

_NOT_BUILT: dict[int, str] = {
    id(FORMS["from"]): "range crop pad repeat sum scale shift inverse",
    id(FORMS["layer"]): "fold_into eps inverse",
    id(FORMS["drop"]): "inverse",
    id(FORMS["init"]): "inverse",
    id(FORMS["tie"]): "inverse",
    id(SIDE): "optional_segment",
    id(MAPPING): "sources",
    id(STEP): "assemble soft_update prune merge cast verify",
    id(TRANSFER): "paste dtype",
    id(OUTPUT): "shard_size ties metadata",
}


# -- validation ------------------------------------------------------------------------------


def validate(
    table: Table, value: Any, document: Document, at: Path = ()
) -> tuple[dict[str, Any], list[MappingError]]:
    """The values of a table's keys, defaults filled in, and every reason to refuse them."""
    if not isinstance(value, dict):
        return {}, [refused(document, at, f"wants a map of {', '.join(table)}")]
    later = _NOT_BUILT.get(id(table), "").split()
    problems = []
    for key in value.keys() - table.keys():
        what = "is not built yet" if key in later else f"is unknown{_nearest(key, table)}"
        problems.append(refused(document, (*at, key), f"the key {shown(key)!r} {what}"))
    found = {}
    for key, row in table.items():
        if key in value:
            problems += _wrong(row.check, value[key], document, (*at, key))
        elif row.default is REQUIRED:
            problems.append(refused(document, at, f"the key {key!r} is missing"))
        found[key] = value.get(key, row.default)
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


def _nearest(key: str, table: Table) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, table, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(table)}"


def refused(document: Document, at: Path, what: str, id: str = "schema") -> MappingError:
    """A problem at a place of a document."""
    return MappingError(id, what, document.file, document.line(at))
