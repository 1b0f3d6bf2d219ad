"""Counts that the work itself keeps, because no plan can know them: changed, stalled, zeros.

An op may hold a tally under `params["tally"]` and add to it block by block, from any thread. A
tally is no part of what an expression says or is: it shows in no text, no hash and no comparison.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from .expr import Expr


class Tally:
    """A bag of counters that several workers add to.

    >>> tally = Tally()
    >>> tally.add(changed=3, stalled=0)
    >>> tally.add(changed=1)
    >>> tally.counts
    {'changed': 4, 'stalled': 0}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> dict[str, int]:
        """The counters as they stand; none before the first block."""
        with self._lock:
            return dict(self._counts)

    def add(self, **counts: int) -> None:
        """Add to counters; one that was not there begins at 0."""
        with self._lock:
            for key, n in counts.items():
                self._counts[key] = self._counts.get(key, 0) + int(n)

    def reset(self) -> None:
        """Forget everything: reductions may have evaluated what is now going to be written."""
        with self._lock:
            self._counts.clear()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally)  # expressions are equal whatever was counted

    def __hash__(self) -> int:
        return hash(Tally)

    def __repr__(self) -> str:
        return f"Tally({self.counts})"


def tallies(expr: Expr) -> Iterator[Tally]:
    """Every tally in an expression, each once."""
    seen = set[int]()

    def visit(x: Expr) -> Iterator[Tally]:
        tally = x.params.get("tally")
        if isinstance(tally, Tally) and id(tally) not in seen:
            seen.add(id(tally))
            yield tally
        for inner in x.inputs:
            yield from visit(inner)

    return visit(expr)


def counted(expr: Expr) -> dict[str, int]:
    """What the last step counted in an output; counts of one name are added.

    Tallies below an op of several inputs are of an earlier state: they say nothing of this output,
    and have counted more than once where that state is read more than once.
    """
    total: dict[str, int] = {}
    while True:
        tally = expr.params.get("tally")
        for key, n in tally.counts.items() if isinstance(tally, Tally) else ():
            total[key] = total.get(key, 0) + n
        if len(expr.inputs) != 1:
            return total
        (expr,) = expr.inputs
