"""Arithmetic: values change. At least float32 inside, one rounding to the declared dtype."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape
from ..spec import Axes, DType, TensorSpec, checked_shape, dtype_of
from ..tally import Tally

Specs = tuple[TensorSpec, ...]

# The exponent range and the digits of each float: what decides whether a cast can lose.
_FLOATS = {  # name: (smallest, largest exponent of a normal number, bits of the significand)
    "float64": (-1022, 1023, 53),
    "float32": (-126, 127, 24),
    "bfloat16": (-126, 127, 8),
    "float16": (-14, 15, 11),
    "float8_e5m2": (-14, 15, 3),
    "float8_e4m3fn": (-6, 8, 4),
}


def cast(x: Expr, dtype: DType | str, overflow: str = "error", tally: Tally | None = None) -> Expr:
    """The values rounded to another float dtype, to nearest even, once.

    Where a finite value has no finite place: `overflow="inf"` leaves what the rounding gives (Inf,
    or NaN where the dtype has no Inf), `"clamp"` the largest finite value with its sign. The tally
    counts these (`overflow`) and what became zero (`underflow`).

    Errors: SpecError for integers and bools: they are copied, never converted; SpecError
    `nonfinite` when evaluated, for a finite value without a place, unless `overflow` says more.

    >>> from weightsurgeon.expr import array
    >>> cast(array([1.00390625]), "bfloat16").numpy().tolist()
    [1.0]
    """
    counted = {} if tally is None else {"tally": tally}
    return apply(CAST, x, dtype=dtype_of(dtype), overflow=overflow, **counted)


def loses(source: DType, target: DType) -> bool:
    """Whether a cast can change a value: False only where every value has its place."""
    if source == target:
        return False
    a, b = _FLOATS.get(source.name), _FLOATS.get(target.name)
    if a is None or b is None:
        return True
    return a[0] < b[0] or a[1] > b[1] or a[2] > b[2]


def _cast_infer(
    specs: Specs, dtype: DType, overflow: str, tally: Tally | None = None
) -> TensorSpec:
    (x,) = specs
    if x.dtype != dtype and not (x.dtype.kind == dtype.kind == "float"):
        raise SpecError(f"cast: {x.dtype} to {dtype}; only floats are cast, integers are copied")
    if x.dtype != dtype and min(x.dtype.bits, dtype.bits) < 8:
        raise SpecError(f"cast: {x.dtype} to {dtype}; packed floats are copied, not computed with")
    return x._replace(dtype=dtype)


def _cast_compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    (x,) = values
    source, target = expr.inputs[0].spec.dtype, expr.spec.dtype
    import numpy as np

    from ..packed import to_odd

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        via = x
        if source.name == "float64" and target.bits < 32 and target.name != "float16":
            via = to_odd(x)  # ml_dtypes go through float32: two roundings
        narrowed = via.astype(target.numpy())
        if loses(source, target):
            _judge(x, narrowed, expr)
    return narrowed


def _judge(x: Any, narrowed: Any, expr: Expr) -> None:
    """What becomes of finite values that have no place in the narrower dtype."""
    import numpy as np

    target, overflow, tally = expr.spec.dtype, expr.params["overflow"], expr.params.get("tally")
    if overflow == "inf" and tally is None:
        return
    lost = np.isfinite(x) & ~np.isfinite(narrowed)
    made = int(np.count_nonzero(lost))
    if made and overflow == "error":
        raise SpecError(f"{made} finite values have no place in {target}", "nonfinite")
    if made and overflow == "clamp":
        import ml_dtypes

        largest = ml_dtypes.finfo(target.numpy()).max  # type: ignore[no-untyped-call]
        narrowed[lost] = np.where(np.signbit(x[lost]), -largest, largest)
    if tally is not None:
        gone = np.count_nonzero((narrowed == 0) & (x != 0))
        tally.add(overflow=made, underflow=int(gone))


CAST = Op("cast", _cast_infer, lambda expr, block: [block], _cast_compute)


def full(shape: Iterable[int], dtype: DType | str, value: float = 0, axes: Any = None) -> Expr:
    """A tensor that holds one value everywhere.

    >>> full((2,), "int64", 7).numpy().tolist()
    [7, 7]
    """
    return apply(FULL, shape=tuple(shape), dtype=dtype_of(dtype), value=value, axes=axes)


def _full_infer(
    specs: Specs, shape: tuple[int, ...], dtype: DType, value: float, axes: Axes | None = None
) -> TensorSpec:
    digits = {"int": dtype.bits - 1, "uint": dtype.bits, "bool": 1}.get(dtype.kind)
    least = -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0
    if digits and not (value % 1 == 0 and least <= value < 2**digits):
        raise SpecError(f"full: {value} is no {dtype}")
    if not value and dtype.name == "float8_e8m0fnu":
        raise SpecError(f"full: {dtype} has no zero, its values are powers of two")
    _ = dtype.itemsize  # a packed type has none, and says so
    return TensorSpec(dtype, checked_shape(shape), axes)


def _full_compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    return np.full(block_shape(block), expr.params["value"], expr.spec.dtype.numpy())


FULL = Op("full", _full_infer, lambda expr, block: [], _full_compute)
