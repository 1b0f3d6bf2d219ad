"""Exact order statistics of |w|: the threshold of a wanted sparsity, and exact quantiles.

Both are the ranking by which `prune` finds its thresholds, so what is told here is what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import Any, NamedTuple

from ..errors import SpecError, SurgeryError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..ops.ranking import RANK, Rank
from ..pending import reduction, reduction_over
from ..ranking import magnitude_kind, refuse_unprunable
from ..reducing import reduce
from ..table import human_count
from .showing import percent, plain
from .summary import LEVELS, Summary

Progress = Callable[[int], None]


class Threshold(NamedTuple):
    """The |w| at or below which `pruned` of `n` values lie, seen over all tensors at once.

    ties   values that equal it, of which `taken` are among the pruned
    zeros  values that are zero already
    """

    sparsity: str
    value: float
    pruned: int
    n: int
    zeros: int
    ties: int
    taken: int

    def to_json(self) -> dict[str, Any]:
        """The threshold as data."""
        return plain(self._asdict())  # type: ignore[no-any-return]

    def __str__(self) -> str:
        share, ties = percent(self.pruned, self.n), self.ties - self.taken
        left = f", {ties:,} of {self.ties:,} ties stay" if ties else ""
        where = f"|w| ≤ {self.value:.6g} prunes {share} % of {human_count(self.n)}"
        return f"{where} (global, exact{left}; {self.zeros:,} are zero already)"


def threshold_for(
    found: Checkpoint, names: Sequence[str], sparsity: str | float, progress: Progress | None = None
) -> Threshold:
    """The threshold that prunes this share of all floats among these tensors, exactly.

    Errors: SurgeryError for a share outside 0 … 1; SpecError `quota` where fewer are finite.
    """
    text = _share(sparsity)
    tensors = [found[n] for n in names if _prunable(found[n])]
    kind, n = magnitude_kind([x.spec.dtype for x in tensors]), sum(x.spec.size for x in tensors)
    job = reduction_over(RANK, [(x,) for x in tensors], kind=kind, n=n, sparsity=text)
    rank: Rank = reduce({"": job}, progress)[""]
    value = _value(rank.key, kind) if 0 < rank.k < rank.n else float("inf") if rank.k else 0.0
    return Threshold(text, value, rank.k, rank.n, rank.zeros, rank.ties, rank.taken)


def _share(sparsity: str | float) -> str:
    try:
        share = Decimal(str(sparsity))
    except InvalidOperation:
        share = Decimal(-1)
    if not (share.is_finite() and 0 <= share <= 1):
        raise SurgeryError(f"a sparsity is a number from 0 to 1, not {shown(sparsity)!r}")
    return str(share)


def _prunable(x: Expr) -> bool:
    try:
        refuse_unprunable(x.spec.dtype)
    except SpecError:
        return False
    return x.spec.dtype.kind == "float"


def _value(key: int, kind: str) -> float:
    """The magnitude whose key this is."""
    import numpy as np

    bits = {"bfloat16": 32, "float16": 16, "float32": 32, "float64": 64}[kind]
    word = np.array([key << 16 if kind == "bfloat16" else key], f"u{bits // 8}")
    return float(word.view(f"f{bits // 8}")[0])


def sharpened(x: Expr, summary: Summary, progress: Progress | None = None) -> Summary:
    """The statistics with exact quantiles, where they were read from counts of leading bits."""
    if not summary.bound or summary.quantiles is None:
        return summary
    kind, size = magnitude_kind([x.spec.dtype]), x.spec.size
    wave = {
        str(q): reduction(RANK, x, kind=kind, n=size, count=max(1, ceil(q * summary.n)))
        for q in LEVELS
    }
    ranks = reduce(wave, progress)
    exact = {q: _value(ranks[str(q)].key, kind) for q in LEVELS}
    return summary._replace(quantiles=exact, bound=0.0)
