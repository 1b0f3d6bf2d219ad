"""The keys of `merge`, read: the method and its numbers, the inputs and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from ..errors import shown
from ..mapping.checks import anything, flag, list_of, map_of, one_of, size, text
from ..mapping.schema import Key, Table, nearest
from ..mapping.select import selector
from .ramps import WeightRule, number, ramp
from .reading import Reading
from .treatment import fraction

KEYS: Table = {
    "method": Key(anything),
    "inputs": Key(list_of(anything)),
    "normalize": Key(flag, False),
    "rules": Key(list_of(anything), []),
    "integers": Key(anything, "must_agree"),
    "match": Key(one_of("strict", "intersection"), "strict"),
    "as": Key(text),
}
INPUT: Table = {"from": Key(text), "weight": Key(anything, None)}
RULE: Table = {
    "select": Key(anything),
    "weight": Key(map_of(anything)),
    "outside": Key(anything, None),
}
FROM: Table = {"from": Key(text)}
_BASE: Table = {"base": Key(text), "scale": Key(anything, 1)}
METHODS: Mapping[str, Table] = {
    "linear": {},
    "average": {},
    "task": _BASE,
    "ties": {**_BASE, "density": Key(anything)},
    "dare": {**_BASE, "density": Key(anything), "seed": Key(size), "elect": Key(flag, False)},
    "slerp": {"t": Key(anything)},
    "lora": _BASE,
}


class Merge(NamedTuple):
    """What the keys of a merge say."""

    method: str
    base: str | None
    scale: Fraction
    density: Fraction | None
    seed: int
    elect: bool
    t: Decimal
    inputs: tuple[str, ...]
    weights: Mapping[str, Fraction]
    normalize: bool
    rules: tuple[WeightRule, ...]
    integers: str | None
    match: str


def read(step: Reading) -> Merge:
    """The keys of a merge; each method has its own."""
    m = step.keys
    method, how = _method(step, m["method"])
    inputs, weights = _inputs(step, m["inputs"], method)
    if method == "slerp" and len(inputs) != 2:
        step.refuse(f"slerp wants two inputs, not {len(inputs)}", "inputs")
    if method == "slerp" and m["rules"]:
        step.refuse("slerp knows `t`, no weights", "rules")
    if method == "ties" and m["normalize"]:
        step.refuse("ties divides by the weights of those that agree, always", "normalize")
    if method == "lora" and m["normalize"]:
        step.refuse("lora adds updates: nothing is divided", "normalize")
    base = how.get("base")
    if base is not None:
        step.state("method", method, "base", name=base)
    density = _share(step, how["density"], method) if how.get("density") is not None else None
    if density == 0:
        step.refuse("a density of 0 keeps nothing", "method", method, "density")
    at = ("method", method)
    scale = step.attempt(number, how.get("scale", 1), "scale", at=(*at, "scale"))
    t = step.attempt(fraction, how["t"], "t", at=(*at, "t")) if "t" in how else Decimal(0)
    return Merge(
        method,
        base,
        Fraction(1) if scale is None else scale,
        density,
        how.get("seed") or 0,
        method == "ties" or bool(how.get("elect")),
        Decimal(0) if t is None else t,
        inputs,
        weights,
        m["normalize"] or method == "average",
        _rules(step, m["rules"], inputs, method),
        _integers(step, m["integers"], inputs),
        m["match"],
    )


def _share(step: Reading, value: Any, method: str) -> Fraction:
    found = step.attempt(fraction, value, "density", at=("method", method, "density"))
    return Fraction(1) if found is None else Fraction(found)


def _method(step: Reading, value: Any) -> tuple[str, dict[str, Any]]:
    """The name of the method and its keys: `linear`, or `{task: {base: …}}`."""
    name: Any = value
    keys: Any = {}
    if isinstance(value, dict) and len(value) == 1:
        ((name, keys),) = value.items()
    if not isinstance(name, str) or name not in METHODS:
        what = f"is unknown{nearest(str(name), METHODS)}"
        step.refuse(f"the method {shown(str(name))!r} {what}", "method")
        return "linear", {}
    if isinstance(value, str):
        missing = [k for k, key in METHODS[name].items() if k in ("base", "t", "density", "seed")]
        if missing:
            step.refuse(f"{name} wants {{{name}: {{{', '.join(missing)}}}}}", "method")
        return name, {}
    return name, step.table(METHODS[name], keys, "method", name)


def _inputs(
    step: Reading, entries: Any, method: str
) -> tuple[tuple[str, ...], dict[str, Fraction]]:
    names, weights = list[str](), dict[str, Fraction]()
    for i, entry in enumerate(entries or ()):
        m = step.table(INPUT, {"from": entry} if isinstance(entry, str) else entry, "inputs", i)
        name = m.get("from")
        if name is None:
            continue
        step.state("inputs", i, "from", name=name)
        if name in weights:
            step.refuse(f"{shown(name)!r} stands twice", "inputs", i)
        if m["weight"] is not None and method in ("average", "slerp"):
            step.refuse(f"{method} knows no weights", "inputs", i, "weight")
        given = 1 if m["weight"] is None else m["weight"]
        weight = step.attempt(number, given, at=("inputs", i, "weight"))
        names.append(name)
        weights[name] = Fraction(1) if weight is None else weight
    if not names:
        step.refuse("nothing to merge", "inputs")
    return tuple(names), weights


def _rules(
    step: Reading, entries: Any, inputs: tuple[str, ...], method: str
) -> tuple[WeightRule, ...]:
    found = []
    if entries and method == "average":
        step.refuse("average knows no weights", "rules")
    for i, entry in enumerate(entries or ()):
        m = step.table(RULE, entry, "rules", i)
        test = step.attempt(selector, m.get("select"), at=("rules", i, "select"))
        weights = {}
        for alias, value in (m.get("weight") or {}).items():
            if alias not in inputs:
                step.refuse(f"{shown(alias)!r} is no input", "rules", i, "weight", alias)
            weight = step.attempt(ramp, value, at=("rules", i, "weight", alias))
            weights[alias] = Fraction(0) if weight is None else weight
        outside = m.get("outside")
        if outside is not None:
            outside = step.attempt(number, outside, "outside", at=("rules", i, "outside"))
        if test is not None:
            found.append(WeightRule(test, weights, outside))
    return tuple(found)


def _integers(step: Reading, value: Any, inputs: tuple[str, ...]) -> str | None:
    """Whose integers are taken; None where all must be equal."""
    if value == "must_agree":
        return None
    alias = step.table(FROM, value, "integers").get("from")
    if alias is not None and alias not in inputs:
        step.refuse(f"{shown(str(alias))!r} is no input", "integers", "from")
    return alias
