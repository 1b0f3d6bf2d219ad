"""What Keras calls the variables of its layers, in the order in which a weights file numbers them.

`[x:option]` is there only where the layer's option says so; where one is absent the later ones
move up. Without a config the count alone must leave one possibility, else nothing is decided.
Judged with the files of Keras 3.15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any

from .keras_quantised import in_order

_DENSE = "kernel [bias:use_bias]"
_AFFINE = "[gamma:scale] [beta:center]"
_CELL = "kernel recurrent_kernel [bias:use_bias]"
_RENORM = "[moving_stddev:renorm] [renorm_mean:renorm] [renorm_stddev:renorm]"

VARIABLES = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _DENSE),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _DENSE),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DENSE),
    **dict.fromkeys(
        ("SeparableConv1D", "SeparableConv2D"), "depthwise_kernel pointwise_kernel [bias:use_bias]"
    ),
    "EinsumDense": "kernel [bias:bias_axes]",
    "Embedding": "embeddings",
    "ReversibleEmbedding": "embeddings [reverse_embeddings:untied]",
    "BatchNormalization": f"{_AFFINE} moving_mean moving_variance {_RENORM}",
    "LayerNormalization": _AFFINE,
    "GroupNormalization": _AFFINE,
    "RMSNormalization": "scale",
    "PReLU": "alpha",
    **dict.fromkeys(("SimpleRNNCell", "LSTMCell", "GRUCell", "ConvLSTMCell"), _CELL),
    "Attention": "[scale:use_scale] [concat_score_weight:concat]",
    "AdditiveAttention": "[scale:use_scale]",
    "SpectralNormalization": "kernel vector_u",
    "Normalization": "mean variance count",
    "SeedGenerator": "seed_generator_state",
}

# attribute of the layer → (kind, name) of the layer it holds, where Keras makes it by itself
CELLS = {
    "SimpleRNN": ("SimpleRNNCell", "simple_rnn_cell"),
    "LSTM": ("LSTMCell", "lstm_cell"),
    "GRU": ("GRUCell", "gru_cell"),
    **{f"ConvLSTM{n}D": ("ConvLSTMCell", "conv_lstm_cell") for n in (1, 2, 3)},
}
_PROJECTIONS = {n: n for n in ("query", "key", "gate", "value")} | {"output": "attention_output"}
ATTENTION = {
    "MultiHeadAttention": {
        f"{'_' if part == 'gate' else ''}{part}_dense": name for part, name in _PROJECTIONS.items()
    },
    "GroupQueryAttention": {f"_{part}_dense": name for part, name in _PROJECTIONS.items()},
    "GroupedQueryAttention": {f"_{part}_dense": name for part, name in _PROJECTIONS.items()},
}

_INTO_HEADS = {"equation": "ab,bcd->acd", "bias_axes": "cd"}
_FROM_HEADS = {"equation": "abc,bcd->ad", "bias_axes": "d"}
EQUATIONS = {  # of the projections inside an attention layer, by name
    **dict.fromkeys(("query", "key", "value", "gate"), _INTO_HEADS),
    "attention_output": _FROM_HEADS,
}
CELL_KINDS = frozenset(cell for cell, _ in CELLS.values())
_PYTHON = {"GroupQueryAttention": "GroupedQueryAttention"}  # configs have the exported name
_GATES = {"LSTMCell": 4, "GRUCell": 3, "SimpleRNNCell": 1}
# variables that no gradient moves: a legacy file has them behind all others of a layer
STATISTICS = frozenset(
    (
        *("moving_mean", "moving_variance", "moving_stddev", "mean", "variance", "count"),
        *("renorm_mean", "renorm_stddev", "vector_u", "seed_generator_state"),
    )
)


def module_of(place: str) -> tuple[str, dict[str, Any]]:
    """The place of the layer that a cell or a projection is a part of, and which part it is.

    >>> module_of("layers/bidirectional/backward_layer/cell")
    ('layers/bidirectional', {'direction': 'backward'})
    >>> module_of("layers/rnn/cell/cells/lstm_cell_1")
    ('layers/rnn', {'level': 1})
    >>> module_of("layers/multi_head_attention/query_dense")
    ('layers/multi_head_attention', {'part': 'query'})
    """
    if found := re.fullmatch(r"(.*)/_?([a-z]+)_dense", place):
        return found[1], {"part": found[2]}
    part: dict[str, Any] = {}
    if found := re.fullmatch(r"(.*)/cells/[^/]*?(?:_(\d+))?", place):
        place, part["level"] = found[1], int(found[2] or 0)
    place = place.removesuffix("/cell")
    for way in ("forward", "backward"):
        if place.endswith(f"/{way}_layer"):
            place, part["direction"] = place.removesuffix(f"/{way}_layer"), way
    return place, part


def snake(kind: str) -> str:
    """A class name as Keras writes it in paths.

    >>> snake("Conv2DTranspose"), snake("PReLU"), snake("ConvLSTM2D")
    ('conv2d_transpose', 'p_re_lu', 'conv_lstm2d')
    """
    name = re.sub(r"\W+", "", _PYTHON.get(kind, kind))
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


_KINDS = {snake(k): k for k in (*VARIABLES, *CELLS, *ATTENTION, "Bidirectional", "TimeDistributed")}


def kind_of(segment: str) -> str:
    """The class that a path segment such as `conv2d_1` was made from, "" where it is none of ours.

    >>> kind_of("conv2d_1"), kind_of("my_layer")
    ('Conv2D', '')
    """
    return _KINDS.get(segment) or _KINDS.get(re.sub(r"_\d+$", "", segment), "")


@lru_cache
def _parsed(kind: str) -> list[tuple[str, str]]:
    terms = VARIABLES.get(kind, "").split()
    found = [term.strip("[]").partition(":") for term in terms]
    return [(name, option) for name, _, option in found]


def variables(kind: str, options: Mapping[str, Any], count: int) -> list[str] | None:
    """The names of a layer's variables by its options; None where they do not give this count."""
    names = [name for name, option in _parsed(kind) if not option or options.get(option)]
    names = in_order(kind, names, options.get("quantized") or ())
    return names if names and len(names) == count else None


def guessed(kind: str, count: int) -> tuple[list[str], dict[str, bool]] | None:
    """Names and options where only class and count are known; None unless one reading fits.

    >>> guessed("BatchNormalization", 4)[0]
    ['gamma', 'beta', 'moving_mean', 'moving_variance']
    >>> guessed("BatchNormalization", 3) is None
    True
    """
    found = [
        (names, options)
        for options in _readings(kind)
        if (names := variables(kind, options, count)) is not None
    ]
    return found[0] if len(found) == 1 else None


def _readings(kind: str) -> Iterator[dict[str, bool]]:
    switches = dict.fromkeys(option for _, option in _parsed(kind) if option)
    for choice in product((True, False), repeat=len(switches)):
        yield dict(zip(switches, choice, strict=True))


def cell_of(name: str, shapes: list[tuple[int, ...]]) -> str:
    """The class of an RNN cell by its automatic name, if its recurrent kernel agrees; else ""."""
    kind = next((cell for cell, given in CELLS.values() if name == given), "")
    if kind not in _GATES or len(shapes) < 2 or len(shapes[1]) != 2:
        return ""
    rows, columns = shapes[1]
    return kind if columns == _GATES[kind] * rows else ""
