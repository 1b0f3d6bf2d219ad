"""Hidden kernels in three colours: a one-sided non-negative factorisation of their input channels.

X ≈ W·H: each position of a kernel is a row of X, its input channels the columns. W ≥ 0 is the
picture (one colour a factor), the rows of H are free directions in the input channels. One joint
fit for all units that are shown, so that colours compare between them. Voss and others,
"Visualizing Weights" (Distill, 2021) show why; semi-NMF is Ding, Li and Jordan (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FIRST_SWEEPS, LAST_SWEEPS = 30, 100
FIRST_STOP, LAST_STOP = 1e-6, 1e-7  # of ‖X‖², what a sweep must still gain
CAVEAT = "factors are not neurons and may mix meanings"


@dataclass(frozen=True)
class Factors:
    """A fit: `picture` is W (rows k), `directions` is H (k channels, unit rows), strongest first.

    explained  share of ‖X‖² that W·H holds · bound: the best that any rank k could
    random     what a matrix of noise of this shape would give: near it there is no structure
    """

    picture: Any
    directions: Any
    explained: float
    bound: float
    random: float
    sweeps: int

    @property
    def structured(self) -> bool:
        """Whether the fit explains clearly more than it would of noise."""
        return self.explained > 1.5 * self.random

    def top_channels(self, factor: int, count: int = 5) -> list[tuple[int, float]]:
        """The input channels that a factor weighs most, with their coefficients."""
        row = self.directions[factor]
        order = sorted(range(len(row)), key=lambda c: (-abs(row[c]), c))[:count]
        return [(c, float(row[c])) for c in order]


def factorise(x: Any, k: int = 3) -> Factors:
    """Factor a matrix `rows channels` (any float dtype) into k colours.

    A matrix of zeros is explained to 0; k above the rank leaves factors of zero.

    >>> import numpy as np
    >>> planted = np.outer([1.0, 0, 2, 0, 3, 0], [1.0, -1, 0, 2])
    >>> round(factorise(planted, k=1).explained, 6)
    1.0
    """
    import numpy as np

    x = np.asarray(x, np.float32)
    n, channels = x.shape
    total = float(np.vdot(x, x))
    random = min(1.0, k * (n**0.5 + channels**0.5) ** 2 / max(1, n * channels))
    if not total:
        return Factors(np.zeros((n, k)), np.zeros((k, channels)), 0.0, 0.0, random, 0)
    w, bound = _start(x, k)
    w, identifying = _identify(x, w, total)
    w, h, refining = _refine(x, w, total)
    w, h = _normal_form(w, h)
    rest = x - w @ h
    explained = 1 - float(np.vdot(rest, rest)) / total
    return Factors(w, h, explained, bound, random, identifying + refining)


def _start(x: Any, k: int) -> tuple[Any, float]:
    """The top k principal directions, each turned so that its heavier side is positive."""
    import numpy as np

    values, vectors = np.linalg.eigh((x.T @ x).astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    u = x @ vectors[:, :k].astype(np.float32)
    heavier = np.square(np.minimum(u, 0)).sum(0) > np.square(np.maximum(u, 0)).sum(0)
    u = np.where(heavier, -u, u)
    w = np.maximum(u, 0) + 1e-3 * np.abs(u).mean()
    missing = k - w.shape[1]  # more factors than channels: the rest starts, and stays, at zero
    w = np.pad(w, ((0, 0), (0, max(0, missing))))
    return w.astype(np.float32), float(values[:k].sum() / max(values.sum(), 1e-300))


def _identify(x: Any, w: Any, total: float) -> tuple[Any, int]:
    """Find the factors themselves: a plain NMF of [X⁺ | X⁻] by hierarchical least squares."""
    import numpy as np

    halves = (np.maximum(x, 0), np.maximum(-x, 0))
    hs = [np.maximum(_least_squares(w, half), 1e-8) for half in halves]
    before, sweeps = np.inf, 0
    for _ in range(FIRST_SWEEPS):
        sweeps += 1
        products = sum(half @ h.T for half, h in zip(halves, hs, strict=True))
        grams = sum(h @ h.T for h in hs)
        _update_columns(w, products, grams)
        gram = w.T @ w
        for half, h in zip(halves, hs, strict=True):
            _update_columns(h.T, half.T @ w, gram)
        error = total - 2 * float(
            sum(np.vdot(w, half @ h.T) for half, h in zip(halves, hs, strict=True))
        )
        error += float(np.vdot(w.T @ w, sum(h @ h.T for h in hs)))
        if before - error < FIRST_STOP * total:
            break
        before = error
    return w, sweeps


def _refine(x: Any, w: Any, total: float) -> tuple[Any, Any, int]:
    """Free the directions: H by least squares, W ≥ 0 by hierarchical least squares."""
    import numpy as np

    h, before, sweeps = _least_squares(w, x), np.inf, 0
    for _ in range(LAST_SWEEPS):
        sweeps += 1
        products, gram = x @ h.T, h @ h.T
        _update_columns(w, products, gram)
        h = _least_squares(w, x)
        error = total - 2 * float(np.vdot(w, x @ h.T)) + float(np.vdot(w.T @ w, h @ h.T))
        if before - error < LAST_STOP * total:
            break
        before = error
    return w, h, sweeps


def _least_squares(w: Any, x: Any) -> Any:
    """H = (WᵀW + ε)⁻¹ WᵀX."""
    import numpy as np

    gram = (w.T @ w).astype(np.float64)
    k = len(gram)
    gram += np.eye(k) * (1e-9 * max(np.trace(gram), 1e-30) / k)
    return np.linalg.solve(gram, (w.T @ x).astype(np.float64)).astype(np.float32)


def _update_columns(w: Any, products: Any, gram: Any) -> None:
    """One sweep over the columns of W ≥ 0, each the best given the others, in place."""
    import numpy as np

    for j in range(w.shape[1]):
        if gram[j, j] > 0:
            w[:, j] += (products[:, j] - w @ gram[:, j]) / gram[j, j]
            np.maximum(w[:, j], 0, out=w[:, j])


def _normal_form(w: Any, h: Any) -> tuple[Any, Any]:
    """Directions of unit length, the strongest factor first: one form for one result."""
    import numpy as np

    norms = np.linalg.norm(h, axis=1)
    w, h = w * norms, h / np.where(norms, norms, 1)[:, None]
    order = np.argsort(-np.linalg.norm(w, axis=0), kind="stable")
    return w[:, order], h[order]


def colours_of(factors: Factors) -> Any:
    """The picture as intensities in 0..1, `rows 3`: one global maximum, so that units compare.

    Three factors are red, green and blue; another number has hues spread evenly.
    """
    import numpy as np

    w = factors.picture
    scaled = w / (w.max() or 1)
    k = w.shape[1]
    if k == 3:
        return scaled
    hues = np.array([_hue(j / k) for j in range(k)])
    return np.clip(1 - scaled @ (1 - hues), 0, 1)


def _hue(turn: float) -> tuple[float, float, float]:
    import colorsys

    return colorsys.hsv_to_rgb(turn, 1.0, 1.0)
