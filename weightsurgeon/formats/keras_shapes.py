"""Shapes that Keras layers make of shapes, for configs that do not write them down.

Only what leads from an input to a Flatten: convolutions, pooling, padding, and what keeps a shape.
None stands for a shape that is not known; nothing is ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from .keras_calls import Size

_WINDOW = re.compile(r"(Depthwise|Separable)?Conv[123]D|(Max|Average)Pooling[123]D")
_MARGIN = re.compile(r"(ZeroPadding|Cropping)[123]D")
KEEPS = frozenset(
    (
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise"),
        *("GaussianDropout", "AlphaDropout", "Activation", "ActivityRegularization", "Identity"),
        *("ReLU", "LeakyReLU", "ELU", "Softmax", "PReLU", "ThresholdedReLU", "Rescaling"),
        *("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"),
        *("GroupNormalization", "Normalization", "Masking", "InputLayer"),
    )
)


def size_after(kind: str, config: Mapping[str, Any], size: Size | None) -> Size | None:
    """The shape (without batch) of a layer's output, None where it is not known."""
    try:
        return _after(kind, config, size)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None  # the config is not what Keras writes: the shape is not known


def _after(kind: str, config: Mapping[str, Any], size: Size | None) -> Size | None:
    if size is None:
        return None
    if kind in KEEPS:
        return size
    if _WINDOW.fullmatch(kind):
        return _windowed(kind, config, size)
    if _MARGIN.fullmatch(kind):
        return _margined(kind, config, size)
    if kind == "Dense":
        return (*size[:-1], config["units"])
    if kind == "Permute":
        return tuple(size[axis - 1] for axis in config["dims"])
    if kind == "Reshape":
        return _reshaped(target_of(config), size)
    return None


def target_of(config: Mapping[str, Any]) -> Any:
    """The shape, without batch, that a Reshape makes; `keras.ops.reshape` says it with the batch.

    >>> target_of({"newshape": [-1, 16]})
    [16]
    """
    stated = config.get("newshape")
    return stated[1:] if isinstance(stated, list) else config.get("target_shape")


def _windowed(kind: str, config: Mapping[str, Any], size: Size) -> Size:
    """A window that slides over the spatial axes."""
    space, channels = _apart(config, size)
    pools = "Pooling" in kind
    window = _each(config["pool_size" if pools else "kernel_size"], len(space))
    strides = _each(config.get("strides") or (window if pools else 1), len(space))
    dilation = _each(1 if pools else config.get("dilation_rate", 1), len(space))
    whole = config["padding"] != "valid"
    axes = zip(space, window, strides, dilation, strict=True)
    space = [-(-(n if whole else n - (w - 1) * d) // s) for n, w, s, d in axes]
    if kind.startswith("Depthwise"):
        channels *= config["depth_multiplier"]
    elif not pools:
        channels = config["filters"]
    return _joined(config, space, channels)


def _margined(kind: str, config: Mapping[str, Any], size: Size) -> Size:
    """Margins that are added to or cut off the spatial axes."""
    space, channels = _apart(config, size)
    crops = kind.startswith("Cropping")
    margins = config["cropping" if crops else "padding"]
    pairs = [margins] if len(space) == 1 else margins
    added = [sum(_each(pair, 2)) for pair in pairs]
    axes = zip(space, added, strict=True)
    return _joined(config, [n - m if crops else n + m for n, m in axes], channels)


def _reshaped(target: list[int], size: Size) -> Size:
    known = prod(n for n in target if n != -1)
    return tuple(prod(size) // known if n == -1 else n for n in target)


def _apart(config: Mapping[str, Any], size: Size) -> tuple[list[int], int]:
    if config.get("data_format") == "channels_first":
        return list(size[1:]), size[0]
    return list(size[:-1]), size[-1]


def _joined(config: Mapping[str, Any], space: list[int], channels: int) -> Size:
    if min(space) <= 0:
        raise ValueError("the window is larger than the map")
    first = config.get("data_format") == "channels_first"
    return (channels, *space) if first else (*space, channels)


def _each(value: int | list[int], count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else value
