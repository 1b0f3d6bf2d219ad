"""transfer: bring a state through a mapping, perhaps into a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..errors import PlanError
from ..mapping.auto import automatic
from ..mapping.checks import anything, either, flag, map_of, one_of, size, text
from ..mapping.compile import Job, compile_plan
from ..mapping.folding import plain
from ..mapping.folds import folded, with_folds
from ..mapping.pasting import Paste
from ..mapping.rules import Mapping as Rules
from ..mapping.schema import DIALECT, Key, Table
from ..mapping.several import sources_of
from ..mapping.unfolding import plain_base, seen_base, unfolded
from ..plan import Plan
from .reading import Reading
from .sides import dialect_of, source_of, template_of
from .work import Work

KEYS: Table = {
    "from": Key(either(text, map_of(text))),
    "mapping": Key(text, None),
    "into": Key(text, None),
    "template": Key(text, None),
    "to": Key(DIALECT, None),
    "sizes": Key(map_of(size), {}),
    "unused": Key(one_of("error", "list", "ignore"), None),
    "kept": Key(one_of("error", "list"), None),
    "paste": Key(map_of(anything), {}),
    "dtype": Key(one_of("base", "source"), "base"),
    "dequantise": Key(flag, False),
    "as": Key(text),
}
PASTE: Table = {
    "axis": Key(either(text, size)),
    "at": Key(size, 0),
    "fill": Key(one_of("base", "zeros"), "base"),
}
SETTLES = True  # the dialect and structure of the output: a transfer may bring tensors to another


class Transfer(NamedTuple):
    """What a transfer's keys say, its mapping read."""

    source: str | Mapping[str, str]
    rules: Rules | None
    into: str | None
    template: str | None
    to: str | None
    sizes: Mapping[str, int]
    policy: Mapping[str, str]
    pastes: Mapping[str, Paste]
    own_dtype: bool
    dequantise: bool


def read(step: Reading) -> Transfer:
    """The keys of a transfer; `into` and `template` exclude each other."""
    m = step.keys
    rules = step.mapping("mapping")
    for key in ("from", "into", "template"):
        step.state(key)
    for alias, name in m["from"].items() if isinstance(m["from"], dict) else ():
        step.state("from", alias, name=name)
    if m["into"] and m["template"]:
        step.refuse("give `into` or `template`, not both: a template gives no values")
    for key, given in (("paste", m["paste"]), ("dtype", m["dtype"] == "source")):
        if given and not m["into"]:
            step.refuse("has a meaning beside `into` only", key)
    policy = {"unmatched_source": m["unused"]} if m["unused"] else {}
    policy |= {"unmatched_target": "error"} if m["kept"] == "error" else {}
    problems, own = step.problems, m["dtype"] == "source"
    tables = {n: step.table(PASTE, value, "paste", n) for n, value in (m["paste"] or {}).items()}
    pastes = {n: Paste(**t) for n, t in tables.items()} if step.problems == problems else {}
    about = (m["from"], rules, m["into"], m["template"], m["to"], m["sizes"], policy)
    return Transfer(*about, pastes, own, m["dequantise"])


def plan(given: Transfer, work: Work) -> Plan:
    """The plan of a port from one state to another."""
    rules, there = given.rules, given.into or given.template
    base = work.states[there] if there else None
    spent = rules.hash if rules else ""
    named = given.source
    states = (
        work.states[named]
        if isinstance(named, str)
        else {alias: work.states[name] for alias, name in named.items()}
    )
    source = source_of(states, rules, spent)
    container = work.target.container
    dialect = dialect_of(rules, base, container, given.to, source)
    norms = plain_base(base, source, rules, dialect)
    shown = seen_base(norms, base)
    folds = plain(source, shown, rules, dialect, given.dequantise)
    seen = folded(folds, source)
    rules = rules or automatic(seen, shown, source.dialect, dialect)
    files = (base.source if base else None, *sources_of(source, "").values())
    template = template_of(container, *files) if container else None
    target = work.target._replace(dialect=dialect, template=template)
    keep = given.into is not None
    about = (given.sizes, given.policy, given.pastes, given.own_dtype)
    job = Job(seen, rules, target, work.sources, shown, keep, *about)
    plan = unfolded(with_folds(compile_plan(job), folds), norms, base)
    if keep:
        _judge(given, plan, work)
    return plan


def _judge(given: Transfer, plan: Plan, work: Work) -> None:
    """Refuse a paste that nothing needed, and a transfer that transfers nothing."""
    actions = {name: plan.origins[name].action for name in plan.outputs if name in plan.origins}
    problems = [
        work.place.refused("no rule makes such a tensor of the base", "paste", n, id="dead-rule")
        for n in given.pastes
        if actions.get(n) != "pasted"
    ]
    if plan.outputs and all(action == "kept" for action in actions.values()):
        text = "nothing is transferred: every tensor would keep the base's values"
        problems.append(work.place.refused(text, id="dead-rule"))
    if problems:
        raise PlanError(problems)
