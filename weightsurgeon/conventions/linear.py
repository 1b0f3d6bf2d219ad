"""Dense layers and embeddings. Judged with Keras 3.15 and PyTorch 2.13 by equal outputs."""

from __future__ import annotations

from ..errors import SpecError
from ..spec import Axes, Axis

# F: the axes of the map that was flattened, in the dialect's own order
AXES = {
    "linear.kernel": {"keras": "in out", "torch": "out in", "flax": "in out"},
    "linear.kernel@flatten_from": {"keras": "F out", "torch": "out F", "flax": "F out"},
    "linear.bias": {"all": "out"},
    "linear_t.kernel": {"torch": "in out"},  # `Conv1D` of Hugging Face's GPT-2
    "linear_t.bias": {"torch": "out"},
    "embedding.embedding": {"all": "vocab embed"},
}

LEAVES = {
    "linear": {
        "kernel": {"keras": "kernel", "torch": "weight", "flax": "kernel"},
        "bias": {"all": "bias"},
    },
    "linear_t": {"kernel": {"torch": "weight"}, "bias": {"torch": "bias"}},
    "embedding": {
        "embedding": {"keras": "embeddings", "torch": "weight", "flax": "embedding"},
    },
}

WORDS = {"Dense": "linear", "EinsumDense": "linear", "Embedding": "embedding"}

REFUSED: tuple[tuple[str, str, object, str, str], ...] = ()


def einsum_axes(role: str, equation: str, bias_axes: str | None) -> Axes | None:
    """The axes of an EinsumDense, whose kernel may have them in any order.

    A letter of the kernel that is missing from the result is an input, one that is missing from
    the first operand an output. The bias has the letters of `bias_axes` in the result's order.

    Errors: SpecError `kind` for a letter in all three: a batch of kernels, which no Linear holds.
    """
    operands, _, result = equation.replace("...", "").partition("->")
    first, _, kernel = operands.partition(",")
    if role == "bias":
        letters = [c for c in result if c in (bias_axes or "")]
        return _named(letters, first, result)
    if any(c in first and c in result for c in kernel):
        raise SpecError(f"EinsumDense {equation}: a batch axis in the kernel, no Linear", "kind")
    return _named(list(kernel), first, result)


def _named(letters: list[str], first: str, result: str) -> Axes:
    """Inputs are `in`, outputs `out`; several of them are numbered in the kernel's order."""
    sides = ["in" if c in first and c not in result else "out" for c in letters]
    many = {side: sides.count(side) > 1 for side in sides}
    names = [f"{s}{sides[:i].count(s)}" if many[s] else s for i, s in enumerate(sides)]
    return Axes((Axis(name),) for name in names)
