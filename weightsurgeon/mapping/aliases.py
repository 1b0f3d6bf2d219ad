"""Mappings with several `sources`: each name that a rule reads starts with the alias of its source.

A rule reads one source. Its names are kept without the alias, so that whatever reads rules knows
of one source only; `Mapping.of` gives the rules of an alias as a mapping of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from ..errors import shown

_ALIASED = re.compile(r"([A-Za-z_]\w*):(.+)", re.S)
_READS = ("from", "layer", "drop", "equal_to")  # the keys that name tensors of a source
RESERVED = "base"  # how a plan calls the target that is there already


class AliasError(ValueError):
    """A name without an alias, or of another source than the other names of its rule."""

    id = "schema"


def unaliased(rule: dict[str, Any], aliases: Collection[str]) -> tuple[str, dict[str, Any]]:
    """The alias that all names of a rule's source side have, and the rule without it.

    Errors: AliasError.

    >>> unaliased({"from": ["a:x", "a:y"], "to": "z"}, ["a", "b"])
    ('a', {'from': ['x', 'y'], 'to': 'z'})
    """
    read = {key: rule[key] for key in _READS if rule.get(key) is not None}
    found = {alias_of(name, aliases) for value in read.values() for name in _names(value)}
    if len(found) > 1:
        told = " and ".join(sorted(found))
        raise AliasError(f"a rule reads one source, not {told}; `run` joins tensors of several")
    return next(iter(found), ""), {**rule, **{key: _without(value) for key, value in read.items()}}


def alias_of(name: str, aliases: Collection[str]) -> str:
    """The alias in front of a name.

    Errors: AliasError where there is none, or none that the file has.
    """
    match = _ALIASED.fullmatch(name)
    if match is None or match[1] not in aliases:
        known = " or ".join(f"{alias}:…" for alias in aliases)
        raise AliasError(f"{shown(name)!r} does not say its source; write {known}")
    return match[1]


def _names(value: Any) -> Iterable[str]:
    """The names under a key."""
    for name in value if isinstance(value, list) else [value]:
        if not isinstance(name, str):
            raise AliasError("beside several sources a selector is a name or a list of them")
        yield name


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(name) for name in value]
    return str(value).partition(":")[2]
