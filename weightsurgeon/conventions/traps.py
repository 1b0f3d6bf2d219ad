"""Right weights, other outputs: what differs between layers that hold the same tensors.

No value is changed for any of these. Measured with Keras 3.15, PyTorch 2.13 and Flax 0.12: an
epsilon alone moves a LayerNorm of small inputs by 0.68, a stride-2 convolution padded on the other
side is off by 2.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Options = Mapping[str, Any]

# option → kind → what each dialect has where nothing is said
DEFAULTS: dict[str, dict[str, dict[str, str]]] = {
    "epsilon": {
        "batchnorm": {"keras": "0.001", "torch": "1e-05", "flax": "1e-05", "onnx": "1e-05"},
        "layernorm": {"keras": "0.001", "torch": "1e-05", "flax": "1e-06", "onnx": "1e-05"},
        "groupnorm": {"keras": "0.001", "torch": "1e-05", "flax": "1e-06", "onnx": "1e-05"},
        "instancenorm": {"keras": "0.001", "torch": "1e-05", "flax": "1e-06", "onnx": "1e-05"},
        "rmsnorm": {"keras": "1e-06", "torch": "that of the dtype, 1.2e-07", "flax": "1e-06"},
    },
    "momentum": {"batchnorm": {"keras": "0.99", "torch": "0.9, there 0.1", "flax": "0.99"}},
}

# options that both sides may tell, and for which kinds they count; None: for all that have them
COMPARED: dict[str, frozenset[str] | None] = {
    "epsilon": frozenset(DEFAULTS["epsilon"]),
    "strides": None,
    "dilation_rate": None,
    "padding": None,
    "padding_mode": None,
    "activation": None,
    "recurrent_activation": None,
    "momentum": frozenset({"batchnorm"}),
}
INFERENCE = tuple(option for option in COMPARED if option != "momentum")

# an activation of Keras' layers that is not everywhere the same function: what is to be known
ACTIVATIONS = {
    "leaky_relu": "activation=leaky_relu: its slope is 0.2 in Keras, 0.3 as a layer, 0.01 in torch",
    "hard_sigmoid": "activation=hard_sigmoid: relu6(x + 3)/6 in Keras 3 and torch, 0.2·x + 0.5 in "
    "tf_keras (0.17 apart at -2)",
}
_FLAX_GELU = "activation=gelu: exact in Keras, by tanh in Flax unless approximate=False"
_CALL = (
    "Keras calls an attention with (query, value, key), torch with (query, key, value) and the "
    "batch second unless batch_first=True"
)


def differences(kind: str, here: Options, there: Options) -> Iterator[str]:
    """What differs where the options of both sides are known.

    >>> list(differences("batchnorm", {"epsilon": 0.001}, {"epsilon": 1e-5}))
    ['epsilon is 0.001 here and 1e-05 there']
    """
    for option in COMPARED:
        yield from differing(option, kind, here, there)


def differing(option: str, kind: str, here: Options, there: Options) -> Iterator[str]:
    """How an option differs, where both sides tell it and it counts for the kind.

    >>> list(differing("strides", "conv", {"strides": [2, 2]}, {"strides": 1}))
    ['strides is [2, 2] here and 1 there']
    """
    kinds = COMPARED[option]
    if option not in here or option not in there or (kinds is not None and kind not in kinds):
        return
    a, b = here[option], there[option]
    unlike = "same" in (a, b) and a != b  # a word and numbers: which are alike, the kernel tells
    if unlike or _plain(option, a) == _plain(option, b):
        return
    more = " (it counts in training alone; torch's own number is 1 - that)"
    yield f"{option} is {a} here and {b} there{more if option == 'momentum' else ''}"


def _plain(option: str, value: object) -> object:
    """A value so that the same thing said otherwise is equal."""
    if value in ("valid", "linear", None):
        value = 0 if option == "padding" else "linear"
    sizes = _sizes(value)
    return sizes[0] if len(set(sizes)) == 1 else sizes


def unknown(kind: str, here: Options, there: Options, dialects: tuple[str, str]) -> str | None:
    """What cannot be compared, as the options of a side are not known."""
    found = [_open(option, kind, here, there, dialects) for option in DEFAULTS]
    return "; ".join(filter(None, found)) or None


def _open(
    option: str, kind: str, here: Options, there: Options, dialects: tuple[str, str]
) -> str | None:
    """An option of which a side is not known; if neither is, only what outputs depend on counts."""
    usually = DEFAULTS[option].get(kind)
    sides = ((here, dialects[0], "here"), (there, dialects[1], "there"))
    told = [f"{option} is {side[option]} {word}" for side, _, word in sides if option in side]
    if usually is None or len(told) == 2 or (not told and option not in INFERENCE):
        return None
    usual = [
        f"{dialect}'s default is {usually[dialect]}"
        for side, dialect, _ in sides
        if option not in side and dialect in usually
    ]
    known = f"{told[0]} and not known" if told else f"{option} is not known"
    return f"{known} on {'the other' if told else 'either'} side ({', '.join(usual)})"


def unpadded(kind: str, here: Options, there: Options) -> str | None:
    """`same` on one side and no padding on the other: right if what comes before it pads."""
    a, b = here.get("padding"), there.get("padding")
    if "conv" not in kind and kind not in ("depthwise", "separable"):
        return None
    if (a == "same" and _plain("padding", b) == 0) or (b == "same" and _plain("padding", a) == 0):
        return f"padding is {a} here and {b} there: is it padded before?"
    return None


def of_keras(kind: str, options: Options, other: str) -> Iterator[str]:
    """What a layer of Keras does that a layer of torch with the same weights does otherwise."""
    activation = str(options.get("activation", ""))
    if other == "flax" and activation == "gelu":
        yield _FLAX_GELU
    if other != "torch":
        return
    if activation in ACTIVATIONS:
        yield ACTIVATIONS[activation]
    strided = any(n != 1 for n in _sizes(options.get("strides", 1)))
    if kind in ("conv", "depthwise", "separable") and options.get("padding") == "same" and strided:
        yield (
            "padding=same with strides pads right and bottom where the kernel is even or the map "
            "is: padding=1 is wrong in torch, ZeroPad2d((0, 1, 0, 1)) before it is right"
        )
    if kind == "conv_transpose" and options.get("padding") == "same" and strided:
        yield (
            "padding=same of a transposed convolution: in torch padding=0 and a crop [:-1, :-1]; "
            "output_padding=1 has the shape, and is shifted by a pixel"
        )
    if options.get("go_backwards") and not options.get("direction"):
        yield "go_backwards: torch reads forwards only, so reverse its input"
    if options.get("merge_mode") not in (None, "concat"):
        yield f"merge_mode={options['merge_mode']}: torch joins both directions side by side"
    if kind == "mha":
        yield _CALL


def _sizes(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
