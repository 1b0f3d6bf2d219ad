"""What need not be decoded: outputs whose bytes lie in a source already, in one run or a few.

A renamed tensor is one run of its file, a fused one the runs of its parts, a part a run inside
the fused one: the kernel copies them. Each op says where its bytes come from (`in_place`, `runs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .expr import LEAF, Expr
from .formats.base import Extent
from .plan import Plan


class Copy(NamedTuple):
    """A run of raw bytes from a source to the output; it may hold several tensors."""

    names: list[str]
    source: Extent
    target: Extent


def bytes_of(expr: Expr) -> Expr:
    """The expression that has the same bytes in the same order: what only renames axes peeled."""
    while expr.op.in_place:
        (expr,) = expr.inputs
    return expr


def source_extents(expr: Expr) -> list[Extent]:
    """Where the bytes of an output lie in the sources already, in order; empty if they do not."""
    found = list(_extents(expr, 0, expr.spec.size)) if expr.spec.size else [_all_of(expr)]
    return [] if None in found else [x for x in found if x is not None]


def _extents(expr: Expr, first: int, last: int) -> Iterator[Extent | None]:
    """The runs of the flat elements first..last; None where one has to be computed."""
    expr = bytes_of(expr)
    if expr.op is LEAF:
        extent = _all_of(expr)
        if extent is not None and (first, last) != (0, expr.spec.size):
            size = expr.spec.dtype.itemsize
            extent = Extent(extent.fd, extent.offset + first * size, (last - first) * size)
        yield extent
        return
    runs = expr.op.runs(expr) if expr.op.runs is not None else None
    if runs is None:
        yield None
        return
    at = 0
    for x, (lo, hi) in runs:
        a, b = max(first - at, 0), min(last - at, hi - lo)
        if a < b:
            yield from _extents(expr.inputs[x], lo + a, lo + b)
        at += hi - lo


def _all_of(expr: Expr) -> Extent | None:
    expr = bytes_of(expr)
    if expr.op is not LEAF:
        return None
    extent: Callable[[str], Extent | None] | None = getattr(expr.params["source"], "extent", None)
    return extent(expr.params["name"]) if extent else None


def step_of(expr: Expr) -> str:
    """How an output will be made: by `copy` or `stream`."""
    return "copy" if source_extents(expr) else "stream"


def copies_of(name: str, expr: Expr, target: Extent | None) -> list[Copy]:
    """The raw copies that make an output; none where it must be computed."""
    found, at = list[Copy](), 0
    for source in source_extents(expr) if target is not None else ():
        place = Extent(target.fd, target.offset + at, source.nbytes)  # type: ignore[union-attr]
        found.append(Copy([name], source, place))
        at += source.nbytes
    return found


def align(plan: Plan) -> tuple[str, int] | None:
    """Which output should lie in its page as its source does: the largest that is copied."""
    extents = {name: source_extents(expr) for name, expr in plan.outputs.items()}
    copied = {name: x[0] for name, x in extents.items() if len(x) == 1 and x[0].nbytes >= 4096}
    if not copied:
        return None
    # the first of the longest run of neighbours; a run is as good as its first tensor is placed
    best, start, length = None, None, 0
    longest, previous = 0, None
    for name, x in copied.items():
        if previous is None or previous.fd != x.fd or previous.offset + previous.nbytes != x.offset:
            start, length = (name, x.offset % 4096), 0
        length, previous = length + x.nbytes, x
        if length > longest:
            best, longest = start, length
    return best


def joined(copies: Iterable[Copy]) -> list[Copy]:
    """Merge steps that continue each other, in the source and in the output, into one run."""
    found: list[Copy] = []
    for step in sorted(copies, key=lambda s: (s.target.fd, s.target.offset)):
        if found and _continues(found[-1], step):
            last = found[-1]
            total = last.source.nbytes + step.source.nbytes
            found[-1] = Copy(
                last.names + step.names,
                last.source._replace(nbytes=total),
                last.target._replace(nbytes=total),
            )
        else:
            found.append(step)
    return found


def _continues(a: Copy, b: Copy) -> bool:
    def follows(x: Extent, y: Extent) -> bool:
        return x.fd == y.fd and x.offset + x.nbytes == y.offset

    return follows(a.source, b.source) and follows(a.target, b.target)
