"""The way back to one of several sources: what the others gave to the target is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

Entry = dict[str, Any]
_TOKEN = re.compile(r"\{[^{}]*\}")


def foreign(entry: Entry) -> Iterator[Entry]:
    """A drop for each name that a rule of another source makes.

    >>> next(foreign({"layer": "conv{n:nth}", "to": "vision.conv{n+1}", "kind": "conv"}))
    {'drop': 'vision.conv*.*', 'optional': True, 'inverse': 'none'}
    """
    end = ".*" if "layer" in entry else ""
    for name in _listed(entry.get("to")):
        yield {"drop": _glob(name) + end, "optional": True, "inverse": "none"}


def placed(rules: list[Entry], drops: Iterable[Entry]) -> list[Entry]:
    """The rules, with each drop before the first that says less of the names it reads.

    >>> rules = [{"from": "a.x", "to": "x"}, {"from": "{n:path}", "to": "{n}"}]
    >>> [rule.get("drop") for rule in placed(rules, [{"drop": "b.*"}, {"drop": "*"}])]
    [None, 'b.*', None, '*']
    """
    made = list(rules)
    for drop in drops:
        if drop in made:
            continue
        told = _told(drop["drop"])
        vaguer = (i for i, rule in enumerate(made) if _least(rule) < told)
        made.insert(next(vaguer, len(made)), drop)
    return made


def _least(rule: Entry) -> float:
    """How much the vaguest name of a rule tells; drops and ties read no more than they name."""
    read = rule.get("from", rule.get("layer"))
    return min((_told(_glob(name)) for name in _listed(read)), default=float("inf"))


def _told(glob: str) -> int:
    return len(glob.replace("*", "").replace("?", ""))


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value is not None else []


def _glob(name: str) -> str:
    """A name with captures as a glob."""
    plain = name.replace("{{", "\0").replace("}}", "\1")
    return _TOKEN.sub("*", plain).replace("\0", "{").replace("\1", "}")
