"""The verbs of a plan, one small module each: it reads named states and names a new one.

A module has `KEYS`, the table of what may stand under the verb; `read`, which checks what the
table cannot and says which states the step reads; and `plan`, the Plan of the step.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

STEPS: dict[str, str] = {
    "transfer": ".transfer",
    "assemble": ".assemble",
    "cast": ".cast",
    "soft_update": ".soft_update",
    "prune": ".prune",
    "merge": ".merge",
    "verify": ".verify",
}


def module_of(verb: str) -> Any:
    """The module of a verb, imported when a plan uses it.

    >>> "into" in module_of("transfer").KEYS
    True
    """
    return import_module(STEPS[verb], __name__)
