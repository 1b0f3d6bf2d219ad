"""Small checkpoints for the tests of the wing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from weightsurgeon.expr import whole
from weightsurgeon.formats import create_sink
from weightsurgeon.formats.base import Order
from weightsurgeon.spec import TensorSpec, dtype_of

Array = np.ndarray[Any, Any]


def written(path: Path, tensors: dict[str, Array], **more: Any) -> str:
    """A safetensors file of arrays."""
    specs = {n: TensorSpec(dtype_of(v.dtype), v.shape) for n, v in tensors.items()}
    sink = create_sink("safetensors", str(path), Order(specs, **more))
    for name, values in tensors.items():
        sink.write(name, whole(specs[name]), np.ascontiguousarray(values).reshape(values.shape))
    sink.commit()
    return str(path)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Random float32 values."""
    values = np.random.default_rng(seed).standard_normal(shape) * scale
    return values.astype("f4")
