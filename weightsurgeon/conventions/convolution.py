"""Convolutions of one, two and three dimensions: K is the spatial axes.

Judged with Keras 3.15 and PyTorch 2.13 by equal outputs. Between Keras and torch no kernel is
flipped, not even of a transposed convolution; Flax flips that one unless `transpose_kernel` is
set.
"""

from __future__ import annotations

AXES = {
    "conv.kernel": {
        "keras": "K in out",
        "torch": "out in K",
        "onnx": "out in K",
        "flax": "K in out",
    },
    "conv_transpose.kernel": {
        "keras": "K out in",
        "torch": "in out K",
        "onnx": "in out K",
        "flax": "-K in out",
    },
    "conv_transpose.kernel@transpose_kernel": {
        "keras": "K out in",
        "torch": "in out K",
        "onnx": "in out K",
        "flax": "K out in",
    },
    "depthwise.kernel": {
        "keras": "K in mult",
        "torch": "(in mult) 1 K",
        "onnx": "(in mult) 1 K",
        "flax": "K 1 (in mult)",
    },
    "depthwise.bias": {"all": "(in mult)"},
    "separable.depthwise_kernel": {"keras": "K in mult", "torch": "(in mult) 1 K"},
    "separable.pointwise_kernel": {"keras": "K in out", "torch": "out in K"},
} | {f"{kind}.bias": {"all": "out"} for kind in ("conv", "conv_transpose", "separable")}

_PLAIN = {
    "kernel": {"keras": "kernel", "torch": "weight", "flax": "kernel", "onnx": "W"},
    "bias": {"keras": "bias", "torch": "bias", "flax": "bias", "onnx": "B"},
}
LEAVES = {
    "conv": _PLAIN,
    "conv_transpose": _PLAIN,
    "depthwise": _PLAIN,
    "separable": {  # two layers in torch: a depthwise convolution and a 1×1 one
        "depthwise_kernel": {"keras": "depthwise_kernel", "torch": "0:weight"},
        "pointwise_kernel": {"keras": "pointwise_kernel", "torch": "1:weight"},
        "bias": {"keras": "bias", "torch": "1:bias"},
    },
}

WORDS = {
    **{f"Conv{n}D": "conv" for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": "conv_transpose" for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": "depthwise" for n in (1, 2)},
    **{f"SeparableConv{n}D": "separable" for n in (1, 2)},
}
