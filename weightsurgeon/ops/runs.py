"""Movements that keep long runs of bytes, so that the kernel may copy them undecoded.

Along the first axis that is longer than one, a range is one run and a join is its parts. Behind
other axes there is a run for each of their places: worth it only where each of them is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..expr import Expr
from ..spec import TensorSpec

LONG_RUN = 2**18  # bytes: below, one call for each run costs more than to stream a block of them
MANY_RUNS = 64

Span = tuple[int, int]
Runs = list[tuple[int, Span]]


def crop_runs(expr: Expr) -> Runs | None:
    """The runs of a range of an axis."""
    span = expr.params["lo"], expr.params["hi"]
    return _slabs([(expr.inputs[0].spec, [span])], expr.params["axis"])


def concat_runs(expr: Expr) -> Runs | None:
    """The runs of joined tensors."""
    axis = expr.params["axis"]
    return _slabs([(x.spec, [(0, x.spec.shape[axis])]) for x in expr.inputs], axis)


def take_runs(expr: Expr) -> Runs | None:
    """The runs of picked entries: gates in another order are as many runs as there are gates."""
    x, axis, indices = expr.inputs[0].spec, expr.params["axis"], expr.params["indices"]
    if len(indices) > MANY_RUNS and _nbytes(x, axis) < LONG_RUN:
        return None
    return _slabs([(x, [(i, i + 1) for i in indices])], axis)


def _nbytes(x: TensorSpec, axis: int) -> int:
    """Bytes of one entry of an axis."""
    return prod(x.shape[axis + 1 :]) * x.dtype.bits // 8


def _slabs(inputs: Sequence[tuple[TensorSpec, list[Span]]], axis: int) -> Runs | None:
    """The ranges along an axis of each input, in turn for each place on the axes before it."""
    outer = prod(inputs[0][0].shape[:axis])
    for x, spans in inputs if outer > 1 else ():
        if min((hi - lo for lo, hi in spans), default=0) * _nbytes(x, axis) < LONG_RUN:
            return None
    runs = Runs()
    for n in range(outer):
        for i, (x, spans) in enumerate(inputs):
            inner = prod(x.shape[axis + 1 :])
            start = n * x.shape[axis] * inner
            runs += [(i, (start + lo * inner, start + hi * inner)) for lo, hi in spans]
    return runs
