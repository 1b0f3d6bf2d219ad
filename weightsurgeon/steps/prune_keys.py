"""The keys of `prune`, read: how much, of what, ranked how, and where masks come from and go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..mapping.checks import anything, flag, map_of, one_of, size, text
from ..mapping.schema import Key, Table
from ..mapping.select import Test, selector
from ..ops.ranking import Amount
from ..ops.units import NORMS
from .reading import Reading
from .schedule import fraction, positive, schedule_of

KEYS: Table = {
    "from": Key(text),
    "select": Key(anything, {"role": "kernel"}),
    "exclude": Key(anything, None),
    "optional": Key(flag, False),
    "amount": Key(anything, None),
    "schedule": Key(anything, None),
    "scope": Key(anything, None),
    "granularity": Key(anything, "element"),
    "of": Key(one_of("all", "remaining"), "all"),
    "score": Key(anything, "magnitude"),
    "nonfinite": Key(one_of("error", "keep", "zero"), "error"),
    "ragged": Key(one_of("error", "keep"), "error"),
    "mask": Key(anything, None),
    "as": Key(text),
}
_PATTERN = re.compile(r"(\d{1,4}):(\d{1,4})")
_UNSET: Any = None


AMOUNT: Table = {
    "sparsity": Key(fraction, _UNSET),
    "count": Key(size, _UNSET),
    "keep": Key(size, _UNSET),
    "below": Key(positive, _UNSET),
    "nm": Key(text, _UNSET),
    "axis": Key(text, _UNSET),
}
AXIS: Table = {"axis": Key(text)}
ROWS: Table = {"axis": Key(text), "norm": Key(one_of(*NORMS), "l2")}
BLOCKS: Table = {
    "block": Key(map_of(size)),
    "reduce": Key(one_of("mean", "max", "l1", "l2"), "mean"),
}
RANDOM: Table = {"random": Key(anything)}
SEED: Table = {"seed": Key(size)}
SCORES: Table = {"from": Key(text)}
WRITE: Table = {"write": Key(text), "packed": Key(flag, True)}
APPLY: Table = {"apply": Key(text)}


class Pattern(NamedTuple):
    """At most `most` non-zeros in every `group` neighbours along an axis."""

    most: int
    group: int
    axis: str


class Units(NamedTuple):
    """What counts as one: an entry of `axis`, or a block of so many along each axis."""

    axis: str | None
    block: Mapping[str, int]
    norm: str


class Masks(NamedTuple):
    """Where masks are written, or which are applied: a state's, or those `embedded`."""

    write: str | None = None
    packed: bool = True
    apply: str | None = None


class Pruning(NamedTuple):
    """What a prune's keys say. `amount` is that of a step of training, where a schedule asks."""

    source: str
    select: Test
    exclude: Test | None
    roles: bool  # whether the selection is by roles, which may be unknown
    optional: bool
    amount: Callable[[int | None], Amount] | None
    below: str | None
    pattern: Pattern | None
    scope: str  # global, tensor, or ":" and an axis
    units: Units | None
    seed: int | None
    scores: str | None
    nonfinite: str
    ragged: bool
    masks: Masks


def read(step: Reading) -> Pruning | None:
    """The keys of a prune; None where some are wrong, which is remembered."""
    m = step.keys
    step.state("from")
    select = step.attempt(selector, m["select"], at=("select",))
    exclude = None
    if m["exclude"] is not None:
        exclude = step.attempt(selector, m["exclude"], at=("exclude",))
    masks = _masks(step, m["mask"])
    amount = _amount(step, m)
    below, pattern = _below(step, m), pattern_of(step, m["amount"], "amount")
    units, (seed, scores) = _units(step, m["granularity"]), _score(step, m["score"])
    asked = [what is not None for what in (amount, below, pattern, masks.apply)]
    if sum(asked) > 1:
        step.refuse("give one of `amount`, `schedule` and `mask: {apply: …}`")
    if not any(asked) and m["amount"] is None and m["schedule"] is None:
        step.refuse("wants `amount`, `schedule`, or `mask: {apply: …}`: how much shall go?")
    scope = _scope(step, m["scope"])
    if m["scope"] is not None and (below or pattern or masks.apply):
        step.refuse("a scope has no meaning here: nothing is ranked", "scope")
    if scope[0] == ":" and units:
        step.refuse("a scope of an axis ranks elements, not rows or blocks", "scope")
    if units and (pattern or scores or masks.apply):
        step.refuse("rows and blocks are ranked by their norm or at random", "granularity")
    if (below or pattern) and (seed is not None or scores):
        step.refuse("`below` and `nm` look at magnitudes", "score")
    if m["of"] == "remaining" and (seed is not None or scores):
        step.refuse("`of: remaining` counts zeros, which rank first by magnitude only", "of")
    if select is None:
        return None
    roles = isinstance(m["select"], dict) and "role" in m["select"]
    return Pruning(
        m["from"], select, exclude, roles, m["optional"], amount, below, pattern, scope, units,
        seed, scores, m["nonfinite"], m["ragged"] == "keep", masks,
    )  # fmt: skip


def _amount(step: Reading, m: Mapping[str, Any]) -> Callable[[int | None], Amount] | None:
    remaining = m["of"] == "remaining"
    if m["schedule"] is not None:
        at = schedule_of(step, m["schedule"])
        return None if at is None else lambda n: Amount(str(at(n)), remaining=remaining)
    if m["amount"] is None:
        return None
    found = step.table(AMOUNT, m["amount"], "amount")
    given = [key for key, value in found.items() if value is not None and key != "axis"]
    if len(given) != 1 and found:
        step.refuse("wants one of sparsity, count, keep, below, nm", "amount")
    if not found or given[:1] in (["below"], ["nm"], []):
        return None
    sparsity = None if found["sparsity"] is None else str(found["sparsity"])
    fixed = Amount(sparsity, found["count"], found["keep"], remaining)
    return lambda n: fixed


def _below(step: Reading, m: Mapping[str, Any]) -> str | None:
    given = m["amount"].get("below") if isinstance(m["amount"], dict) else None
    return None if given is None else str(given)


def pattern_of(step: Reading, given: Any, *at: str) -> Pattern | None:
    """The N:M pattern under `nm` and `axis`."""
    if not isinstance(given, dict) or given.get("nm") is None:
        return None
    found = _PATTERN.fullmatch(str(given["nm"]))
    most, group = map(int, found.groups()) if found else (1, 0)
    if not 0 <= most <= group or not group:
        step.refuse('wants a pattern such as "2:4", in quotes', *at, "nm")
    axis = given.get("axis")
    if not isinstance(axis, str):
        step.refuse("nm wants the axis its groups lie along, as in axis: in", *at)
        return None
    return Pattern(most, group, axis)


def _scope(step: Reading, given: Any) -> str:
    if given in (None, "global", "tensor"):
        return given or "global"
    found = step.table(AXIS, given, "scope") if isinstance(given, dict) else {}
    if not found.get("axis"):
        step.refuse("wants global | tensor | {axis: out}", "scope")
        return "global"
    return f":{found['axis']}"


def _units(step: Reading, given: Any) -> Units | None:
    if given == "element":
        return None
    if not isinstance(given, dict):
        step.refuse("wants element | {axis: out, norm: l2} | {block: {…}}", "granularity")
        return None
    if "block" in given:
        found = step.table(BLOCKS, given, "granularity")
        sizes = found.get("block") or {}
        if not all(sizes.values()):
            step.refuse("a block has at least one element along each axis", "granularity")
        norm = found.get("reduce")
        return Units(None, sizes, "linf" if norm == "max" else str(norm))
    found = step.table(ROWS, given, "granularity")
    return Units(found.get("axis"), {}, str(found.get("norm")))


def _score(step: Reading, given: Any) -> tuple[int | None, str | None]:
    """The seed of random scores, or the state that holds scores; neither for magnitudes."""
    if given == "magnitude":
        return None, None
    if isinstance(given, dict) and "random" in given:
        found = step.table(RANDOM, given, "score")
        seed = step.table(SEED, found["random"], "score", "random").get("seed")
        return (0 if seed is None else int(seed)), None
    if isinstance(given, dict) and "from" in given:
        name = step.table(SCORES, given, "score")["from"]
        step.state("score", "from", name=name)
        return None, name
    step.refuse("wants magnitude | {random: {seed: 7}} | {from: scores}", "score")
    return None, None


def _masks(step: Reading, given: Any) -> Masks:
    if given is None:
        return Masks()
    if isinstance(given, dict) and "apply" in given:
        apply = step.table(APPLY, given, "mask")["apply"]
        if apply not in (None, "embedded"):
            step.state("mask", "apply", name=apply)
        return Masks(apply=apply)
    found = step.table(WRITE, given, "mask")
    return Masks(found.get("write"), found.get("packed", True))
