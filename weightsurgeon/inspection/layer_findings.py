"""Findings about layers: gain along a chain, rank, what was never trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log10

from ..expr import evaluate
from ..formats.base import Checkpoint
from ..reducing import reduce
from .hashing import row_hashes
from .health import Finding, Limits
from .layers import Kernel, Link
from .relation import same
from .showing import number
from .spectra import spectrum_of
from .statistics import Statistics
from .summary import Summary

LINEAR = ("linear",)
FRESH = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0}


def gains(
    found: list[Kernel], links: Mapping[str, Link], stats: Statistics, limits: Limits
) -> Iterator[Finding]:
    """Chains along which signals grow or die: Σ log₁₀ g, g = fan_in·E[w²]/2 behind a ReLU.

    Source: He et al. 2015, arXiv:1502.01852. A normalisation starts the sum anew.
    """
    totals = dict[str, tuple[float, int]]()
    ends = dict[str, tuple[float, int]]()
    for kernel in found:
        s = stats[kernel.name]
        link = links.get(kernel.name)
        if not s.n or not s.l2 or link is None:
            continue
        own = log10(kernel.fan_in * s.l2 / s.n * s.l2)
        own -= 0.0 if kernel.activation in LINEAR and link.certain else log10(2)
        before = link.before.name if link.before is not None else ""
        total, length = totals.get(before, (0.0, 0)) if not link.resets else (0.0, 0)
        totals[kernel.name] = ends[kernel.name] = (total + own, length + 1)
        if not link.resets:
            ends.pop(before, None)
    for name, (total, length) in ends.items():
        for code, sign in (("W010", 1), ("W011", -1)):
            if code in limits and sign * total > limits[code]["decades"]:
                text = f"Σ log10 gain {total:+.2f} over {length} layers that end here"
                yield Finding(code, name, text, label="heuristic")


def untrained(
    checkpoint: Checkpoint, stats: Statistics, init: Checkpoint | None
) -> Iterator[Finding]:
    """Normalisations as they are made; with the initial checkpoint, what did not move since."""
    layers: dict[str, dict[str, Summary]] = {}
    names: dict[str, str] = {}
    for t in stats.tensors:
        if t.meaning.kind == "batchnorm" and t.meaning.role in FRESH:
            layers.setdefault(t.meaning.layer, {})[t.meaning.role] = t.summary
            names.setdefault(t.meaning.layer, t.name)
    for layer, roles in layers.items():
        fresh = all(s.n and s.std == 0 and s.mean == FRESH[r] for r, s in roles.items())
        if fresh and {"mean", "variance"} <= set(roles):
            yield Finding("W030", names[layer], "γ 1, β 0, μ 0, σ² 1 everywhere")
    if init is None:
        return
    for t in stats.tensors:
        name, x = t.name, checkpoint[t.name]
        varied = t.summary.n and t.summary.std
        if name not in init or not varied or t.tied_to is not None:
            continue
        y = init[name]
        if same(x.named(None), y.named(None)):
            yield Finding("W030", name, "bit for bit as in the initial checkpoint")
        elif t.meaning.role == "embedding" and x.spec == y.spec and len(x.spec.shape) == 2:
            rows = reduce({"x": row_hashes(x, 0), "y": row_hashes(y, 0)})
            still = int((rows["x"] == rows["y"]).sum())
            if still:
                yield Finding("W030", name, f"{still:,} of {x.spec.shape[0]:,} rows did not move")


def collapsed(kernel: Kernel, s: Summary, limits: Limits) -> Iterator[Finding]:
    """Kernels whose energy lies in fewer than two directions: ‖W‖F² / ‖W‖₂²."""
    rule = limits["W040"]
    short = min(kernel.out, kernel.fan_in)
    if not rule["side"] <= short <= rule["longest"] or s.nan or s.inf or not s.l2:
        return
    spectrum = spectrum_of(kernel.x)
    if spectrum is not None and spectrum.stable_rank < rule["stable_rank"]:
        text = f"stable rank {number(spectrum.stable_rank)} of {short}"
        yield Finding("W040", kernel.name, text, label="heuristic")


def recurrent(checkpoint: Checkpoint, limits: Limits) -> Iterator[Finding]:
    """Plain recurrent kernels whose largest eigenvalue makes states grow, or be forgotten."""
    import numpy as np

    rule = limits["W012"]
    for name in checkpoint:
        m, x = checkpoint.meaning(name), checkpoint[name]
        shape = x.spec.shape
        plain = m.kind == "rnn" and m.role == "recurrent_kernel"
        if not plain or len(shape) != 2 or shape[0] != shape[1] or shape[0] > rule["side"]:
            continue
        values = evaluate(x).astype("f8")
        if not np.isfinite(values).all():
            continue
        radius = float(np.abs(np.linalg.eigvals(values)).max())
        if radius > rule["above"] or radius < rule["below"]:
            yield Finding("W012", name, f"spectral radius {number(radius)}", label="heuristic")
