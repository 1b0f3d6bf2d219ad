"""What a soft update does to each tensor, and why: a rule, else the group of the tensor's role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from ..conventions import LEAVES, group_of
from ..formats.base import Checkpoint
from ..mapping.checks import anything, one_of
from ..mapping.schema import Key, Table
from ..mapping.select import Test, selector
from .reading import Reading

ACTIONS = ("soft", "copy", "keep")
DEFAULTS = {
    "parameter": "soft", "statistics": "copy", "counter": "copy", "mask": "copy",
    "rng": "keep", "optimizer": "keep", "quant": "soft",
}  # fmt: skip
ROLES: Table = {group: Key(one_of(*ACTIONS), action) for group, action in DEFAULTS.items()}
RULE: Table = {
    "select": Key(anything),
    "tau": Key(anything, None),
    "action": Key(one_of(*ACTIONS), None),
}
_SEPARATE = str.maketrans("/:", "..")


class Rule(NamedTuple):
    """Tensors that are treated in another way than their role says."""

    test: Test
    action: str
    tau: Decimal | None
    text: str


class Treatment(NamedTuple):
    """What is done to a tensor; `why` stands in the report, `rule` is the index of a rule."""

    action: str
    tau: Decimal | None
    why: str
    rule: int | None = None


def fraction(value: Any, key: str = "tau") -> Decimal:
    """A number of a plan as a fraction from 0 to 1. Errors: ValueError."""
    if type(value) not in (int, Decimal) or not 0 <= value <= 1:
        raise ValueError(f"{key} wants a number from 0 to 1, not {str(value)[:60]!r}")
    return Decimal(value)


def read_rules(step: Reading, rules: Any) -> tuple[Rule, ...]:
    """The `rules` of a step; what is wrong with them is remembered there."""
    found = []
    for i, entry in enumerate(rules):
        m = step.table(RULE, entry, "rules", i)
        test = step.attempt(selector, m.get("select"), at=("rules", i, "select"))
        tau = m.get("tau")
        if (tau is None) == (m.get("action") is None):
            step.refuse("give `tau` or `action`, one of them", "rules", i)
        if tau is not None:
            tau = step.attempt(fraction, tau, at=("rules", i, "tau"))
        if test is not None:
            found.append(Rule(test, m.get("action") or "soft", tau, f"rules[{i}]"))
    return tuple(found)


def treatment(
    names: Iterable[str], state: Checkpoint, rules: Iterable[Rule], roles: Mapping[str, str]
) -> Treatment:
    """What is done to a tensor of several names: the first rule that selects one decides."""
    names = list(names)
    for i, rule in enumerate(rules):
        if any(rule.test(n, state[n].spec, state.meaning(n)) for n in names):
            return Treatment(rule.action, rule.tau, rule.text, i)
    group, ground = group_in(state, names[0])
    return Treatment(roles[group], None, f"{group}: {roles[group]}{ground}")


def group_in(state: Checkpoint, name: str) -> tuple[str, str]:
    """The role group of a tensor, and whether that was only concluded: from its name, its dtype."""
    known = group_of(state.meaning(name).role)
    if known is not None:
        return known, ""
    leaf = name.translate(_SEPARATE).rpartition(".")[2]
    by_name = _groups_of_leaves().get(leaf)
    if by_name is not None:
        return by_name, " (inferred)"
    is_float = state[name].spec.dtype.kind in ("float", "complex")
    return ("parameter" if is_float else "counter"), " (inferred)"


@cache
def _groups_of_leaves() -> dict[str, str]:
    """The group of each leaf name that says for certain that a tensor is no parameter."""
    found: dict[str, set[str]] = {}
    for rows in LEAVES.values():
        for role, texts in rows.items():
            for text in texts.values():
                for name in text.rpartition(":")[2].split("|"):
                    found.setdefault(name.strip(), set()).add(group_of(role) or "parameter")
    found.setdefault("seed_generator_state", set()).add("rng")
    return {name: g for name, (g, *more) in found.items() if not more and g != "parameter"}
