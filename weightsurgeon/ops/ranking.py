"""The k-th smallest of many tensors, exactly, in constant memory: a threshold and a tie quota.

Each pass counts one digit of the keys (`ranking`) among those that share the digits found so far.
If not all that equal the threshold go, one more pass finds the place of the last one that does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Again, Reduce
from ..ranking import KINDS, histogram, keys, refuse_unprunable
from ..spec import TensorSpec


class Rank(NamedTuple):
    """Which k of n values are the smallest: those below `key`, and those equal to it up to the
    flat index `last`.

    zeros   values that are zero (by magnitude)
    ties    values that equal the threshold, of which `taken` are among the k
    """

    key: int
    last: int
    n: int
    zeros: int
    k: int
    ties: int
    taken: int


class Amount(NamedTuple):
    """How many of n values, of which z are zero: one of sparsity, count, keep.

    `remaining` counts beside the zeros that are there (sparsity: of what is left).

    >>> Amount("0.29").of(100, 0), Amount(keep=3).of(10, 0), Amount("0.5", remaining=True).of(8, 4)
    (29, 7, 6)
    """

    sparsity: str | None = None  # the text of a decimal or fraction: 0.29 of 100 is 29
    count: int | None = None  # type: ignore[assignment]  # the word of the plan, not of tuples
    keep: int | None = None
    remaining: bool = False

    def of(self, n: int, zeros: int) -> int:
        """The number of values to be pruned. Errors: SpecError `quota` where there are fewer."""
        base = zeros if self.remaining else 0
        if self.sparsity is not None:
            return base + floor(Fraction(self.sparsity) * (n - base))
        if self.keep is not None:
            k, what = n - self.keep, f"{self.keep} are to be kept"
        else:
            k, what = base + (self.count or 0), f"{self.count} are to be pruned"
        if not 0 <= k <= n:
            there = f" beside {base} zeros" if base else ""
            raise SpecError(f"{what}{there}, but there are {n}", "quota")
        return k


@dataclass
class _State:
    """What a pass knows. `pieces`: places of ties in runs whose turn has not come, as bits."""

    kind: str
    n: int
    amount: Amount
    prefix: int = 0
    need: int = 0
    level: int = 0
    counts: Any = None
    zeros: int = 0
    k: int = 0
    ties: int = 0
    seen: int = 0
    last: int | None = None
    pieces: list[tuple[int, int, Any]] = field(default_factory=list)


def _infer(specs: tuple[TensorSpec, ...], kind: str, n: int, **amount: Any) -> None:
    (x,) = specs
    if kind == "hash":
        return
    refuse_unprunable(x.dtype)


def _start(kind: str, n: int, **amount: Any) -> _State:
    return _State(kind, n, Amount(**amount))


def _fold(state: _State, start: int, values: Any) -> _State:
    import numpy as np

    found = keys(values, state.kind)
    if state.level < len(KINDS[state.kind].digits):
        if not state.level:
            state.zeros += found.size - int(np.count_nonzero(found))
        counts = histogram(found, state.kind, state.level, state.prefix)
        state.counts = counts if state.counts is None else np.add(state.counts, counts, counts)
        return state
    equal = found == state.prefix
    count = int(np.count_nonzero(equal))
    if count:
        state.pieces.append((start, count, np.packbits(equal)))
    return state


def _merge(state: _State, later: _State) -> _State:
    if state.level < len(KINDS[state.kind].digits):
        if state.counts is None or later.counts is None:
            state.counts = later.counts if state.counts is None else state.counts
        else:
            state.counts += later.counts
        state.zeros += later.zeros
        return state
    _locate(state)  # all that came before is in `state`, so its turn has come
    state.pieces = later.pieces
    return state


def _locate(state: _State) -> None:
    """Count the ties run by run up to the last that is taken."""
    import numpy as np

    for start, count, bits in state.pieces:
        if state.last is None and state.seen + count >= state.need:
            at = np.flatnonzero(np.unpackbits(bits))[state.need - state.seen - 1]
            state.last = start + int(at)
        state.seen += count
    state.pieces = []


def _finish(state: _State) -> Rank | Again:
    import numpy as np

    kind = KINDS[state.kind]
    if state.level == len(kind.digits):
        _locate(state)
        return _ranked(state, state.last if state.last is not None else -1)
    if not state.level:
        decided = _decided(state)
        if decided is not None:
            return decided
    total = np.cumsum(state.counts)
    digit = int(np.searchsorted(total, state.need))
    state.ties = int(state.counts[digit])
    state.need -= int(total[digit]) - state.ties
    state.prefix = state.prefix << kind.digits[state.level] | digit
    state.level, state.counts = state.level + 1, None
    if state.level == len(kind.digits) and state.ties == state.need:
        return _ranked(state, state.n)
    return Again(state)


def _decided(state: _State) -> Rank | None:
    """The first pass knows k; where none or all go, nothing is left to find."""
    kind = KINDS[state.kind]
    state.need = state.k = k = state.amount.of(state.n, state.zeros)
    if kind.infinite is not None and state.counts is not None:
        finite = state.n - int(state.counts[kind.infinite >> sum(kind.digits[1:]) :].sum())
        if k > finite:
            text = f"{k} are to be pruned, but only {finite} of {state.n} values are finite"
            raise SpecError(text, "quota")
    if k == 0:
        return Rank(0, -1, state.n, state.zeros, 0, 0, 0)
    if k == state.n:
        return Rank((1 << kind.bits) - 1, state.n, state.n, state.zeros, k, 0, 0)
    return None


def _ranked(state: _State, last: int) -> Rank:
    return Rank(state.prefix, last, state.n, state.zeros, state.k, state.ties, state.need)


RANK = Reduce("rank", _infer, _start, _fold, _merge, _finish)
