"""What B is of A: the first class that holds, tried on a corner and then in full.

Movements (another axis order, shape, convention, permuted slices) are looked for only where the
elements are the same bag of bits, or where a dtype differs and rounding may hide that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from math import sqrt
from typing import Any, NamedTuple

from ..conventions import AXES, axes_of
from ..errors import SpecError, shown
from ..expr import Block, Expr, evaluate
from ..formats.base import Meaning
from ..layout import relayout
from ..ops.arithmetic import cast
from ..ops.movement import permute, reshape, take
from ..ops.reduction import DIFFER
from ..pending import reduction
from ..reducing import reduce
from .comparing import CHANGE, Change
from .hashing import BAG, row_hashes
from .showing import number

SAMPLE = 4096
RANK = 4  # all axis orders are tried up to here
SCALED = 1e-6
EXPLAINED = 1e-3
DIALECTS = ("keras", "torch", "onnx", "flax", "tf")
SHORT = {"bfloat16": "bf16", "float16": "fp16", "float32": "f32", "float64": "f64"}
CLASSES = (
    *("identical", "equal", "dtype-rounded", "reshaped", "transposed", "relayout", "permuted"),
    *("scaled", "soft-updated", "changed", "shape"),
)


class Relation(NamedTuple):
    """The class, how B is made of A in words, and the numbers where values differ."""

    name: str
    detail: str = ""
    change: Change | None = None
    permutation: tuple[int, tuple[int, ...]] | None = None


def corner(spec: Any) -> Block:
    """A block of at most `SAMPLE` elements."""
    block, left = list[tuple[int, int]](), SAMPLE
    for n in reversed(spec.shape):
        size = min(n, max(1, left))
        block.append((0, size))
        left //= max(1, size)
    return tuple(reversed(block))


def same(x: Expr, y: Expr) -> bool:
    """Whether two tensors have the same shape, dtype and bits; a corner is looked at first."""
    if x.spec.shape != y.spec.shape or x.spec.dtype != y.spec.dtype:
        return False
    block = corner(y.spec)
    if evaluate(x, block).tobytes() != evaluate(y, block).tobytes():
        return False
    return bool(reduce({"": reduction(DIFFER, x, y)}, workers=1)[""].count == 0)


def related(x: Expr, y: Expr, a: Meaning, b: Meaning) -> Relation:
    """What B (y) is of A (x), where their bits are known to differ."""
    x, y = x.named(None), y.named(None)
    if x.spec.dtype == y.spec.dtype and x.spec.size == y.spec.size:
        bags = reduce({"x": reduction(BAG, x), "y": reduction(BAG, y)}, workers=1)
        moved = bags["x"] == bags["y"]
        found = next(_movements(x, y, a, b), None) if moved else None
    else:
        found = next(_movements(x, y, a, b), None)
    if found is not None:
        return found
    if x.spec.shape != y.spec.shape:
        return Relation("shape", f"{_shape(x)} against {_shape(y)}")
    return _values(x, y)


def _shape(x: Expr) -> str:
    return "×".join(map(str, x.spec.shape)) or "scalar"


def _values(x: Expr, y: Expr) -> Relation:
    """How far the values are apart."""
    change: Change = reduce({"": reduction(CHANGE, x, y)}, workers=1)[""]
    if not change.changed:
        return Relation("equal", "same values, other bits", change)
    if _is_scaled(change) and change.scale is not None:
        return Relation("scaled", f"B = {change.scale[0]:.6g}·A", change)
    return Relation("changed", "", change)


def _is_scaled(change: Change) -> bool:
    """Whether one factor explains B, and all but a thousandth of what changed."""
    if change.scale is None or change.worst == float("inf"):
        return False
    left = change.scale[1]
    return left <= SCALED and left * sqrt(change.bb) <= EXPLAINED * sqrt(change.dd)


# -- movements -------------------------------------------------------------------------------


def _movements(x: Expr, y: Expr, a: Meaning, b: Meaning) -> Iterator[Relation]:
    """The ways in which B may be A moved or rounded, that hold."""
    for name, text, moved in _candidates(x, y, a, b):
        for written, left, right in _roundings(text, moved, y):
            if left.spec.shape == right.spec.shape and same(left, right):
                rounded = left is not moved or right is not y
                plain = name if text != "A" or not rounded else "dtype-rounded"
                if text != "A" or rounded:
                    yield Relation(plain, written)
    if x.spec.dtype == y.spec.dtype and x.spec.shape == y.spec.shape:
        yield from _permuted(x, y)


def _roundings(text: str, x: Expr, y: Expr) -> Iterator[tuple[str, Expr, Expr]]:
    """As it is; rounded to the other's dtype; the other rounded to this one's."""
    here, there = x.spec.dtype, y.spec.dtype
    if here == there:
        yield f"B = {text}", x, y
        return
    if here.kind == there.kind == "float" and min(here.bits, there.bits) >= 8:
        yield f"B = {SHORT.get(there.name, there.name)}({text})", cast(x, there, "inf"), y
        yield f"{text} = {SHORT.get(here.name, here.name)}(B)", x, cast(y, here, "inf")


def _candidates(x: Expr, y: Expr, a: Meaning, b: Meaning) -> Iterator[tuple[str, str, Expr]]:
    shape = y.spec.shape
    if x.spec.size != y.spec.size:
        return
    if x.spec.shape == shape:
        yield "equal", "A", x
    else:
        yield "reshaped", f"A.reshape{shape}", reshape(x, shape)
    rank = len(shape)
    if 2 <= rank == len(x.spec.shape) <= RANK:
        for order in permutations(range(rank)):
            turned = tuple(x.spec.shape[i] for i in order)
            if turned == shape and order != tuple(range(rank)):
                text = "A.T" if order == tuple(range(rank))[::-1] else f"A.permute{order}"
                yield "transposed", text, permute(x, order)
    yield from _conventions(x, y, a, b)


def _conventions(x: Expr, y: Expr, a: Meaning, b: Meaning) -> Iterator[tuple[str, str, Expr]]:
    """A as the rows of another dialect would lay it, or as B is known to lie."""
    if a.axes is None or a.kind is None or a.role is None:
        return
    wanted = [b.axes] if b.axes is not None else []
    if f"{a.kind}.{a.role}" in AXES:
        for dialect in DIALECTS:
            try:
                axes = axes_of(a.kind, a.role, dialect, len(y.spec.shape), a.options)
            except SpecError:
                continue
            wanted += [axes] if axes is not None else []
    for axes in dict.fromkeys(wanted):
        try:
            moved = relayout(x, a.axes, axes)
        except SpecError:
            continue
        if moved.spec.shape == y.spec.shape and str(axes) != str(a.axes):
            yield "relayout", f"A from [{a.axes}] to [{axes}]", moved.named(None)


def _permuted(x: Expr, y: Expr) -> Iterator[Relation]:
    """Slices of one axis in another order."""
    import numpy as np

    for axis, size in enumerate(x.spec.shape):
        if size < 2 or not x.spec.size:
            continue
        found = reduce({"x": row_hashes(x, axis), "y": row_hashes(y, axis)}, workers=1)
        a, b = (np.argsort(found[k], kind="stable") for k in "xy")
        if not np.array_equal(found["x"][a], found["y"][b]):
            continue
        order = np.empty(size, np.int64)
        order[b] = a
        indices = tuple(order.tolist())
        if same(take(x, axis, indices), y):
            yield Relation("permuted", ordered(axis, indices), None, (axis, indices))


def ordered(axis: int, order: Sequence[int]) -> str:
    """A permutation in words; whole blocks that moved (gates, heads) are told as blocks.

    >>> ordered(0, (2, 3, 0, 1)), ordered(1, (2, 0, 1))
    ('B = A with the 2 blocks of axis 0 as 1 0', 'B = A with axis 1 as 2 0 1')
    """
    n = len(order)
    for parts in (2, 3, 4):
        width = n // parts
        starts = [order[i * width] for i in range(parts)] if n % parts == 0 and width > 1 else []
        if starts and all(
            order[i] == starts[i // width] + i % width and starts[i // width] % width == 0
            for i in range(n)
        ):
            words = " ".join(str(s // width) for s in starts)
            return f"B = A with the {parts} blocks of axis {axis} as {words}"
    words = " ".join(map(str, order[:8])) + (" …" if n > 8 else "")
    return f"B = A with axis {axis} as {words}"


def told(change: Change, at: Sequence[int]) -> str:
    """The numbers of a change in words."""
    share = 100 * change.changed / change.n if change.n else 0.0
    flips = 100 * change.flips / change.n if change.n else 0.0
    parts = [
        f"max|Δ| {number(change.worst)} at {list(at)}",
        f"‖Δ‖/‖A‖ {number(change.relative)}",
        "cos –" if change.cosine is None else f"cos {change.cosine:.6g}",
        f"changed {share:.3g} %",
        f"flips {flips:.3g} %",
    ]
    return shown("   ".join(parts))


Progress = Callable[[int], None]
