"""Norms along a named axis, and the parts that an axis has: units, gates, heads.

The axis is moved outermost, so that each of its entries is a run; the rows of a run are summed in
float64. An axis is told by its name in the tensor's layout, or by its number where none is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SpecError
from ..expr import Expr, Reduce
from ..layout import relayout, solve
from ..notation import atoms
from ..ops.movement import crop, permute
from ..spec import Axes, Axis, TensorSpec

if TYPE_CHECKING:
    from ..expr import Array


class Along(NamedTuple):
    """Norms per entry of an axis: arrays of its length; non-finite values make them non-finite."""

    axis: str
    l1: Array
    l2: Array
    max: Array
    sum: Array


def has_axis(x: Expr, axis: str) -> bool:
    """Whether a tensor has this axis, by name or number."""
    if axis.isascii() and axis.isdigit():
        return int(axis) < len(x.spec.shape)
    return x.spec.axes is not None and any(a.name == axis for a in atoms(x.spec.axes))


def outermost(x: Expr, axis: str, sizes: Mapping[str, int] | None = None) -> Expr:
    """The tensor with one axis moved to the front, the others behind it as they lay.

    Errors: SpecError if it has no such axis, or a size of a group stays unknown.
    """
    if not has_axis(x, axis):
        raise SpecError(f"{x.spec} has no axis {axis}", "layout")
    if axis.isascii() and axis.isdigit():
        at = int(axis)
        rest = [i for i in range(len(x.spec.shape)) if i != at]
        return permute(x.named(None), [at, *rest])
    have = x.spec.axes
    assert have is not None  # noqa: S101  # for the type checker; has_axis looked
    flat = atoms(have)
    known = solve([(have, x.spec.shape)], _only(sizes, flat))
    first = next(a for a in flat if a.name == axis)
    want = Axes([(first,), *((a,) for a in flat if a.name != axis)])
    return relayout(x, have, want, known)


def _only(sizes: Mapping[str, int] | None, flat: Any) -> dict[str, int]:
    return {a.name: sizes[a.name] for a in flat if sizes and a.name in sizes}


def parts(x: Expr, axis: str, sizes: Mapping[str, int] | None = None) -> Iterator[tuple[str, Expr]]:
    """The tensor cut at each entry of an axis: its letter or number, and the part.

    >>> from weightsurgeon.expr import array
    >>> from weightsurgeon.notation import parse
    >>> bias = array([1, 2, 3, 4], axes=parse("(g:zr unit)"))
    >>> [(label, part.numpy().tolist()) for label, part in parts(bias, "g")]
    [('z', [[1, 2]]), ('r', [[3, 4]])]
    """
    front = outermost(x, axis, sizes)
    letters = _letters(front, axis)
    for i in range(front.spec.shape[0]):
        yield letters[i] if letters else str(i), crop(front, 0, i, i + 1)


def _letters(front: Expr, axis: str) -> str:
    axes = front.spec.axes
    first: Axis | None = axes[0][0] if axes else None
    return first.letters if first is not None and first.name == axis else ""


# -- the reduction ---------------------------------------------------------------------------


class _State(NamedTuple):
    width: int
    l1: Array
    squares: Array
    max: Array
    sum: Array


def _infer(specs: tuple[TensorSpec, ...], rows: int, width: int) -> None:
    if rows * width != specs[0].size:
        raise SpecError(f"{specs[0]} does not have {rows} rows of {width}")


def _start(rows: int, width: int) -> _State:
    import numpy as np

    return _State(width, *(np.zeros(rows) for _ in range(4)))


def _fold(state: _State, start: int, values: Array) -> _State:
    import numpy as np

    width = state.width
    first, last = start // width, (start + values.size - 1) // width
    cuts = np.maximum(np.arange(first, last + 1) * width - start, 0)
    rows = slice(first, last + 1)
    with np.errstate(all="ignore"):
        wide = values.astype("c16" if values.dtype.kind == "c" else "f8")
        if wide.dtype.kind == "c":
            wide = np.abs(wide)
        size = np.abs(wide)
        state.sum[rows] += np.add.reduceat(wide, cuts)
        state.l1[rows] += np.add.reduceat(size, cuts)
        state.squares[rows] += np.add.reduceat(wide * wide, cuts)
        state.max[rows] = np.maximum(state.max[rows], np.maximum.reduceat(size, cuts))
    return state


def _merge(state: _State, later: _State) -> _State:
    import numpy as np

    state.l1[:] += later.l1
    state.squares[:] += later.squares
    state.sum[:] += later.sum
    state.max[:] = np.maximum(state.max, later.max)
    return state


def _finish(state: _State) -> Along:
    import numpy as np

    return Along("", state.l1, np.sqrt(state.squares), state.max, state.sum)


ALONG = Reduce("along", _infer, _start, _fold, _merge, _finish)


def row_shape(x: Expr) -> dict[str, int]:
    """The params of `ALONG` for a tensor whose first axis is asked about."""
    rows = x.spec.shape[0]
    return {"rows": rows, "width": prod(x.spec.shape[1:])}
