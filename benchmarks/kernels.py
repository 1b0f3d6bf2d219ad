"""The copy kernel beside numpy and memcpy, in one thread: `python -m benchmarks.kernels`.

The thresholds of weightsurgeon/kernels.py come from here. Outputs are reused, arrays are large or
as in real models; ratios are to a plain copy of the same bytes in the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from weightsurgeon.kernels import copy

HWIO_TO_OIHW, OIHW_TO_HWIO = (3, 2, 0, 1), (2, 3, 1, 0)
ROUNDS = 7

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((4096, 4096), (1, 0)),
    ((32000, 4096), (1, 0)),
    ((50257, 768), (1, 0)),
    ((3040, 760), (1, 0)),
    ((704, 2816), (1, 0)),
    ((1000, 1000), (1, 0)),
    ((784, 256), (1, 0)),
    ((3, 3, 512, 512), HWIO_TO_OIHW),
    ((512, 512, 3, 3), OIHW_TO_HWIO),
    ((3, 3, 1024, 1024), HWIO_TO_OIHW),
    ((1024, 1024, 3, 3), OIHW_TO_HWIO),
    ((3, 3, 380, 380), HWIO_TO_OIHW),
    ((3, 3, 64, 64), HWIO_TO_OIHW),
    ((7, 7, 256, 256), HWIO_TO_OIHW),
    ((1, 3, 1024, 1024), HWIO_TO_OIHW),
    ((8, 1024, 1024), (0, 2, 1)),
    ((1024, 3, 16, 64), (1, 2, 3, 0)),
]


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def ratios(shape: tuple[int, ...], order: tuple[int, ...], word: str) -> dict[str, float]:
    """Median ratios to memcpy, and memcpy's own GB/s."""
    source = np.random.default_rng(0).integers(0, 2**16, shape, word)
    values: Any = source.transpose(order)
    out, flat = np.empty(values.shape, word), np.empty(source.size, word)
    actions: dict[str, Callable[[], object]] = {
        "memcpy": lambda: np.copyto(flat, source.reshape(-1)),
        "kernels.copy": lambda: copy(out, values),
        "np.copyto": lambda: np.copyto(out, values),
        "np.ascontiguousarray": lambda: np.ascontiguousarray(values),
    }
    rounds = [{k: seconds(f) for k, f in actions.items()} for _ in range(ROUNDS + 1)][1:]
    copy(out, values)
    if not np.array_equal(out, values):
        raise SystemExit(f"{shape} {order} {word}: wrong")
    found = {k: median(r[k] / r["memcpy"] for r in rounds) for k in actions}
    return {**found, "memcpy": source.nbytes / median(r["memcpy"] for r in rounds) / 1e9}


def main() -> None:
    """Print the table."""
    print(f"{'':34}{'memcpy GB/s':>12} | × memcpy: kernels.copy, np.copyto, np.ascontiguousarray")
    for shape, order in SHAPES:
        for word, name in (("u4", "f32"), ("u2", "bf16")):
            row = ratios(shape, order, word)
            figures = " ".join(f"{row[k]:8.1f}" for k in list(row)[1:])
            print(f"{name:5}{shape!s:18}{order!s:14}{row['memcpy']:9.1f} | {figures}", flush=True)


if __name__ == "__main__":
    main()
