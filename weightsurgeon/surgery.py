"""Verbs of one step: the plan that a call or a command line means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import OutputError
from .plan import Plan
from .planning import plan_run, plan_step
from .steps.sides import Openable, PathLike


def plan_soft_update(
    online: Openable,
    target: Openable,
    out: PathLike | None = None,
    number: int | None = None,
    **keys: Any,
) -> Plan:
    """The plan of a soft update of a file; without `out` the target is replaced.

    Errors: PlanError with every reason; OutputError where the target is no file.
    """
    path = out if out is not None else target
    if not isinstance(path, str | os.PathLike):
        raise OutputError("only a file is replaced: give `out`")
    states = {"online": online, "target": target}
    named = {"online": "online", "target": "target"}
    return plan_step("soft_update", named | keys, path, states, number)


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
