"""Stochastic rounding: up or down at random, in proportion to what would be cut off.

What a low-precision target loses to rounding every time, it then keeps on average.
"""

from __future__ import annotations

from typing import Any

from ..expr import Block


def flat_indices(shape: tuple[int, ...], block: Block) -> Any:
    """The flat index in the whole tensor of every element of a block, in C order.

    >>> flat_indices((2, 3), ((0, 2), (1, 3))).tolist()
    [1, 2, 4, 5]
    """
    import numpy as np

    index = np.zeros((), "u8")
    for size, (lo, hi) in zip(shape, block, strict=True):
        index = index[..., None] * np.uint64(size) + np.arange(lo, hi, dtype="u8")
    return index.reshape(-1)


def scattered(values: Any, random: Any, out: Any) -> None:
    """Round float32 or float64 to the dtype of `out`: up with probability = the dropped fraction.

    Of the 64 random bits of an element the highest are used. NaN and Inf stay what they are.
    """
    import numpy as np

    if out.dtype.name == "bfloat16" and values.dtype == np.float32:
        _bfloat16(values, random, out)
    elif out.dtype.itemsize >= values.dtype.itemsize:
        np.copyto(out, values)
    else:
        _between(values.astype("f8"), random, out)


def _bfloat16(values: Any, random: Any, out: Any) -> None:
    """16 random bits are added to those that will be cut."""
    import numpy as np

    bits = values.view("u4")
    finite = np.isfinite(values)
    with np.errstate(over="ignore"):
        raised = bits + (random >> np.uint64(48)).astype("u4")
    upper = (np.where(finite, raised, bits) >> 16).astype("u2")
    cut = ~finite & (bits & 0xFFFF != 0)
    out.view("u2")[...] = upper | np.where(cut, 0x40, 0).astype("u2")  # a NaN stays one


def _between(values: Any, random: Any, out: Any) -> None:
    """Any narrow float: its two neighbours, and the share of the way between them."""
    import numpy as np

    word = f"u{out.itemsize}"
    near = np.empty(values.size, out.dtype)
    from ..packed import narrowed

    narrowed(values.copy(), near)
    back = near.astype("f8")
    bits = near.view(word)
    beyond = np.abs(back) > np.abs(values)
    low = np.where(beyond, bits - np.array(1, word), bits).view(out.dtype)
    high = (low.view(word) + np.array(1, word)).view(out.dtype)
    here, there = np.abs(low.astype("f8")), np.abs(high.astype("f8"))
    share = (np.abs(values) - here) / (there - here)
    up = (random >> np.uint64(11)).astype("f8") * 2.0**-53 < share
    exact = ~np.isfinite(values) | (back == values)
    result = np.where(exact, bits, np.where(up, high.view(word), low.view(word)))
    out.view(word)[...] = result
