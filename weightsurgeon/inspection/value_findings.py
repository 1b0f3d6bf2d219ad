"""Findings from the statistics of single tensors."""

from __future__ import annotations

from collections.abc import Iterator

from ..formats.base import Checkpoint
from .health import Finding, Limits
from .showing import index_of, number
from .statistics import Statistics, Tensor

# dtype: smallest |w| that has no finite place after rounding, exponent below which |w| becomes 0
TARGETS: dict[str, tuple[float, int]] = {
    "float16": (65520.0, -25),
    "float8_e5m2": (61440.0, -17),
    "float8_e4m3fn": (464.0, -10),
    "bfloat16": ((2 - 2.0**-8) * 2.0**127, -134),
}
FRESH_ZERO = ("bias", "beta", "mean", "alpha", "num_batches_tracked")
FRESH_ONE = ("gamma", "variance", "scale")
_LEAVES = {  # where no kind is known, the last word of a name
    **dict.fromkeys(("bias", "beta", "running_mean", "moving_mean"), "bias"),
    **dict.fromkeys(("weight", "gamma", "running_var", "moving_variance", "scale"), "gamma"),
}


def of_values(
    checkpoint: Checkpoint, stats: Statistics, limits: Limits, target: str | None
) -> Iterator[Finding]:
    """What the statistics of each tensor tell by themselves."""
    for t in stats.tensors:
        if t.tied_to is not None:
            continue
        yield from _bad(t)
        if t.dtype.startswith(("float", "bfloat")):
            yield from _range(t, limits, target)
            yield from _shape(t, limits)
        yield from _constant(t)
    yield from _together(checkpoint, stats)


def _bad(t: Tensor) -> Iterator[Finding]:
    s = t.summary
    if s.first_bad is None:
        return
    at = f"first at {index_of(s.first_bad, t.shape)}"
    if s.nan:
        yield Finding("W001", t.name, f"{s.nan:,} NaN, {at}")
    if s.inf:
        yield Finding("W002", t.name, f"{s.inf:,} Inf, {at if not s.nan else 'beside NaN'}")


def _range(t: Tensor, limits: Limits, target: str | None) -> Iterator[Finding]:
    s, largest = t.summary, t.summary.largest
    if largest is None:
        return
    if "W003" in limits and largest > limits["W003"]["largest"]:
        yield Finding("W003", t.name, f"max |w| {number(largest)}", label="heuristic")
    if target is None:
        return
    over, under = TARGETS[target]
    if largest >= over:
        yield Finding("W004", t.name, f"max |w| {number(largest)}, {target} ends at {over:g}")
    filled = s.n - s.zeros
    lost = sum(n for i, n in enumerate(s.counts) if s.low is not None and s.low + i < under)
    if "W005" in limits and filled and lost > limits["W005"]["share"] * filled:
        yield Finding("W005", t.name, f"{100 * lost / filled:.3g} % of what is not 0")


def _shape(t: Tensor, limits: Limits) -> Iterator[Finding]:
    s, quantiles = t.summary, t.summary.quantiles or {}
    if s.largest is None or not s.std:
        return
    p99 = quantiles.get(0.99)
    rule = limits.get("W050")
    if rule and p99 and s.n >= rule["size"] and s.largest > rule["ratio"] * p99:
        text = f"max |w| {number(s.largest)} is {number(s.largest / p99)} × p99"
        yield Finding("W050", t.name, text, label="heuristic")
    near = quantiles.get(0.3)
    rule = limits.get("W060")
    if rule and near is not None and len(t.shape) > 1 and near < rule["ratio"] * s.std:
        text = f"30 % have |w| ≤ {number(near)}, std {number(s.std)}"
        yield Finding("W060", t.name, text, label="heuristic")


def _constant(t: Tensor) -> Iterator[Finding]:
    s = t.summary
    if s.n < 2 or s.std != 0 or s.mean is None or t.dtype.startswith(("int", "uint", "bool")):
        return
    role = t.meaning.role or _LEAVES.get(t.name.replace("/", ".").rpartition(".")[2], "")
    fresh = (role in FRESH_ZERO and s.mean == 0) or (role in FRESH_ONE and s.mean == 1)
    if not (fresh and len([n for n in t.shape if n > 1]) <= 1):
        yield Finding("W031", t.name, f"all {s.n:,} values are {number(s.mean)}")


def _together(checkpoint: Checkpoint, stats: Statistics) -> Iterator[Finding]:
    by_role = dict[str, dict[str, list[str]]]()
    for t in stats.tensors:
        if t.meaning.role:
            by_role.setdefault(t.meaning.role, {}).setdefault(t.dtype, []).append(t.name)
    for role, dtypes in by_role.items():
        if len(dtypes) > 1:
            parts = ", ".join(f"{len(names)} {dtype}" for dtype, names in sorted(dtypes.items()))
            least = min(dtypes.values(), key=len)
            yield Finding("W080", least[0], f"{role}: {parts}")
    for other, name in checkpoint.ties.items():
        if any(t.name == other for t in stats.tensors):
            yield Finding("W090", other, f"the same bytes as {name}")
