"""Keys between two bounds: counted below, held or counted within, span by span.

This is what one pass of `ranking` does; what it means for the next one is decided there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ranking import KINDS, keys_of_run

if TYPE_CHECKING:
    from .ranking import Amount, Rank

SMALL = 2**20  # so many keys are simply held
SAMPLE = 2**22  # of this many keys at most, a glance makes its guess
BINS = 2**16  # of a histogram
HELD = 2**22  # keys that are held at most


class Window(NamedTuple):
    """`size` keys from `lo` on; counted in bins of 2^shift keys, or held if `shift` < 0."""

    lo: int
    size: int
    shift: int = -1

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return -(-self.size >> self.shift)


class Part(NamedTuple):
    """What a span has in the window: its first flat index, its keys, or its counts by bin."""

    start: int
    keys: Any
    counts: Any


@dataclass
class State:
    """What a pass knows: `glance` at some keys, count and hold those in a window, locate ties.

    below    keys under the window, `inside` those in it
    parts    of each span; None where they were too many to hold
    """

    kind: str
    n: int
    amount: Amount
    aim: str = "count"  # glance, count, locate
    window: Window = field(default=Window(0, 0))
    first: bool = True
    below: int = 0
    inside: int = 0
    counts: Any = None
    loose: list[Any] = field(default_factory=list)  # of the span in hand, so many:
    size: int = 0
    start: int | None = None
    parts: list[Part] | None = field(default_factory=list)
    zeros: int = 0
    infinite: int = 0
    k: int = 0
    found: Rank | None = None
    seen: int = 0
    last: int | None = None
    pieces: list[tuple[int, int, Any]] = field(default_factory=list)


# -- one run of values -----------------------------------------------------------------------


def fold(state: State, start: int, values: Any) -> State:
    """One run: located in, looked at, or counted."""
    import numpy as np

    from ..packed import PIECE

    state.start = start if state.start is None else state.start
    for lo in range(0, values.size, PIECE):
        found = keys_of_run(values[lo : lo + PIECE], state.kind)
        if state.aim == "locate":
            equal = found == state.found.key  # type: ignore[union-attr]
            if count := int(np.count_nonzero(equal)):
                state.pieces.append((start + lo, count, np.packbits(equal)))
        elif state.aim == "glance":
            state.loose.append(found[:: ceil(state.n / 64 / SAMPLE)].copy())
        else:
            _count(state, found)
    return state


def _count(state: State, found: Any) -> None:
    """Count keys below the window, and take those in it."""
    import numpy as np

    kind, (lo, size, _), word = KINDS[state.kind], state.window, found.dtype.type
    most = kind.infinite
    if most is not None and lo + size > most and found.max(initial=0) >= most:
        state.infinite += int(np.count_nonzero(found >= word(most)))
    if state.first:
        state.zeros += found.size - int(np.count_nonzero(found))
    inside = None
    if lo:
        inside = found >= word(lo)
        state.below += found.size - int(np.count_nonzero(inside))
    if lo + size < 1 << kind.bits:
        under = found < word(lo + size)
        inside = under if inside is None else np.logical_and(inside, under, out=inside)
    if inside is not None:
        found = found[inside]
    state.inside += found.size
    if not found.size or (state.parts is None and state.window.shift < 0):
        return
    state.loose.append(found - word(lo))
    state.size += found.size
    if state.size >= (BINS if state.window.shift >= 0 else SMALL + 1):
        _gather(state)


def _gather(state: State) -> None:
    """Bring what is loose to where it is counted or held."""
    import numpy as np

    if not state.loose:
        return
    loose, state.loose = np.concatenate(state.loose), []
    if state.window.shift < 0 and state.size <= SMALL:
        state.loose = [loose]
    elif state.window.shift < 0:
        state.parts = None
    else:
        state.size = 0
        bins = (loose >> loose.dtype.type(state.window.shift)).astype(np.intp)
        counts = np.bincount(bins, minlength=state.window.bins)
        state.counts = counts if state.counts is None else state.counts + counts


# -- states of spans joined ------------------------------------------------------------------


def close(state: State) -> State:
    """A span is folded: what it has in the window becomes a part."""
    if state.start is None or state.aim == "locate":
        return state
    _gather(state)
    held = state.loose[0] if state.loose else None
    counts = state.counts if state.counts is not None and len(state.counts) <= 4096 else None
    if state.parts is not None and (state.window.shift < 0 or counts is not None):
        state.parts.append(Part(state.start, held, counts))
    else:
        state.parts = None
    state.loose, state.size, state.start = [], 0, None
    return state


def merge(state: State, later: State) -> State:
    """What came before and what follows, as one."""
    import numpy as np

    if state.aim == "locate":
        locate(state)  # all that came before is in `state`, so its turn has come
        state.pieces = later.pieces
        return state
    close(state)
    close(later)
    state.zeros += later.zeros if state.first else 0  # later passes know them from the start
    for name in ("below", "inside", "infinite"):
        setattr(state, name, getattr(state, name) + getattr(later, name))
    if later.counts is not None:
        state.counts = later.counts if state.counts is None else np.add(state.counts, later.counts)
    full = state.window.shift < 0 and state.inside > HELD
    if full or state.parts is None or later.parts is None:
        state.parts = None
    else:
        state.parts += later.parts
    return state


def locate(state: State) -> None:
    """Count the ties run by run up to the last that is taken."""
    import numpy as np

    rank = state.found
    for start, count, bits in state.pieces if rank is not None else ():
        if state.last is None and rank is not None and state.seen + count >= rank.taken:
            at = np.flatnonzero(np.unpackbits(bits))[rank.taken - state.seen - 1]
            state.last = start + int(at)
        state.seen += count
    state.pieces = []
