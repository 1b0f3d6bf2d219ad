"""Verbs of one step: the plan that a call or a command line means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import OutputError
from .formats.base import Checkpoint
from .plan import Plan
from .planning import plan_run
from .steps.sides import PathLike


def plan_step(
    verb: str,
    keys: Mapping[str, Any],
    states: Mapping[str, PathLike | Checkpoint],
    out: PathLike,
    number: int | None = None,
) -> Plan:
    """The plan of one step of which the result is the output; keys that are None are left out."""
    given = {key: value for key, value in keys.items() if value is not None}
    return plan_run(
        {
            "weightsurgeon": 1,
            "steps": [{verb: {**given, "as": "result"}}],
            "output": {"from": "result", "path": os.fspath(out)},
        },
        number,
        aliases=states,
    )


def plan_soft_update(
    online: PathLike | Checkpoint,
    target: PathLike | Checkpoint,
    out: PathLike | None = None,
    number: int | None = None,
    **keys: Any,
) -> Plan:
    """The plan of a soft update of a file; without `out` the target is replaced.

    Errors: PlanError with every reason; OutputError where the target is no file.
    """
    if out is None and isinstance(target, Checkpoint):
        raise OutputError("a checkpoint that is open is not replaced: give `out`")
    path = out if out is not None else target
    states = {"online": online, "target": target}
    named = {"online": "online", "target": "target"}
    return plan_step("soft_update", named | keys, states, path, number)  # type: ignore[arg-type]
