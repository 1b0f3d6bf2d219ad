"""transfer: bring a state through a mapping, perhaps into a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..mapping.auto import automatic
from ..mapping.checks import map_of, one_of, size, text
from ..mapping.compile import Job, compile_plan
from ..mapping.folding import folded, plain, with_folds
from ..mapping.rules import Mapping as Rules
from ..mapping.schema import DIALECT, Key, Table
from ..plan import Plan
from .reading import Reading
from .sides import dialect_of, opened, stated, template_of
from .work import Work

KEYS: Table = {
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
LATER = "paste dtype"
SETTLES = True  # the dialect and structure of the output: a transfer may bring tensors to another


class Transfer(NamedTuple):
    """What a transfer's keys say, its mapping read."""

    source: str
    rules: Rules | None
    into: str | None
    template: str | None
    to: str | None
    sizes: Mapping[str, int]
    policy: Mapping[str, str]


def read(step: Reading) -> Transfer:
    """The keys of a transfer; `into` and `template` exclude each other."""
    m = step.keys
    rules = step.mapping("mapping")
    for key in ("from", "into", "template"):
        step.state(key)
    if m["into"] and m["template"]:
        step.refuse("give `into` or `template`, not both: a template gives no values")
    policy = {"unmatched_source": m["unused"]} if m["unused"] else {}
    policy |= {"unmatched_target": "error"} if m["kept"] == "error" else {}
    return Transfer(m["from"], rules, m["into"], m["template"], m["to"], m["sizes"], policy)


def plan(given: Transfer, work: Work) -> Plan:
    """The plan of a port from one state to another."""
    rules, there = given.rules, given.into or given.template
    base = work.states[there] if there else None
    spent = rules.hash if rules else ""
    source = opened(work.states[given.source], *stated(rules, "source"), spent)
    container = work.target.container
    dialect = dialect_of(rules, base, container, given.to, source)
    folds = plain(source, base, rules, dialect)
    seen = folded(folds, source)
    rules = rules or automatic(seen, base, source.dialect, dialect)
    files = (base.source if base else None, source.source)
    template = template_of(container, *files) if container else None
    target = work.target._replace(dialect=dialect, template=template)
    keep = given.into is not None
    job = Job(seen, rules, target, work.sources, base, keep, given.sizes, given.policy)
    return with_folds(compile_plan(job), folds)
