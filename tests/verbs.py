"""Every verb that writes, as a plan over the same few small files: for tests of what holds for all.

`plan_of(verb, folder, out)` may be called in a process of its own; `PYTHONPATH` names this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from porting import save

from weightsurgeon.plan import Plan
from weightsurgeon.surgery import (
    plan_assemble,
    plan_cast,
    plan_merge,
    plan_prune,
    plan_reshard,
    plan_soft_update,
)

ALL = "*"
VERBS: dict[str, Callable[[Path, Path, Path], Plan]] = {
    "assemble": lambda a, b, out: plan_assemble({"x.": a, "y.": b}, out),
    "cast": lambda a, b, out: plan_cast(a, out, "bfloat16"),
    "merge average": lambda a, b, out: plan_merge("average", [(a, None), (b, None)], out),
    "merge dare": lambda a, b, out: plan_merge(
        "dare", [(a, 0.5), (b, 1)], out, base=a, how={"density": 0.4, "seed": 3}
    ),
    "merge linear": lambda a, b, out: plan_merge("linear", [(a, 0.3), (b, 0.7)], out),
    "merge slerp": lambda a, b, out: plan_merge(
        "slerp", [(a, None), (b, None)], out, how={"t": 0.3}
    ),
    "merge task": lambda a, b, out: plan_merge("task", [(b, 0.3)], out, base=a),
    "prune axis": lambda a, b, out: plan_prune(
        a, out, sparsity=0.5, scope={"axis": "0"}, select=ALL
    ),
    "prune below": lambda a, b, out: plan_prune(a, out, below=0.5, select=ALL),
    "prune blocks": lambda a, b, out: plan_prune(
        a, out, sparsity=0.5, granularity={"block": {"0": 2}}, ragged="keep", select=ALL
    ),
    "prune global": lambda a, b, out: plan_prune(a, out, sparsity=0.5, select=ALL),
    "prune masks": lambda a, b, out: plan_prune(
        a, out, sparsity=0.4, select=ALL, mask={"write": str(out) + ".masks.safetensors"}
    ),
    "prune nm": lambda a, b, out: plan_prune(
        a, out, nm="2:4", axis="0", ragged="keep", select=ALL
    ),
    "prune random": lambda a, b, out: plan_prune(
        a, out, sparsity=0.5, score={"random": {"seed": 7}}, select=ALL
    ),
    "prune rows": lambda a, b, out: plan_prune(
        a, out, sparsity=0.5, granularity={"axis": "0", "norm": "l2"}, select=ALL
    ),
    "prune scores": lambda a, b, out: plan_prune(
        a, out, sparsity=0.5, score={"from": b}, select=ALL
    ),
    "prune tensor": lambda a, b, out: plan_prune(a, out, keep=9, scope="tensor", select=ALL),
    "reshard": lambda a, b, out: plan_reshard(a, out, "none"),
    "soft update": lambda a, b, out: plan_soft_update(a, b, out, tau=0.1),
    "soft update, stochastic": lambda a, b, out: plan_soft_update(
        a, b, out, tau=0.1, storage={"stochastic": {"seed": 5}}, number=4
    ),
}  # fmt: skip


def files(folder: Path) -> None:
    """Two checkpoints of the same names: ties in plenty, shapes that no block divides."""
    for i, file in enumerate("ab"):
        dice = np.random.default_rng(i)
        save(
            folder / f"{file}.safetensors",
            {
                "w.0": dice.integers(-9, 9, (13, 7)).astype("f4"),
                "w.1": dice.standard_normal((37, 3)).astype("f4"),
                "w.2": dice.standard_normal((5, 3, 4)).astype("f2"),
                "v": dice.standard_normal((12,)).astype("f4"),
            },
        )


def plan_of(verb: str, folder: Path, out: Path) -> Plan:
    """The plan of a verb over those files."""
    return VERBS[verb](folder / "a.safetensors", folder / "b.safetensors", out)
