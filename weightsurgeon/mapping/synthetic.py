"""Tensors that were never in a file: arrays as a source, and what an array shall be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..expr import slices
from ..formats.base import Source
from ..spec import TensorSpec, dtype_of

if TYPE_CHECKING:
    from ..expr import Array, Block


class Synthetic(Source):
    """Arrays as a source."""

    def __init__(self, tensors: Mapping[str, Array], dialect: str | None) -> None:
        specs = {n: TensorSpec(dtype_of(x.dtype), x.shape) for n, x in tensors.items()}
        super().__init__("synthetic", "", dialect, specs)
        self.tensors = tensors

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """The block of an array."""
        where: tuple[Any, ...] = (*slices(block), ...)  # with ... a 0-d array stays an array
        part: Array = self.tensors[name][where]
        if out is None:
            return part
        out[...] = part
        return out


class Tensor(NamedTuple):
    """A tensor of the source: its name and shape; `fill` is None for random values."""

    name: str
    shape: tuple[int, ...]
    fill: float | None = None
    dtype: str = "float32"

    def values(self, seed: int) -> Array:
        """Its values: all the same, or random and positive, as variances must be."""
        import numpy as np

        if self.fill is not None:
            return np.full(self.shape, self.fill, self.dtype)
        return np.random.default_rng(seed).uniform(0.5, 2, self.shape).astype(self.dtype)
