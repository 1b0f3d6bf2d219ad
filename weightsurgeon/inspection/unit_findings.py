"""Findings about units: dead, unused, duplicate, much larger than the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..expr import evaluate
from ..formats.base import Checkpoint
from .axes import Along
from .health import Finding, Limits
from .layers import FIRE, Kernel, Link
from .showing import number

if TYPE_CHECKING:
    from ..expr import Array

RELU = ("", "linear", "relu", "relu6")  # behind others a constant unit is no dead one
SHOWN = 100  # units of a kernel that get a line of their own


def vector(checkpoint: Checkpoint, name: str | None, size: int) -> Array:
    """A bias in float64; zeros where there is none."""
    import numpy as np

    return np.zeros(size) if name is None else checkpoint[name].numpy().astype("f8").reshape(-1)


def dead(
    checkpoint: Checkpoint,
    kernel: Kernel,
    norms: Along,
    link: Link | None,
    span: tuple[float, float] | None,
) -> Iterator[Finding]:
    """Units that cannot fire behind a ReLU, whatever comes: three proofs, one after the other."""
    import numpy as np

    if kernel.activation not in RELU:
        return
    bias = vector(checkpoint, kernel.bias, kernel.out)
    label = "certain" if kernel.ground != "inferred" else "heuristic"
    empty = norms.max == 0
    for u in np.flatnonzero(empty & (bias <= 0)).tolist()[:SHOWN]:
        yield Finding("W020", kernel.name, f"incoming 0, bias {number(bias[u])}", u, label)
    negative = (norms.sum == -norms.l1) & ~empty & (bias <= 0)
    if link is not None and link.before is not None and link.certain and link.fires in FIRE:
        for u in np.flatnonzero(negative).tolist()[:SHOWN]:
            text = f"all weights ≤ 0 behind {link.fires}, bias {number(bias[u])}"
            yield Finding("W020", kernel.name, text, u, label)
    elif span is not None and (link is None or link.before is None):
        most = bias + span[1] * (norms.l1 + norms.sum) / 2 + span[0] * (norms.sum - norms.l1) / 2
        for u in np.flatnonzero((most <= 0) & ~empty).tolist()[:SHOWN]:
            text = f"at most {number(most[u])} for inputs in {span[0]:g} … {span[1]:g}"
            yield Finding("W020", kernel.name, text, u, label)


def silent_norms(checkpoint: Checkpoint, limits: Limits) -> Iterator[Finding]:
    """Units of a batch normalisation that a ReLU behind it would never let through."""
    import numpy as np

    layers: dict[str, dict[str, str]] = {}
    for name in checkpoint:
        m = checkpoint.meaning(name)
        if m.kind == "batchnorm" and m.role in ("gamma", "beta"):
            layers.setdefault(m.layer, {})[m.role] = name
    for roles in layers.values():
        if len(roles) < 2:
            continue
        gamma, beta = (vector(checkpoint, roles[r], 0) for r in ("gamma", "beta"))
        for u in np.flatnonzero((gamma == 0) & (beta <= 0)).tolist()[:SHOWN]:
            yield Finding("W020", roles["gamma"], f"γ 0, β {number(beta[u])}", u)
        with np.errstate(all="ignore"):
            sigmas = beta / np.abs(gamma)
        for u in np.flatnonzero((gamma != 0) & (sigmas < limits["W020"]["sigmas"])).tolist():
            text = f"β/|γ| {number(sigmas[u])}: fires for < 0.1 % of Gaussian inputs"
            yield Finding("W020", roles["gamma"], text, u, "heuristic")


def unused(
    kernel: Kernel, read_by: list[Kernel] | None, columns: Mapping[str, Along]
) -> Iterator[Finding]:
    """Units that all their readers, each of them known, multiply by 0."""
    import numpy as np

    if not read_by or any(r.name not in columns for r in read_by):
        return
    most = np.max([columns[r.name].max for r in read_by], axis=0)
    names = ", ".join(r.name for r in read_by)
    for u in np.flatnonzero(most == 0).tolist()[:SHOWN]:
        yield Finding("W021", kernel.name, f"its weights in {names} are all 0", u)


def duplicates(kernel: Kernel, hashes: Any, norms: Along, limits: Limits) -> Iterator[Finding]:
    """Units of the same incoming bits; and, of small kernels, of the same direction."""
    import numpy as np

    seen, twins = dict[int, int](), set[int]()
    for u, value in enumerate(hashes.tolist()):
        first = seen.setdefault(value, u)
        if first != u and norms.max[u] > 0 and _row(kernel, first) == _row(kernel, u):
            twins.add(u)
            text = f"incoming weights are those of unit {first}, bit for bit"
            yield Finding("W022", kernel.name, text, u)
    rule = limits["W022"]
    if kernel.out > rule["units"] or kernel.x.spec.size > rule["size"] or kernel.fan_in < 2:
        return
    with np.errstate(all="ignore"):
        rows = evaluate(kernel.x).astype("f8") / norms.l2[:, None]
    rows = np.where(np.isfinite(rows), rows, 0.0)
    near = np.triu(rows @ rows.T, 1) > rule["cosine"]
    for a, b in np.argwhere(near).tolist()[:SHOWN]:
        if b not in twins and a not in twins:
            cosine = float(rows[a] @ rows[b])
            text = f"cosine {cosine:.7f} with unit {a}"
            yield Finding("W022", kernel.name, text, b, "heuristic")


def _row(kernel: Kernel, unit: int) -> bytes:
    return evaluate(kernel.x, ((unit, unit + 1), (0, kernel.fan_in))).tobytes()


def loud(kernel: Kernel, norms: Along, limits: Limits) -> Iterator[Finding]:
    """Units whose norm is many times the median."""
    import numpy as np

    with np.errstate(all="ignore"):
        median = float(np.median(norms.l2))
    if not isfinite(median) or not median:
        return
    for u in np.flatnonzero(norms.l2 > limits["W050"]["ratio"] * median).tolist()[:SHOWN]:
        text = f"norm {number(norms.l2[u])} is {number(norms.l2[u] / median)} × the median"
        yield Finding("W050", kernel.name, text, u, "heuristic")
