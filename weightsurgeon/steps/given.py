"""A plan given as data instead of a file, and keys that the caller sets from outside."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..errors import MappingError, PlanError, shown
from ..mapping.yaml_data import Document, Path
from . import STEPS, module_of


def document_of(plan: Mapping[str, Any]) -> Document:
    """A plan as data, in the types that YAML gives: a float is the decimal that Python shows.

    >>> document_of({"tau": 0.1, "range": (0, 2)}).value
    {'tau': Decimal('0.1'), 'range': [0, 2]}
    """
    return Document(_plain(plan), {}, "")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(str(value))  # inf and nan are no numbers in a plan: left to be refused
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def with_settings(document: Document, settings: Mapping[str, Any]) -> Document:
    """The plan with some keys of its steps set: `tau`, or `smoothed.tau` where several have one.

    A setting is a key of one step's table, perhaps behind the name of the state that the step
    makes (or `output`), perhaps with the keys below it: `amount.sparsity`.

    Errors: PlanError `schema` where no step has such a key, or more than one.
    """
    problems = []
    for setting, value in settings.items():
        places = list(_places(document.value, setting))
        if len(places) == 1:
            _set(document.value, places[0], _plain(value))
            continue
        found = ", ".join(".".join(map(str, at)) for at in places)
        what = (
            f"is a key of several steps: {found}; say STATE.KEY" if places else "is no step's key"
        )
        problems.append(MappingError("schema", f"--set {shown(setting)}: {what}", document.file))
    if problems:
        raise PlanError(problems)
    return document


def _places(plan: Any, setting: str) -> Iterator[Path]:
    """Where a setting may stand: in each step that it names, or in each whose verb has the key."""
    first, *rest = setting.split(".")
    steps = plan.get("steps") if isinstance(plan, dict) else None
    if first == "output" and rest and isinstance(plan.get("output"), dict):
        yield ("output", *rest)
    for i, entry in enumerate(steps if isinstance(steps, list) else ()):
        for verb, keys in entry.items() if isinstance(entry, dict) else ():
            if verb not in STEPS or not isinstance(keys, dict):
                continue
            if rest and keys.get("as") == first:
                yield ("steps", i, verb, *rest)
            elif first in module_of(verb).KEYS:
                yield ("steps", i, verb, first, *rest)


def _set(value: Any, at: Path, new: Any) -> None:
    for key in at[:-1]:
        if isinstance(value, dict) and not isinstance(value.get(key), dict | list):
            value[key] = {}
        value = value[key]
    value[at[-1]] = new
