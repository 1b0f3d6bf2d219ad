"""What ops on matching elements share: which tensors may be computed with, memory, what is finite.

A block is worked through in pieces that stay in the cache, into the memory of its first input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, block_shape
from ..spec import TensorSpec


def check_computable(spec: TensorSpec, what: str) -> None:
    """Floats and complex numbers are computed with; the rest is copied or refused."""
    if spec.dtype.kind not in ("float", "complex"):
        raise SpecError(f"{spec} is never {what}: integers and bools are copied or kept", "integer")
    if spec.dtype.bits < 8:
        raise SpecError(f"{spec} is packed: dequantise first, or copy it", "integer")


def components(values: Any) -> Any:
    """A block as a flat contiguous array of floats; complex numbers as their two parts."""
    import numpy as np

    flat = np.ascontiguousarray(values).reshape(-1)
    return flat.view(f"f{flat.itemsize // 2}") if flat.dtype.kind == "c" else flat


def result_of(spec: TensorSpec, block: Block, first: Any) -> Any:
    """An array for a block's result: the memory of an input of the same dtype, if it is its own.

    What evaluation hands to an op is scratch that nobody reads again.
    """
    import numpy as np

    own = first.flags.c_contiguous and first.flags.writeable and first.dtype == spec.dtype.numpy()
    return first if own else np.empty(block_shape(block), spec.dtype.numpy())


def pieces(size: int) -> Iterator[slice]:
    """A flat block in pieces that stay in the cache."""
    from ..packed import PIECE

    return (slice(lo, min(lo + PIECE, size)) for lo in range(0, size, PIECE))


class NotFinite(Exception):
    """Where a NaN or an Inf was met: which input (None: only the result), the place, the value."""

    def __init__(self, which: int | None, place: int, value: float) -> None:
        super().__init__(which, place, value)
        self.which, self.place, self.value = which, place, value

    def at(self, expr: Expr, block: Block, start: int) -> SpecError:
        """The error to raise: with the index in the whole tensor, and the input's name."""
        from ..expr import show

        shape = block_shape(block)
        flat = (self.place + start) // (2 if expr.spec.dtype.kind == "complex" else 1)
        index = []
        for i, (lo, _) in enumerate(block):
            inner = prod(shape[i + 1 :])
            index.append(lo + flat // inner % shape[i])
        if self.which is None:
            what = f"has no finite place in {expr.spec.dtype}"
        else:
            what = f"in {show(expr.inputs[self.which])} is not finite"
        return SpecError(f"{self.value} at {tuple(index)} {what}", "nonfinite")


def check_finite(policy: str, inputs: Sequence[Any], result: Any, dtype: Any) -> None:
    """Refuse the first NaN or Inf of an input, then what does not fit; if the policy says so."""
    import numpy as np

    from ..packed import narrowed

    if policy != "error":
        return
    for which, values in enumerate(inputs):
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise NotFinite(which, int(wrong[0]), float(values[wrong[0]]))
    new = np.empty(result.size, dtype)
    narrowed(result.copy(), new)
    wrong = np.flatnonzero(~np.isfinite(new.astype("f8")))
    if wrong.size:
        raise NotFinite(None, int(wrong[0]), float(result[wrong[0]]))
