"""Masks at work: what is not kept becomes +0; masks are packed into bits and read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply, block_shape
from ..ranking import finite, refuse_unprunable
from ..spec import TensorSpec, dtype_of
from ..tally import Tally
from .elementwise import pieces, result_of
from .movement import reshape

Specs = tuple[TensorSpec, ...]
_WORDS = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}


def masked(x: Expr, mask: Expr, tally: Tally | None = None) -> Expr:
    """x where the mask is True, else +0 (all bits zero): chosen, never multiplied.

    A tally counts the elements `changed`, and the `zeros` of the result.

    >>> from weightsurgeon.expr import array
    >>> masked(array([-1.0, float("inf")]), array([False, True])).numpy().tolist()
    [0.0, inf]
    """
    return apply(MASKED, x, mask, tally=tally)


def _masked_infer(specs: Specs, tally: Tally | None = None) -> TensorSpec:
    x, mask = specs
    refuse_unprunable(x.dtype)
    if mask.shape != x.shape or mask.dtype.kind != "bool":
        raise SpecError(f"the mask {mask} does not fit {x}")
    return x


def _masked_pull(expr: Expr, block: Block) -> list[Block | None]:
    """A mask that is made of x itself is made of the block of x that is there already."""
    x, mask = expr.inputs
    own = mask.inputs[:1] == (x,) and mask.op.pull(mask, block)[0] == block
    return [block, None if own else block]


def _masked(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    x, mask = values
    if mask is None:
        made = expr.inputs[1]
        others = [i.numpy() for i in made.inputs[1:]]
        mask = made.op.compute(made, block, [x, *others])
    tally = expr.params.get("tally")
    if x.dtype.kind == "c" or not (x.flags.c_contiguous and mask.flags.c_contiguous):
        made = chosen(x, mask)
        if tally is not None:
            changed = int(np.count_nonzero(_words(x) != _words(made)))
            tally.add(changed=changed, zeros=int(np.count_nonzero(made == made.dtype.type(0))))
        return made
    out = result_of(expr.spec, block, x)
    flat, bits, to = (v.reshape(-1) for v in (x, mask, out))
    changed = zeros = 0
    for part in pieces(flat.size):
        before = int(np.count_nonzero(_words(flat[part])))
        new = _words(to[part])
        np.multiply(_words(flat[part]), bits[part], out=new, dtype=new.dtype)
        after = int(np.count_nonzero(new))
        changed += before - after
        zeros += new.size - after + _negative_zeros(to[part])
    if tally is not None:
        tally.add(changed=changed, zeros=zeros)
    return out


def _words(x: Any) -> Any:
    """The bits: numpy has no fast loops for ml_dtypes, and a −0 that goes has changed."""
    word = _WORDS.get(x.itemsize)
    return x.view(word) if word and x.dtype.kind != "c" else x


def _negative_zeros(x: Any) -> int:
    import numpy as np

    if x.dtype.name.endswith("fnuz"):
        return 0  # there it is NaN
    words = _words(x)
    return int(np.count_nonzero(words == words.dtype.type(1 << (8 * words.itemsize - 1))))


def chosen(x: Any, mask: Any) -> Any:
    """The array where the mask is True, else zero bits."""
    import numpy as np

    word = _WORDS.get(x.itemsize)
    if word is None:
        return np.where(mask, x, x.dtype.type(0))
    # a product of whole numbers is exact, and knows no branch to mispredict at every element
    return np.multiply(x.view(word), mask, dtype=word).view(x.dtype)


MASKED = Op("masked", _masked_infer, _masked_pull, _masked)


def finite_or_zero(x: Expr) -> Expr:
    """x with +0 in place of what is NaN or infinite."""
    return apply(FINITE_OR_ZERO, x)


def _finite_infer(specs: Specs) -> TensorSpec:
    refuse_unprunable(specs[0].dtype)
    return specs[0]


def _finite(expr: Expr, block: Block, values: Sequence[Any]) -> Any:

    return chosen(values[0], finite(values[0]))


FINITE_OR_ZERO = Op("finite_or_zero", _finite_infer, lambda expr, block: [block], _finite)


# -- as they are stored ----------------------------------------------------------------------


def as_mask(x: Expr) -> Expr:
    """A stored mask: bools, or numbers that are exactly 0 and 1 (SpecError where they are not)."""
    return apply(AS_MASK, x)


def _as_mask(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    (x,) = values
    mask = np.asarray(x != x.dtype.type(0))
    wrong = int(np.count_nonzero(mask & (x != x.dtype.type(1))))
    if wrong:
        raise SpecError(f"{wrong} values of a mask are neither 0 nor 1")
    return mask


AS_MASK = Op(
    "as_mask",
    lambda specs: specs[0]._replace(dtype=dtype_of("bool")),
    lambda expr, block: [block],
    _as_mask,
)


def packed(mask: Expr) -> Expr:
    """A mask as bytes of 8 elements in C order, the first in the highest bit.

    >>> from weightsurgeon.expr import array
    >>> packed(array([True, False, True])).numpy().tolist()
    [160]
    """
    return apply(PACKED, reshape(mask, (mask.spec.size,)))


def _packed_infer(specs: Specs) -> TensorSpec:
    return TensorSpec(dtype_of("uint8"), (-(-specs[0].size // 8),))


def _packed_pull(expr: Expr, block: Block) -> list[Block]:
    ((lo, hi),) = block
    return [((8 * lo, min(8 * hi, expr.inputs[0].spec.size)),)]


def _packed(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    return np.packbits(values[0])


PACKED = Op("packed", _packed_infer, _packed_pull, _packed)


def unpacked(bits: Expr, shape: tuple[int, ...], axes: Any = None) -> Expr:
    """The mask of that shape whose bytes these are."""
    return apply(UNPACKED, bits, shape=tuple(shape), axes=axes)


def _unpacked_infer(specs: Specs, shape: tuple[int, ...], axes: Any) -> TensorSpec:
    (bits,), spec = specs, TensorSpec(dtype_of("bool"), shape, axes)
    if bits.dtype.name != "uint8" or bits.shape != (-(-spec.size // 8),):
        raise SpecError(f"a packed mask of {spec.size} elements is no {bits}")
    return spec


def flat_range(shape: Sequence[int], block: Block) -> tuple[int, int]:
    """The flat indices from the first element of a block to behind its last."""
    lo = hi = 0
    for size, (a, b) in zip(shape, block, strict=True):
        lo, hi = lo * size + a, hi * size + b - 1
    return lo, hi + 1


def _unpacked_pull(expr: Expr, block: Block) -> list[Block]:
    lo, hi = flat_range(expr.spec.shape, block)
    return [((lo // 8, -(-hi // 8)),)]


def _unpacked(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    lo, hi = flat_range(expr.spec.shape, block)
    bits = np.unpackbits(np.ascontiguousarray(values[0]))[lo % 8 :][: hi - lo].view(bool)
    strides = []
    for axis in range(len(block)):
        rest = 1
        for n in expr.spec.shape[axis + 1 :]:
            rest *= n
        strides.append(rest)
    return np.lib.stride_tricks.as_strided(bits, block_shape(block), strides)


UNPACKED = Op("unpacked", _unpacked_infer, _unpacked_pull, _unpacked)
