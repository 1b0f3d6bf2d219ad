"""weightsurgeon: operate on the weights of neural networks, whatever framework wrote them.

    import weightsurgeon as ws

    ws.port("model.keras", "model.pt")
    ws.open("model.pt")["conv1.weight"].numpy()

The names below are attached when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import assemble, merge, open, port, prune, run, soft_update, verify
    from .errors import MappingError, SurgeryError
    from .formats.base import Checkpoint
    from .inspection.diff import diff
    from .inspection.doctor import doctor
    from .inspection.measuring import stats
    from .inspection.report import report
    from .outcome import Report
    from .plan import Plan
    from .pruner import Pruner
    from .soft_updater import SoftUpdater

__version__ = "0.1.0"

_HOMES = {
    "Checkpoint": "formats.base",
    "MappingError": "errors",
    "Plan": "plan",
    "Pruner": "pruner",
    "Report": "outcome",
    "SoftUpdater": "soft_updater",
    "SurgeryError": "errors",
    "assemble": "api",
    "diff": "inspection.diff",
    "doctor": "inspection.doctor",
    "merge": "api",
    "open": "api",
    "port": "api",
    "prune": "api",
    "report": "inspection.report",
    "run": "api",
    "soft_update": "api",
    "stats": "inspection.measuring",
    "verify": "api",
}

__all__ = [
    "Checkpoint",
    "MappingError",
    "Plan",
    "Pruner",
    "Report",
    "SoftUpdater",
    "SurgeryError",
    "assemble",
    "diff",
    "doctor",
    "merge",
    "open",
    "port",
    "prune",
    "report",
    "run",
    "soft_update",
    "stats",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
