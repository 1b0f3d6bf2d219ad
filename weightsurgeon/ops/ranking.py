"""The k-th smallest of many tensors, exactly, in bounded memory: a threshold and a tie quota.

A glance at one value of 64 tells between which keys (`ranking`) the k-th will lie: a window. One
pass counts what lies below it, and holds or counts what lies in it; where that does not decide,
the window is narrowed. If not all that equal the threshold go, the span in which the last of them
lies is read once more.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor, sqrt
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import GLANCE, Again, Reduce
from ..ranking import KINDS, refuse_unprunable
from ..spec import TensorSpec
from . import windows
from .windows import State, Window, close, fold, locate, merge


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


def _infer(specs: tuple[TensorSpec, ...], kind: str, n: int, **amount: Any) -> None:
    (x,) = specs
    if kind == "hash":
        return
    refuse_unprunable(x.dtype)


def _start(kind: str, n: int, **amount: Any) -> State | Again:
    every = Window(0, 1 << KINDS[kind].bits)
    state = State(kind, n, Amount(**amount), window=every)
    if n <= windows.SMALL:
        return state
    return Again(replace(state, aim="glance"), GLANCE)


# -- the end of a pass -----------------------------------------------------------------------


def _finish(state: State) -> Rank | Again:
    if state.aim == "locate":
        locate(state)
        return state.found._replace(last=-1 if state.last is None else state.last)  # type: ignore[union-attr]
    close(state)
    if state.aim == "glance":
        return _again(state, _guess(state))
    lo, size, shift = state.window
    if state.first:
        state.k = state.amount.of(state.n, state.zeros)
        if state.k == 0:
            return Rank(0, -1, state.n, state.zeros, 0, 0, 0)
    most = KINDS[state.kind].infinite
    if most is not None and lo + size > most and state.k > (finite := state.n - state.infinite):
        text = f"{state.k} are to be pruned, but only {finite} of {state.n} values are finite"
        raise SpecError(text, "quota")
    if state.k == state.n and lo + size == 1 << KINDS[state.kind].bits:
        return Rank(lo + size - 1, state.n, state.n, state.zeros, state.k, 0, 0)
    if state.k <= state.below:
        return _again(state, _counted(0, lo))
    if state.k > state.below + state.inside:
        return _again(state, _counted(lo + size, (1 << KINDS[state.kind].bits) - lo - size))
    if shift < 0 and state.parts is None:
        return _again(state, _counted(lo, size))
    return _chosen(state)


def _guess(state: State) -> Window:
    """Where the k-th key will lie, by those that were looked at."""
    import numpy as np

    sample = np.concatenate([x.keys for x in state.parts or ()])
    state.parts = []
    sample.sort()
    zeros = int(np.searchsorted(sample, sample.dtype.type(1)))
    k = state.amount.of(state.n, zeros * state.n // sample.size)
    p = k / state.n
    at = int(p * sample.size)
    about = 8 + int(8 * sqrt(sample.size * p * (1 - p)))  # eight standard deviations
    lo = int(sample[at - about]) if at > about else 0
    hi = int(sample[at + about]) + 1 if at + about < sample.size else 1 << KINDS[state.kind].bits
    return Window(lo, hi - lo, 0 if hi - lo <= windows.BINS else -1)


def _counted(lo: int, size: int) -> Window:
    """A window that is counted in as fine bins as there may be."""
    return Window(lo, size, max(0, (size - 1).bit_length() - windows.BINS.bit_length() + 1))


def _again(state: State, window: Window) -> Again:
    first = state.first and state.aim == "glance"
    fresh = State(state.kind, state.n, state.amount, "count", window, first)
    return Again(replace(fresh, zeros=0 if first else state.zeros, k=state.k))


def _chosen(state: State) -> Rank | Again:
    """The k-th is in the window: its key, or the bin it is in."""
    import numpy as np

    need, (lo, _, shift) = state.k - state.below, state.window
    if shift < 0:
        held = np.concatenate([x.keys for x in state.parts or () if x.keys is not None])
        held.partition(need - 1)
        digit = held[need - 1]
        before, ties = int(np.count_nonzero(held < digit)), int(np.count_nonzero(held == digit))
    else:
        total = np.cumsum(state.counts)
        digit = int(np.searchsorted(total, need))
        ties = int(state.counts[digit])
        before = int(total[digit]) - ties
    if shift > 0:
        return _again(state, _counted(lo + (int(digit) << shift), 1 << shift))
    rank = Rank(lo + int(digit), state.n, state.n, state.zeros, state.k, ties, need - before)
    if rank.taken == rank.ties:
        return rank
    return _in_a_span(state, rank, digit)


def _in_a_span(state: State, rank: Rank, digit: Any) -> Again:
    """Find the last tie that goes: in the span where the quota ends, if that is known."""
    import numpy as np

    found = State(state.kind, state.n, state.amount, "locate", found=rank)
    for part in state.parts or ():
        of_part = part.counts[digit] if part.counts is not None else 0
        if part.keys is not None:
            of_part = np.count_nonzero(part.keys == digit)
        if found.seen + int(of_part) >= rank.taken:
            return Again(found, (part.start, part.start + 1))
        found.seen += int(of_part)
    return Again(replace(found, seen=0))


RANK = Reduce("rank", _infer, _start, fold, merge, _finish)
