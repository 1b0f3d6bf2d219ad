"""Verbs of one step: the plan that a call or a command line means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from .errors import OutputError
from .formats.base import Checkpoint
from .formats.live import LiveSource, is_live
from .plan import Plan, Target
from .planning import plan_run, plan_step
from .steps.prune_keys import AMOUNT
from .steps.schedule import filled, scheduled
from .steps.sides import Openable, PathLike


def plan_soft_update(
    online: Openable,
    target: Openable,
    out: PathLike | None = None,
    number: int | None = None,
    **keys: Any,
) -> Plan:
    """The plan of a soft update; without `out` a file is replaced, a live target moves in place.

    Errors: PlanError with every reason; OutputError where the target is neither.
    """
    path = target if out is None and isinstance(target, str | os.PathLike) else out
    if path is None and not (is_live(target) or _is_open_live(target)):
        raise OutputError("only a file or a live model is replaced: give `out`")
    states = {"online": online, "target": target}
    named = {"online": "online", "target": "target"}
    into = "" if path is not None else "target"
    return plan_step("soft_update", named | keys, path or "", states, number, into)


def _is_open_live(target: object) -> bool:
    return isinstance(target, Checkpoint) and isinstance(target.source, LiveSource)


def plan_assemble(
    parts: Mapping[str, Openable],
    out: PathLike,
    ties: Mapping[str, str] | None = None,
    to: str | None = None,
    conflicts: str = "error",
) -> Plan:
    """The plan of an assembly of whole checkpoints, each under its prefix."""
    files = {f"part{i}": part for i, part in enumerate(parts.values())}
    entries: list[dict[str, str]] = [
        {"from": alias, **({"prefix": prefix} if prefix else {})}
        for alias, prefix in zip(files, parts, strict=True)
    ]
    keys = {"parts": entries, "ties": ties, "conflicts": conflicts, "to": to}
    return plan_step("assemble", keys, out, files)


def plan_cast(
    src: Openable,
    out: PathLike,
    dtype: str,
    select: Any = None,
    exclude: Any = None,
    overflow: str = "error",
) -> Plan:
    """The plan of a cast of the floats of a checkpoint, or of some of them."""
    keys = {"dtype": dtype, "select": select, "exclude": exclude, "overflow": overflow}
    return plan_step("cast", {"from": "source", **keys}, out, {"source": src})


def plan_reshard(src: Openable, out: PathLike, shard_size: str | int, ties: str = "store") -> Plan:
    """The plan that changes nothing but into how many files the tensors are divided."""
    output = {"from": "source", "path": os.fspath(out), "shard_size": shard_size, "ties": ties}
    return plan_run({"weightsurgeon": 1, "output": output}, aliases={"source": src})


def plan_merge(
    method: str,
    inputs: Iterable[tuple[Openable, Any]],
    out: PathLike,
    base: Openable | None = None,
    number: int | None = None,
    how: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Plan:
    """The plan of a merge of files, each with its weight or None; `how` are the method's keys.

    The inputs are called input1, input2, … in `rules`, `integers` and the report.
    """
    states: dict[str, Openable] = {}
    entries = []
    for i, (path, weight) in enumerate(inputs, 1):
        states[f"input{i}"] = path
        entries.append({"from": f"input{i}", **({"weight": weight} if weight is not None else {})})
    given = {key: value for key, value in (how or {}).items() if value is not None}
    if base is not None:
        states["base"], given["base"] = base, "base"
    named = {"method": {method: given} if given else method, "inputs": entries}
    return plan_step("merge", named | keys, out, states, number)


def plan_prune(
    x: Openable, out: PathLike | None = None, number: int | None = None, **keys: Any
) -> Plan:
    """The plan of a prune.

    Without `out` a live model is pruned in place. What scores and masks name may be open already.

    Errors: PlanError with every reason; OutputError where a file would be replaced.
    """
    aliases: dict[str, Openable] = {"input": x}
    amount = {word: keys.pop(word) for word in AMOUNT if word in keys}
    keys |= {"amount": amount} if amount else {}
    for key, word in (("score", "from"), ("mask", "apply")):
        given = keys.get(key)
        if isinstance(given, Mapping) and given.get(word) not in (None, "embedded"):
            aliases[key] = given[word]
            keys[key] = {word: key}
    path = "in-place.safetensors" if out is None else out
    plan = plan_step("prune", {"from": "input", **keys}, path, aliases, number)
    if out is None:
        source = plan.sources["input"]
        if not isinstance(source, LiveSource):
            raise OutputError("only a live model is pruned in place: give `out`")
        target = Target(source.path, source.container, source.dialect, source)
        plan = replace(plan, target=target)
    return plan


def amount_at(keys: Mapping[str, Any], number: int) -> Fraction:
    """The sparsity that the schedule among the keys of a prune has at a step; 1 without one."""
    schedule = keys.get("schedule")
    return Fraction(1) if schedule is None else scheduled(filled(schedule), number)
