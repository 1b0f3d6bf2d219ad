"""The verbs, a few lines each: build a Plan, execute it, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .formats.base import Checkpoint, Limits
from .formats.live import Live
from .mapping.rules import Mapping as Rules
from .opening import open_checkpoint
from .outcome import Report, report
from .plan import Plan
from .planning import plan_port, plan_run
from .reducing import Progress
from .slots import plan_slots
from .steps.reading import PlanLike
from .steps.sides import Openable, PathLike, Policy, Sources
from .surgery import plan_assemble, plan_merge, plan_prune, plan_soft_update
from .verifying import verify
from .writing import write

__all__ = ["assemble", "merge", "open", "port", "prune", "run", "soft_update", "verify"]


def open(  # the verb of the library; the builtin is not used here
    path: Openable, dialect: str | None = None, limits: Limits | None = None
) -> Checkpoint:
    """Open a checkpoint: a Mapping from names to lazy tensors; only headers are read.

    A live `torch.nn.Module`, Keras layer or model is a checkpoint too, with its own names.

    Shapes, dtypes and, where they are known, axes are in `.spec`; values come with `.numpy()`.

    Errors: FormatError for whatever is wrong with the file.
    """
    return path if isinstance(path, Checkpoint) else open_checkpoint(path, dialect, limits)


def port(
    src: Sources,
    dst: PathLike | Live,
    mapping: PathLike | Rules | None = None,
    template: Openable | None = None,
    into: Openable | None = None,
    policy: Policy = (),
    to: str | None = None,
    sizes: Mapping[str, int] | None = None,
    again: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
    dequantise: bool = False,
    optimizers: tuple[Any, Any] | None = None,
    accept: bool = False,
) -> Report:
    """Port a checkpoint to another file, naming and layout; a live model may be on either side.

    A live target is written in place, as far as everything fits: the same Parameters and Variables.

    A mapping with several `sources` takes a dict of them by alias (`{"vision": a, "text": b}`).

    Without a mapping each layer keeps its name and its tensors get the target dialect's leaf names
    and layouts. `template` gives the target's structure, `into` its values too; `sizes` are axes
    that no shape tells (`{"h": 12}`). A mapping with doubts left under `review` is refused unless
    you `accept` them.
    `dequantise` decodes the quantised layers of Keras. Unless `durable` is off, the disk has it
    when this returns. Between two live models `optimizers`, theirs in this order, takes the slots
    of Adam, SGD or RMSprop along, written once the weights are.

    Errors: PlanError with every reason, before a byte is read or written; OutputError.
    """
    asked = policy, to, sizes, again, dequantise, accept
    plan = plan_port(src, dst, mapping, template, into, *asked)
    if optimizers is None:
        return _carried_out(plan, "port", dry_run, progress, durable)
    how = {"mapping": mapping, "policy": policy, "sizes": sizes, "again": again, "accept": accept}
    slots = plan_slots(src, dst, optimizers, **how)
    plan = replace(plan, lines=(*plan.lines, *slots.lines), notes=(*plan.notes, *slots.notes))
    told = _carried_out(plan, "port", dry_run, progress, durable)
    if not dry_run:
        slots.write()
    return told


def run(
    plan: PlanLike,
    /,
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
    step: int | None = None,
    settings: Mapping[str, Any] | None = None,
    **aliases: Openable,
) -> Report:
    """Run a plan, from a YAML file or as a dict: its sources, its steps, its output.

    `aliases` bind sources by name: checkpoints, or paths instead of those in the plan; `settings`
    replace keys of steps (`{"tau": 0.01}`); `step` is the training step, where a schedule asks.

    Errors: PlanError with every problem of the plan and of what it names.
    """
    return _carried_out(plan_run(plan, step, settings, aliases), "run", dry_run, progress, durable)


def assemble(
    parts: Mapping[str, Openable],
    ties: Mapping[str, str] | None = None,
    out: PathLike = "",
    to: str | None = None,
    conflicts: str = "error",
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
) -> Report:
    """One checkpoint from several: each part under its prefix (`{"vision.": a, "text.": b}`).

    `ties` are further names of what the parts hold; `to` is the dialect that all parts are brought
    to; `conflicts` says which part wins a name of two: `first`, `last`, else none and it is
    refused. A plan (`run`) can choose, rename, join, stack and cut as well.

    Errors: PlanError with every reason, before a byte is read or written; OutputError.
    """
    plan = plan_assemble(parts, out, ties, to, conflicts)
    return _carried_out(plan, "assemble", dry_run, progress, durable)


def soft_update(
    online: Openable,
    target: Openable,
    out: PathLike | None = None,
    step: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
    **keys: Any,
) -> Report:
    """Move the tensors of `target` towards those of `online` by a fraction, into `out`.

    `keys` are those of the step: one of `tau`, `decay` (1 − tau), `average` (k states so far:
    tau = 1/(k + 1)); `steps`, `roles`, `rules`, `storage`, `match`, `mapping`, `nonfinite`,
    `on_stall`. Parameters move, running statistics and counters are copied, integers never change
    by computing. Without `out` the target is replaced: a file as a whole, a live model in place,
    the same Parameters and Variables. `step` numbers the update where random numbers are asked for.

    Errors: PlanError with every reason, before a byte of values is read; OutputError.
    """
    plan = plan_soft_update(online, target, out, step, **keys)
    return _carried_out(plan, "soft-update", dry_run, progress, durable)


def merge(
    method: str,
    inputs: Mapping[Any, float] | Iterable[Any],
    out: PathLike,
    base: Openable | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
    density: float | None = None,
    scale: float | None = None,
    t: float | None = None,
    seed: int | None = None,
    elect: bool | None = None,
    **keys: Any,
) -> Report:
    """Merge checkpoints of the same names: `merge("linear", {a: 0.5, b: 0.5}, out)`.

    `method` is linear, average, task (base + Σ w·δ), ties (the largest of each task vector, by
    `density`, where their signs agree), dare (task vectors, thinned out at random by `density` and
    `seed`), slerp (two inputs, `t`), lora (adapters into their `base`). `inputs` are paths with
    weights, or only paths or open checkpoints; `keys` those of the step: `normalize`, `rules`,
    `integers`, `match`.
    Sums are in float64 and rounded once; the dtype is the base's, else the first input's.

    Errors: PlanError with every reason, before a byte of values is read; OutputError.
    """
    pairs = inputs.items() if isinstance(inputs, Mapping) else [(x, None) for x in inputs]
    how = {"density": density, "scale": scale, "t": t, "seed": seed, "elect": elect}
    plan = plan_merge(method, pairs, out, base, how=how, **keys)
    return _carried_out(plan, "merge", dry_run, progress, durable)


def _carried_out(
    plan: Plan, command: str, dry_run: bool, progress: Progress | None, durable: bool
) -> Report:
    """Write a plan, unless it is only looked at: an audit has no path to write to."""
    writes = bool(plan.target.path) and not dry_run
    if writes:
        write(plan, progress, durable)
    return report(plan, command, written=writes)


def prune(
    x: Openable,
    /,
    out: PathLike | None = None,
    *,
    step: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    durable: bool = True,
    **keys: Any,
) -> Report:
    """Set the smallest weights of a checkpoint to zero, exactly as many as asked for.

    `keys` are those of the step `prune`: `amount={"sparsity": 0.5}`, or `sparsity=0.5` for short
    (count, keep, below, nm with axis), `scope`, `select`, … The states that `score={"from": s}` and
    `mask={"apply": m}` name are checkpoints or paths. `step` is the training step of a schedule.
    A live model without `out` is pruned in place: the same Parameters and Variables.

    Errors: PlanError with every problem of the keys and the tensors; nothing is written then.
    """
    plan = plan_prune(x, out, step, **keys)
    return _carried_out(plan, "prune", dry_run, progress, durable)
