"""Expanded weights: what a unit does to a layer several steps back, if the path were linear.

A path is a product of kernels `kh kw in out` in the convention of correlation. Composing A, then B,
places B's positions `stride · dilation` apart in A's input, with a step of s·d pixels: E[p·s·d + i,
q·s·d + j] += A[i,j] @ B[p,q]. What is not linear on the way is dropped or replaced, and flagged.
Signs cancel on the way, so that the gross weight (all paths counted positive) always stands beside
the net one. Voss and others, "Visualizing Weights" (Distill, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import SpecError


@dataclass(frozen=True)
class Path:
    """A linear path: `kernel` `kh kw in out`, the stride of its output in its input's pixels, and
    the flags of what was not linear on the way. `bias` is of the outputs, None where unknown."""

    kernel: Any
    stride: int = 1
    bias: Any = None
    flags: tuple[str, ...] = ()

    def then(self, kernel: Any, stride: int = 1, dilation: int = 1, bias: Any = None) -> Path:
        """The path with a convolution behind it."""
        import numpy as np

        kernel = np.asarray(kernel)
        net = compose(self.kernel, kernel, self.stride * dilation)
        moved = None if self.bias is None else np.einsum("c,pqco->o", self.bias, kernel)
        if bias is not None:
            moved = bias if moved is None else moved + bias
        return replace(self, kernel=net, stride=self.stride * stride, bias=moved)

    def flagged(self, flag: str) -> Path:
        """The path with one more thing on it that was taken to be linear."""
        return replace(self, flags=(*self.flags, flag))


def path(kernel: Any, stride: int = 1, dilation: int = 1, bias: Any = None) -> Path:
    """A path of one convolution; a dilated kernel is written out with its zeros."""
    import numpy as np

    return Path(dilated(np.asarray(kernel), dilation), stride, bias)


def compose(a: Any, b: Any, step: int = 1) -> Any:
    """Two kernels as one: first a, then b whose positions lie `step` pixels of a's input apart.

    Size: kA + step·(kB − 1) along each axis.

    Errors: SpecError where b does not read what a writes.

    >>> import numpy as np
    >>> smooth = np.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    >>> edge = np.array([1.0, -1.0]).reshape(1, 2, 1, 1)
    >>> compose(smooth, edge).ravel().tolist()
    [1.0, 1.0, -2.0]
    """
    import numpy as np

    if a.shape[3] != b.shape[2]:
        raise SpecError(f"a kernel of {a.shape[3]} outputs, then one of {b.shape[2]} inputs")
    (ah, aw, n, _), (bh, bw, _, m) = a.shape, b.shape
    e = np.zeros((ah + step * (bh - 1), aw + step * (bw - 1), n, m), np.result_type(a, b))
    for p in range(bh):
        for q in range(bw):
            e[p * step : p * step + ah, q * step : q * step + aw] += a @ b[p, q]
    return e


def dilated(kernel: Any, dilation: int) -> Any:
    """A kernel with `dilation − 1` zeros between its entries."""
    import numpy as np

    if dilation == 1:
        return kernel
    h, w = ((n - 1) * dilation + 1 for n in kernel.shape[:2])
    out = np.zeros((h, w, *kernel.shape[2:]), kernel.dtype)
    out[::dilation, ::dilation] = kernel
    return out


# -- pieces that are kernels in disguise ------------------------------------------------------


def average_pool(size: int, channels: int) -> Any:
    """An average pool as a kernel: 1/size² of each channel; a max pool is only approximated."""
    import numpy as np

    return np.broadcast_to(np.eye(channels) / size**2, (size, size, channels, channels)).copy()


def depthwise(kernel: Any) -> Any:
    """`kh kw in mult` as a full kernel: input c feeds the outputs c·mult … c·mult + mult − 1."""
    import numpy as np

    h, w, n, mult = kernel.shape
    out = np.zeros((h, w, n, n * mult), kernel.dtype)
    for c in range(n):
        out[:, :, c, c * mult : (c + 1) * mult] = kernel[:, :, c]
    return out


def grouped(kernel: Any, groups: int) -> Any:
    """A grouped kernel `kh kw in/groups out` as a full, block-diagonal one."""
    import numpy as np

    h, w, n, m = kernel.shape
    out = np.zeros((h, w, n * groups, m), kernel.dtype)
    for g in range(groups):
        outs = slice(g * m // groups, (g + 1) * m // groups)
        out[:, :, g * n : (g + 1) * n, outs] = kernel[..., outs]
    return out


def residual(kernel: Any, shortcut: Any = None) -> Any:
    """Parallel paths added: the kernel and the identity, or a projection, centre on centre."""
    import numpy as np

    if shortcut is None:
        shortcut = np.eye(kernel.shape[2], kernel.shape[3])[None, None]
    h, w = (max(a, b) for a, b in zip(kernel.shape[:2], shortcut.shape[:2], strict=True))
    return centred(kernel, h, w) + centred(shortcut, h, w)


def centred(kernel: Any, h: int, w: int) -> Any:
    """A kernel in the middle of `h w` positions of zeros.

    Errors: SpecError where it has no middle there.
    """
    import numpy as np

    margins = (h - kernel.shape[0], w - kernel.shape[1])
    if any(m % 2 for m in margins):
        raise SpecError("parallel paths of odd and even size have no common centre")
    pads = [(m // 2, m // 2) for m in margins]
    return np.pad(kernel, [*pads, (0, 0), (0, 0)])


def dense_on_map(kernel: Any, h: int, w: int, channels_first: bool = False) -> Any:
    """A Dense behind a Flatten as a kernel over the whole map: rows `(h w c)`, or `(c h w)`."""
    rows, out = kernel.shape
    c = rows // (h * w)
    if channels_first:
        return kernel.reshape(c, h, w, out).transpose(1, 2, 0, 3)
    return kernel.reshape(h, w, c, out)


def dense_on_mean(kernel: Any, h: int, w: int) -> Any:
    """A Dense behind a global average pool: the same kernel at each position, over h·w."""
    import numpy as np

    return np.broadcast_to(kernel / (h * w), (h, w, *kernel.shape)).copy()


def batch_norm(
    kernel: Any, bias: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float
) -> tuple[Any, Any]:
    """A kernel and bias with the batch norm behind them in them: (kernel', bias')."""
    import numpy as np

    s = gamma / np.sqrt(variance + epsilon)
    return kernel * s, (bias - mean) * s + beta


# -- what cancels ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cancellation:
    """Net, gross and chance: |net| / gross near 0 alone means little, net / chance does.

    gross   all paths counted positive · chance what random signs would leave
    """

    net: Any
    gross: Any
    chance: Any

    @property
    def ratio(self) -> float:
        """‖net‖₁ / ‖gross‖₁ in 0..1: 1 where no two paths disagree."""
        import numpy as np

        whole = float(np.abs(self.gross).sum())
        return float(np.abs(self.net).sum()) / whole if whole else 0.0

    @property
    def against_chance(self) -> float:
        """The median of |net| / chance: 0.67 for random weights of any size."""
        import numpy as np

        there = self.chance > 0
        return (
            float(np.median(np.abs(self.net[there]) / self.chance[there])) if there.any() else 0.0
        )

    @property
    def positive(self) -> Any:
        """The sum of the positive paths."""
        return (self.gross + self.net) / 2

    @property
    def negative(self) -> Any:
        """The sum of the negative paths, as a positive number."""
        return (self.gross - self.net) / 2

    def disputed(self) -> Any:
        """Where much arrives and hardly anything is left: excites and inhibits, by context."""
        import numpy as np

        large = self.gross > np.median(self.gross)
        return large & (np.abs(self.net) < 0.1 * self.chance)


def cancellation(kernels: list[Any], steps: list[int] | None = None) -> Cancellation:
    """Net, gross and chance of a chain of kernels; `steps[i]` is the step of kernel i + 1."""
    import numpy as np

    steps = steps or [1] * (len(kernels) - 1)
    net, gross, squares = (f(kernels[0]) for f in (np.asarray, np.abs, np.square))
    for kernel, step in zip(kernels[1:], steps, strict=True):
        net = compose(net, kernel, step)
        gross = compose(gross, np.abs(kernel), step)
        squares = compose(squares, np.square(kernel), step)
    return Cancellation(net, gross, np.sqrt(squares))
