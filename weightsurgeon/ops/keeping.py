"""Which elements stay: masks as expressions, True where a value is kept.

A mask is made from what is ranked (magnitudes, scores, norms of units) and decided element by
element, so a block of it needs no state: `kept` knows the threshold, and the flat index of the
last tie that goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape
from ..ranking import keys, keys_of_run, magnitude_kind, ranks_below, refuse_unprunable
from ..spec import TensorSpec, dtype_of
from .elementwise import pieces
from .masking import flat_range
from .ranking import Amount
from .scattering import flat_indices

Specs = tuple[TensorSpec, ...]


def _mask(spec: TensorSpec) -> TensorSpec:
    return spec._replace(dtype=dtype_of("bool"))


def magnitudes(values: Any) -> Any:
    """|w| of each value in float64, exact but for complex numbers, where it is their hypot."""
    import numpy as np

    kind = "float64"  # the key of a magnitude in this kind is its bits
    return np.asarray(keys(values, kind)).view("f8")


# -- by rank ---------------------------------------------------------------------------------


def kept(scores: Expr, key: Expr, last: Expr, kind: str, offset: int = 0) -> Expr:
    """True where a score ranks above the threshold `key`, or equals it after flat index `last`.

    `offset` is the flat index of this tensor among those that are ranked together.
    """
    return apply(KEPT, scores, key, last, kind=kind, offset=offset)


def _kept_infer(specs: Specs, kind: str, offset: int) -> TensorSpec:
    return _mask(specs[0])


def _kept(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    scores, key, last = values
    kind, end = expr.params["kind"], int(last[()]) - expr.params["offset"]
    first, behind = flat_range(expr.spec.shape, block)
    scores = np.asarray(scores, order="C")
    stays, flat = np.empty(scores.shape, bool), scores.reshape(-1)
    for part in pieces(flat.size):
        found = keys_of_run(flat[part], kind)
        beyond = np.greater if end >= behind - 1 else np.greater_equal
        beyond(found, found.dtype.type(key[()]), out=stays.reshape(-1)[part])
    if first <= end < behind - 1:  # the last tie that goes is in this block
        ties = keys(flat, kind) == key[()]
        stays.reshape(-1)[ties & (flat_indices(expr.spec.shape, block) <= end)] = False
    return stays


KEPT = Op("kept", _kept_infer, lambda expr, block: [block, (), ()], _kept)


# -- by value --------------------------------------------------------------------------------


def kept_from(x: Expr, threshold: str) -> Expr:
    """True where |x| is not below a number, compared in float64; NaN is kept.

    >>> from weightsurgeon.expr import array
    >>> kept_from(array([0.5, -2.0, 1.0]), "1").numpy().tolist()
    [False, True, True]
    """
    return apply(KEPT_FROM, x, threshold=threshold)


def _kept_from_infer(specs: Specs, threshold: str) -> TensorSpec:
    refuse_unprunable(specs[0].dtype)
    return _mask(specs[0])


def _kept_from(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    return np.asarray(~(magnitudes(values[0]) < float(expr.params["threshold"])))


KEPT_FROM = Op("kept_from", _kept_from_infer, lambda expr, block: [block], _kept_from)


# -- in groups along an axis -----------------------------------------------------------------


def kept_of(x: Expr, axis: int, most: int, group: int) -> Expr:
    """True for the `most` largest of every `group` neighbours along an axis (N:M sparsity).

    Of equal ones the first go first. A tail that fills no group is kept.

    >>> from weightsurgeon.expr import array
    >>> kept_of(array([4.0, 1, 3, 2, 1, 1, 1, 1]), 0, 2, 4).numpy().astype(int).tolist()
    [1, 0, 1, 0, 0, 0, 1, 1]
    """
    return apply(KEPT_OF, x, axis=axis, most=most, group=group)


def _kept_of_infer(specs: Specs, axis: int, most: int, group: int) -> TensorSpec:
    refuse_unprunable(specs[0].dtype)
    if not 0 <= most <= group or not 0 <= axis < len(specs[0].shape):
        raise SpecError(f"{most}:{group} along axis {axis} of {specs[0]}")
    return _mask(specs[0])


def _kept_of_pull(expr: Expr, block: Block) -> list[Block]:
    axis, group = expr.params["axis"], expr.params["group"]
    lo, hi = block[axis]
    size = expr.spec.shape[axis]
    bounds = (lo // group * group, min(-(-hi // group) * group, size))
    return [(*block[:axis], bounds, *block[axis + 1 :])]


def _kept_of(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    (x,), axis, group = values, expr.params["axis"], expr.params["group"]
    found = np.moveaxis(keys(x, magnitude_kind([expr.inputs[0].spec.dtype])), axis, -1)
    whole = found.shape[-1] // group * group
    stays = np.ones(found.shape, bool)
    groups = found[..., :whole].reshape(*found.shape[:-1], whole // group, group)
    below = ranks_below(groups, group - expr.params["most"])
    stays[..., :whole] = ~below.reshape(*found.shape[:-1], whole)
    lo, hi = block[axis]
    skip = lo % group
    return np.moveaxis(stays[..., skip : skip + hi - lo], -1, axis)


KEPT_OF = Op("kept_of", _kept_of_infer, _kept_of_pull, _kept_of)


# -- in each entry of an axis ----------------------------------------------------------------


def kept_each(x: Expr, axis: int, kind: str, amount: Amount) -> Expr:
    """True where an element is not among the smallest of its entry along an axis.

    `kind` says how values are ranked (`ranking.KINDS`). One entry must fit the memory of a worker.
    """
    return apply(KEPT_EACH, x, axis=axis, kind=kind, **amount._asdict())


def _kept_each_infer(specs: Specs, axis: int, kind: str, **amount: Any) -> TensorSpec:
    return _mask(specs[0])


def _kept_each_pull(expr: Expr, block: Block) -> list[Block]:
    axis = expr.params["axis"]
    return [tuple(b if i == axis else (0, expr.spec.shape[i]) for i, b in enumerate(block))]


def _kept_each(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    params = dict(expr.params)
    axis, kind = params.pop("axis"), params.pop("kind")
    amount = Amount(**params)
    x = np.moveaxis(np.asarray(values[0]), axis, 0)
    stays = np.ones(x.shape, bool)
    for i in range(len(x)):
        found = np.ascontiguousarray(keys(x[i : i + 1], kind)).reshape(-1)
        k = amount.of(found.size, found.size - int(np.count_nonzero(found)))
        order = np.argsort(found, kind="stable")[:k]
        stays[i : i + 1].reshape(-1)[order] = False
    part = tuple(slice(None) if i == axis else slice(*b) for i, b in enumerate(block))
    return np.moveaxis(stays, 0, axis)[part]


KEPT_EACH = Op("kept_each", _kept_each_infer, _kept_each_pull, _kept_each)


# -- at random -------------------------------------------------------------------------------


def random(shape: tuple[int, ...], key: int) -> Expr:
    """64 random bits for each element, by its flat index: the same whatever is drawn when."""
    return apply(RANDOM, shape=tuple(shape), key=key)


def _random_infer(specs: Specs, shape: tuple[int, ...], key: int) -> TensorSpec:
    return TensorSpec(dtype_of("uint64"), shape)


def _random(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    from ..random_bits import mix64

    index = np.zeros(block_shape(block), np.uint64)
    for axis, (size, (lo, hi)) in enumerate(zip(expr.spec.shape, block, strict=True)):
        along = np.arange(lo, hi, dtype=np.uint64).reshape(
            [-1 if i == axis else 1 for i in range(len(block))]
        )
        index = index * np.uint64(size) + along
    return np.asarray(mix64(expr.params["key"], index))


RANDOM = Op("random", _random_infer, lambda expr, block: [], _random)
