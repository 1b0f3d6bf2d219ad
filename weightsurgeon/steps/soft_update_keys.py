"""The keys of `soft_update`, read: how far, what is stored, which tensors are treated otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ..errors import shown
from ..mapping.checks import anything, list_of, one_of, size, text
from ..mapping.rules import Mapping as Rules
from ..mapping.schema import Key, Table
from .reading import Reading
from .treatment import ROLES, Rule, fraction, read_rules

KEYS: Table = {
    "online": Key(text),
    "target": Key(text),
    "tau": Key(anything, None),
    "decay": Key(anything, None),
    "average": Key(size, None),
    "steps": Key(size, 1),
    "storage": Key(anything, "keep"),
    "roles": Key(anything, {}),
    "rules": Key(list_of(anything), []),
    "match": Key(one_of("strict", "intersection"), "strict"),
    "mapping": Key(text, None),
    "nonfinite": Key(one_of("error", "propagate"), "error"),
    "on_stall": Key(anything, {}),
    "as": Key(text),
}
STALL: Table = {"warn_above": Key(anything, Decimal("0.5"))}
SEED: Table = {"seed": Key(size)}


class SoftUpdate(NamedTuple):
    """What the keys of a soft update say; `seed` where it rounds at random."""

    online: str
    target: str
    tau: Decimal
    steps: int
    storage: str
    seed: int | None
    roles: Mapping[str, str]
    rules: tuple[Rule, ...]
    match: str
    mapping: Rules | None
    nonfinite: str
    warn_above: Decimal


def read(step: Reading) -> SoftUpdate:
    """The keys of a soft update; exactly one of `tau`, `decay`, `average`."""
    m = step.keys
    step.state("online")
    step.state("target")
    storage, seed = read_storage(step, m["storage"])
    roles = step.table(ROLES, m["roles"], "roles")
    stall = step.table(STALL, m["on_stall"], "on_stall").get("warn_above")
    warn = step.attempt(fraction, stall, "warn_above", at=("on_stall", "warn_above"))
    return SoftUpdate(
        m["online"],
        m["target"],
        read_tau(step),
        m["steps"],
        storage,
        seed,
        roles,
        read_rules(step, m["rules"]),
        m["match"],
        step.mapping("mapping"),
        m["nonfinite"],
        warn if warn is not None else Decimal(1),
    )


def read_tau(step: Reading) -> Decimal:
    """tau itself, 1 − decay, or 1/(k + 1) of a running mean of k states so far."""
    m = step.keys
    given = [key for key in ("tau", "decay", "average") if m[key] is not None]
    if len(given) != 1:
        beside = f", not {' and '.join(given)}" if given else ""
        step.refuse(f"give one of tau, decay, average{beside}")
        return Decimal(0)
    (key,) = given
    if key == "average":
        return Decimal(1) / Decimal(m["average"] + 1)
    found = step.attempt(fraction, m[key], key, at=(key,))
    if found is None:
        return Decimal(0)
    tau: Decimal = found if key == "tau" else Decimal(1) - found
    return tau


def read_storage(step: Reading, value: Any) -> tuple[str, int | None]:
    """How the result is stored, and the seed of stochastic rounding."""
    if value in ("keep", "float32"):
        return str(value), None
    if isinstance(value, dict) and set(value) == {"stochastic"}:
        seed = step.table(SEED, value["stochastic"], "storage", "stochastic").get("seed")
        return "stochastic", seed
    built = "compensated is for live models only: a file has no place for its residual yet; "
    known = "keep | float32 | {stochastic: {seed: n}}"
    told = built if value == "compensated" else ""
    step.refuse(f"storage: {told}wants {known}, not {shown(str(value), 60)!r}", "storage")
    return "keep", None
