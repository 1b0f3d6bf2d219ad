"""`doctor`: what is wrong with the weights of a checkpoint, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import SurgeryError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..opening import open_readable
from ..ops.movement import permute
from ..pending import Reduction, reduction
from ..reducing import reduce
from ..steps.sides import Openable, PathLike, opened
from . import layer_findings, unit_findings
from .axes import ALONG, Along, outermost, row_shape
from .gradients import Loss, gradients, judged
from .hashing import row_hashes
from .health import Finding, Health, Limits, in_order, limits_of
from .layers import Kernel, kernels, links, readers
from .measuring import stats
from .selection import described
from .statistics import Statistics
from .value_findings import TARGETS, of_values

Rules = Mapping[str, Any]
GRADIENTS = ("W013", "W014")  # asked only of live models


def doctor(
    checkpoint: Openable,
    target: str | None = None,
    init: Openable | None = None,
    input_range: tuple[float, float] | None = None,
    rules: PathLike | Rules | None = None,
    loss_fn: Loss | None = None,
    progress: Callable[[int], None] | None = None,
) -> Health:
    """Examine a checkpoint, a file or a live model; findings come worst first.

    `target` asks whether the values fit another dtype; `init` is the checkpoint training began
    with; `input_range` is what the first layer is fed with. `rules` moves thresholds, or turns
    rules off (`{"W050": {"ratio": 30}, "W060": "off"}`, or a YAML file of that).

    `loss_fn` takes a live model to a scalar loss on your batch: one backward pass tells whether its
    gradients explode or vanish, and leaves the model as it was.

    Errors: FormatError of the file; SurgeryError of the rules, the target or the loss.
    """
    limits = limits_of(rules if isinstance(rules, Mapping) else _read(rules))
    if target is not None and target not in TARGETS:
        raise SurgeryError(f"no target {shown(target)!r}; known: {', '.join(TARGETS)}")
    found, flaws = _readable(checkpoint)
    first = None if init is None else opened(init)
    measured = stats(found, progress=progress)
    live = None if loss_fn is None else list(judged(gradients(checkpoint, loss_fn), limits))
    return examined(found, measured, limits, target, first, input_range, live, flaws)


def _readable(checkpoint: Openable) -> tuple[Checkpoint, list[Finding]]:
    """What is examined: of a set of shards all that can be read, and what is wrong with the set."""
    if not isinstance(checkpoint, str | os.PathLike):
        return opened(checkpoint), []
    found, flaws = open_readable(checkpoint)
    return found, [Finding("W071" if f.twice else "W070", f.shard, f.what) for f in flaws]


def examined(
    found: Checkpoint,
    measured: Statistics,
    limits: Limits,
    target: str | None = None,
    first: Checkpoint | None = None,
    input_range: tuple[float, float] | None = None,
    live: Sequence[Finding] | None = None,
    flaws: Sequence[Finding] = (),
) -> Health:
    """The findings of a checkpoint whose statistics are there already; `live` ones, and those of
    its files (`flaws`), are added."""
    if live is None:
        limits = {code: of for code, of in limits.items() if code not in GRADIENTS}
    layers = kernels(found)
    findings = [
        *flaws,
        *of_values(found, measured, limits, target),
        *_of_layers(found, layers, measured, limits, first),
        *_of_units(found, layers, limits, input_range),
        *(live or ()),
    ]
    found.source.check_unchanged()
    asked = in_order([f for f in findings if f.code in limits])
    return Health(described(found), asked, limits, measured.totals["parameters"], _notes(layers))


def _read(path: PathLike | None) -> Rules:
    if path is None:
        return {}
    from pathlib import Path

    from ..mapping.yaml_data import load

    file = os.fspath(path)
    value = load(Path(file).read_text(encoding="utf-8"), file).value
    if not isinstance(value, Mapping):
        raise SurgeryError(f"{shown(file)}: rules are a map, as in `W050: {{ratio: 30}}`")
    return value


def _notes(layers: list[Kernel]) -> tuple[str, ...]:
    guessed = [k.name for k in layers if k.ground == "inferred"]
    if not guessed:
        return ()
    told = "1 kernel is" if len(guessed) == 1 else f"{len(guessed)} kernels are"
    return (f"{told} taken to lie out first, as torch has them (inferred)",)


def _of_layers(
    found: Checkpoint, layers: list[Kernel], measured: Any, limits: Limits, init: Checkpoint | None
) -> Iterator[Finding]:
    yield from layer_findings.gains(layers, links(found, layers), measured, limits)
    yield from layer_findings.untrained(found, measured, init)
    if "W040" in limits:
        for kernel in (k for k in layers if not k.apart):
            yield from layer_findings.collapsed(kernel, measured[kernel.name], limits)
    if "W012" in limits:
        yield from layer_findings.recurrent(found, limits)


def _of_units(
    found: Checkpoint, layers: list[Kernel], limits: Limits, span: tuple[float, float] | None
) -> Iterator[Finding]:
    """What the rows of kernels tell; they share one pass."""
    layers = [k for k in layers if k.x.spec.size]
    wave: dict[str, Reduction] = {}
    for k in layers:
        wave[f"n {k.name}"] = reduction(ALONG, k.x, **row_shape(k.x))
        wave[f"h {k.name}"] = row_hashes(k.x, 0)
        columns = _columns(found, k)
        if columns is not None:
            wave[f"c {k.name}"] = reduction(ALONG, columns, **row_shape(columns))
    results = reduce(wave)
    fed, read_by = links(found, layers), readers(found.source.graph(), layers)
    columns_of: dict[str, Along] = {
        k.name: results[f"c {k.name}"] for k in layers if f"c {k.name}" in results
    }
    for k in layers:
        norms: Along = results[f"n {k.name}"]
        if "W020" in limits:
            yield from unit_findings.dead(found, k, norms, fed.get(k.name), span)
        yield from unit_findings.unused(k, read_by[k.name], columns_of)
        if "W022" in limits and not k.apart:  # equal ones read different channels
            yield from unit_findings.duplicates(k, results[f"h {k.name}"], norms, limits)
        if "W050" in limits:
            yield from unit_findings.loud(k, norms, limits)
    if "W020" in limits:
        yield from unit_findings.silent_norms(found, limits)


def _columns(found: Checkpoint, kernel: Kernel) -> Expr | None:
    """The kernel with the channels it reads in front, where the graph may ask for them."""
    if found.source.graph() is None:
        return None
    if kernel.fan_in == kernel.width and not kernel.apart:
        return permute(kernel.x, (1, 0))
    axes = found.meaning(kernel.name).axes
    plain = axes is not None and any(len(g) == 1 and g[0].name == "in" for g in axes)
    return outermost(found[kernel.name], "in") if plain else None
