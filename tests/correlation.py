"""A convolution by its definition, as the judge of expanded kernels."""

from __future__ import annotations

import numpy as np


def correlate(x: np.ndarray, kernel: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """A valid convolution of `h w in` with `kh kw in out`, written out."""
    kh, kw = kernel.shape[:2]
    h, w = (
        (n - (k - 1) * dilation - 1) // stride + 1
        for n, k in zip(x.shape[:2], (kh, kw), strict=True)
    )
    out = np.zeros((h, w, kernel.shape[3]))
    for i in range(kh):
        for j in range(kw):
            rows = x[i * dilation :: stride][:h]
            out += rows[:, j * dilation :: stride][:, :w] @ kernel[i, j]
    return out
