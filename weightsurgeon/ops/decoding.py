"""Quantised storage decoded: nibbles as integers, integers as the numbers that they stand for.

`divided` and `scaled_back` compute in float64 and hand it on; the one rounding is a cast behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import TensorSpec, dtype_of

Specs = tuple[TensorSpec, ...]


def nibbles(x: Expr, axis: int, size: int) -> Expr:
    """Two integers of 4 bits a byte along an axis, the low one first, two's complement, as int8.

    >>> from weightsurgeon.expr import array
    >>> import numpy as np
    >>> nibbles(array(np.array([0x21, 0xF8], "u1").view("i1")), 0, 4).numpy().tolist()
    [1, 2, -8, -1]
    """
    return apply(NIBBLES, x, axis=axis % len(x.spec.shape), size=size)


def divided(q: Expr, scale: Expr) -> Expr:
    """w = q / scale, the scale with size 1 where it holds for all entries of an axis.

    >>> from weightsurgeon.expr import array
    >>> import numpy as np
    >>> divided(array(np.array([127], "i1")), array([254.0])).numpy().tolist()
    [0.5]
    """
    return apply(DIVIDED, q, scale)


def scaled_back(q: Expr, scale: Expr, zero: Expr, blocks: Expr, axis: int) -> Expr:
    """w = (q − zero)·scale, with the zero and scale of the block that `blocks` gives each entry.

    Shapes: q, scale and zero alike but for `axis`, along which scale and zero have blocks.

    >>> from weightsurgeon.expr import array
    >>> import numpy as np
    >>> q, zero = (array(np.array(x, "i1")) for x in ([3, 5], [1, 1]))
    >>> scaled_back(q, array([2.0, 4.0]), zero, array([0.0, 1.0]), 0).numpy().tolist()
    [4.0, 16.0]
    """
    return apply(SCALED_BACK, q, scale, zero, blocks, axis=axis)


def _nibbles_infer(specs: Specs, axis: int, size: int) -> TensorSpec:
    (x,) = specs
    if x.dtype.name != "int8" or -(-size // 2) != x.shape[axis]:
        raise SpecError(f"{x} is no packed storage of {size} entries along axis {axis}")
    return TensorSpec(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :]))


def _nibbles_pull(expr: Expr, block: Block) -> list[Block]:
    axis = expr.params["axis"]
    lo, hi = block[axis]
    return [(*block[:axis], (lo // 2, -(-hi // 2)), *block[axis + 1 :])]


def _nibbles(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    axis = expr.params["axis"]
    lo, hi = block[axis]
    (x,) = values
    both = np.stack([x << 4 >> 4, x >> 4], axis + 1)  # shifts of int8 keep the sign
    flat = both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    where = (*(slice(None),) * axis, slice(lo % 2, lo % 2 + hi - lo))
    return flat[where]


def _refuse(name: str, q: TensorSpec, *scales: TensorSpec) -> None:
    if q.dtype.name != "int8" or any(s.dtype.kind != "float" for s in scales):
        raise SpecError(
            f"{name}: {q} with {' and '.join(map(str, scales))} is no quantised storage"
        )


def _divided_infer(specs: Specs) -> TensorSpec:
    q, scale = specs
    _refuse("divided", q, scale)
    sizes = list(zip(q.shape, scale.shape, strict=False))
    if len(q.shape) != len(scale.shape) or any(n not in (1, m) for m, n in sizes):
        raise SpecError(f"{scale} is no scale of {q}")
    return TensorSpec(dtype_of("float64"), q.shape)


def _divided_pull(expr: Expr, block: Block) -> list[Block]:
    scale = expr.inputs[1].spec.shape
    return [block, tuple((0, 1) if n == 1 else b for n, b in zip(scale, block, strict=True))]


def _divided(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    q, scale = (x.astype(np.float64) for x in values)
    with np.errstate(all="ignore"):
        found = q / scale
    _refuse_nonfinite(found)
    return found


def _scaled_infer(specs: Specs, axis: int) -> TensorSpec:
    q, scale, zero, blocks = specs
    _refuse("scaled_back", q, scale, blocks)
    alike = list(q.shape)
    alike[axis : axis + 1] = scale.shape[axis : axis + 1]
    if tuple(alike) != scale.shape or scale.shape != zero.shape or blocks.shape != (q.shape[axis],):
        raise SpecError(f"{scale}, {zero} and {blocks} are no scale, zero and blocks of {q}")
    return TensorSpec(dtype_of("float64"), q.shape)


def _scaled_pull(expr: Expr, block: Block) -> list[Block]:
    axis = expr.params["axis"]
    count = expr.inputs[1].spec.shape[axis]
    part = (*block[:axis], (0, count), *block[axis + 1 :])
    return [block, part, part, (block[axis],)]


def _scaled(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    axis = expr.params["axis"]
    q, scale, zero = (x.astype(np.float64) for x in values[:3])
    index = values[3].astype(np.int64)
    wrong = (values[3] != index) | (index < 0) | (index >= expr.inputs[1].spec.shape[axis])
    if wrong.any():
        raise SpecError(f"{int(np.count_nonzero(wrong))} entries are in a block that is not there")
    with np.errstate(all="ignore"):
        found = (q - np.take(zero, index, axis)) * np.take(scale, index, axis)
    _refuse_nonfinite(found)
    return found


def _refuse_nonfinite(found: Any) -> None:
    import numpy as np

    made = int(np.count_nonzero(~np.isfinite(found)))
    if made:
        raise SpecError(f"{made} values have a scale that is 0 or no number", "nonfinite")


NIBBLES = Op("nibbles", _nibbles_infer, _nibbles_pull, _nibbles)
DIVIDED = Op("divided", _divided_infer, _divided_pull, _divided)
SCALED_BACK = Op("scaled_back", _scaled_infer, _scaled_pull, _scaled)
