"""Dense layers and embeddings. Judged with Keras 3.15 and PyTorch 2.13 by equal outputs."""

from __future__ import annotations

from ..errors import SpecError
from ..spec import Axes, Axis

# F: the axes of the map that was flattened, in the dialect's own order
AXES = {
    "linear.kernel": {"keras": "in out", "torch": "out in", "flax": "in out", "onnx": "in out"},
    "linear.kernel@transposed": {  # Gemm with transB=1
        "keras": "in out",
        "torch": "out in",
        "flax": "in out",
        "onnx": "out in",
    },
    "linear.kernel@flatten_from": {"keras": "F out", "torch": "out F", "flax": "F out"},
    "linear.kernel@int4": {"keras": "in pair"},  # two outputs a byte
    "linear.kernel_scale": {"keras": "out"},
    "linear.kernel_scale@int4": {"keras": "block out"},
    "linear.kernel_zero": {"keras": "block out"},
    "linear.g_idx": {"keras": "in"},
    "linear.bias": {"all": "out"},
    "linear_t.kernel": {"torch": "in out"},  # `Conv1D` of Hugging Face's GPT-2
    "linear_t.bias": {"torch": "out"},
    "embedding.embedding": {"all": "vocab embed"},
    "embedding.embedding@int4": {"keras": "vocab pair"},
    "embedding.kernel_scale": {"keras": "vocab"},
    "embedding.kernel_scale@int4": {"keras": "vocab block"},
    "embedding.kernel_zero": {"keras": "vocab block"},
    "embedding.g_idx": {"keras": "embed"},
    # of an untied ReversibleEmbedding; in torch the Linear that is the head
    "embedding.output_embedding": {"keras": "embed vocab", "torch": "vocab embed"},
    "embedding.output_embedding@int4": {"keras": "pair vocab"},
    "embedding.output_scale": {"keras": "vocab"},
    "embedding.output_scale@int4": {"keras": "block vocab"},
    "embedding.output_zero": {"keras": "block vocab"},
}

LEAVES = {
    "linear": {
        "kernel": {"keras": "kernel", "torch": "weight", "flax": "kernel", "onnx": "B"},
        "bias": {"all": "bias"},
        **{name: {"keras": name} for name in ("kernel_scale", "kernel_zero", "g_idx")},
    },
    "linear_t": {"kernel": {"torch": "weight"}, "bias": {"torch": "bias"}},
    "embedding": {
        "embedding": {
            "keras": "embeddings",
            "torch": "weight",
            "flax": "embedding",
            "onnx": "data",
        },
        "output_embedding": {"keras": "reverse_embeddings", "torch": "1:weight"},
        "kernel_scale": {"keras": "embeddings_scale"},
        "kernel_zero": {"keras": "embeddings_zero"},
        "g_idx": {"keras": "g_idx"},
        "output_scale": {"keras": "reverse_embeddings_scale"},
        "output_zero": {"keras": "reverse_embeddings_zero"},
    },
}

WORDS = {
    "Dense": "linear",
    "EinsumDense": "linear",
    "Embedding": "embedding",
    "ReversibleEmbedding": "embedding",
}


def einsum_axes(role: str, equation: str, bias_axes: object) -> Axes | None:
    """The axes of an EinsumDense, whose kernel may have them in any order.

    A letter of the kernel that is missing from the result is an input, one that is missing from
    the first operand an output. The bias has the letters of `bias_axes` in the result's order.

    Errors: SpecError `kind` where no Linear computes the same: a letter in all three is a batch of
    kernels, and a bias may lack an output or have another axis.
    """
    operands, _, result = equation.replace("...", "").partition("->")
    first, _, kernel = operands.partition(",")
    if role == "bias":
        letters = [c for c in result if c in kernel and c not in first]
        if not isinstance(bias_axes, str):  # a file without config tells only that there is one
            raise SpecError(f"EinsumDense {equation}: give bias_axes in the rule's options", "kind")
        if set(bias_axes) != set(letters):
            text = f"EinsumDense {equation}: a bias along {bias_axes}, while a Linear has one for"
            raise SpecError(f"{text} each output {''.join(letters)}", "kind")
        return _named(letters, first, result)
    if any(c in first and c in result for c in kernel):
        raise SpecError(f"EinsumDense {equation}: a batch axis in the kernel, no Linear", "kind")
    if len({*kernel}) < len(kernel) or not {*kernel} <= {*first, *result}:
        raise SpecError(f"EinsumDense {equation}: the kernel's axes cannot be told", "kind")
    return _named(list(kernel), first, result)


def _named(letters: list[str], first: str, result: str) -> Axes:
    """Inputs are `in`, outputs `out`; several are numbered as the operand and the result say."""
    ins = [c for c in first if c in letters and c not in result]
    outs = [c for c in result if c in letters]
    names = {**_numbered("in", ins), **_numbered("out", outs)}
    return Axes((Axis(names[c]),) for c in letters)


def _numbered(name: str, letters: list[str]) -> dict[str, str]:
    if len(letters) == 1:
        return {letters[0]: name}
    return {c: f"{name}{i}" for i, c in enumerate(letters)}


def joined(axes: Axes, other: Axes) -> Axes:
    """The axes with `in` and `out` as groups of their parts, where the other side has parts.

    >>> from weightsurgeon.notation import parse
    >>> str(joined(parse("out in"), parse("in out0 out1")))
    '(out0 out1) in'
    """
    names = sorted(axis.name for group in other for axis in group)
    parts = {
        side: [n for n in names if n[:-1] == side and n[-1].isdigit()] for side in ("in", "out")
    }
    return Axes(
        tuple(Axis(n) for n in parts[group[0].name])
        if len(group) == 1 and parts.get(group[0].name)
        else group
        for group in axes
    )
