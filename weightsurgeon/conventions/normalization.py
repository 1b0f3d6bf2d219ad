"""Normalisations and PReLU. Judged with Keras 3.15 and PyTorch 2.13 by equal outputs."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import SpecError

_FEATURE = {"all": "feature"}
_FLATTENED = {"keras": "F", "torch": "F"}
_MAP = {"keras": "h w feature", "torch": "feature h w"}

AXES = {
    **{f"batchnorm.{role}": _FEATURE for role in ("gamma", "beta", "mean", "variance")},
    **{
        f"batchnorm.{role}@flatten_from": _FLATTENED
        for role in ("gamma", "beta", "mean", "variance")
    },
    **{
        f"{kind}.{role}": _FEATURE
        for kind in ("layernorm", "groupnorm", "instancenorm")
        for role in ("gamma", "beta")
    },
    **{f"normalization.{role}": _FEATURE for role in ("mean", "variance")},
    **{f"normalization.{role}@flatten_from": _FLATTENED for role in ("mean", "variance")},
    **{f"layernorm.{role}@flatten_from": _FLATTENED for role in ("gamma", "beta")},
    **{f"layernorm.{role}@map": _MAP for role in ("gamma", "beta")},
    "spectralnorm.vector_u": {"keras": "1 out"},
    "rmsnorm.gamma": _FEATURE,
    "rmsnorm.gamma@flatten_from": _FLATTENED,
    # S: a 1 for each axis the slope is shared over; none behind a Dense
    "prelu.alpha": {"keras": "S feature", "torch": "feature", "onnx": "feature S"},
    "prelu.alpha@flatten_from": _FLATTENED,
}

_AFFINE = {
    "gamma": {"keras": "gamma", "torch": "weight|gamma", "flax": "scale", "onnx": "Scale|scale"},
    "beta": {"keras": "beta", "torch": "bias|beta", "flax": "bias", "onnx": "B"},
}
LEAVES = {
    "batchnorm": {
        **_AFFINE,
        "gamma": {**_AFFINE["gamma"], "onnx": "scale"},
        "mean": {
            "keras": "moving_mean",
            "torch": "running_mean",
            "flax": "mean",
            "onnx": "input_mean",
        },
        "variance": {
            "keras": "moving_variance",
            "torch": "running_var",
            "flax": "var",
            "onnx": "input_var",
        },
        "num_batches_tracked": {"torch": "num_batches_tracked"},
        **{role: {"keras": role} for role in ("renorm_mean", "renorm_stddev")},
        "stddev": {"keras": "moving_stddev"},
    },
    "layernorm": _AFFINE,
    "groupnorm": _AFFINE,
    "instancenorm": {  # GroupNormalization(groups=-1) in Keras
        **_AFFINE,
        "gamma": {**_AFFINE["gamma"], "onnx": "scale"},
        "mean": {"torch": "running_mean"},
        "variance": {"torch": "running_var"},
        "num_batches_tracked": {"torch": "num_batches_tracked"},
    },
    "rmsnorm": {"gamma": {"keras": "scale", "torch": "weight", "flax": "scale", "onnx": "scale"}},
    "prelu": {
        "alpha": {
            "keras": "alpha",
            "torch": "weight",
            "flax": "negative_slope",
            "onnx": "slope",
        }
    },
    "spectralnorm": {"vector_u": {"keras": "vector_u"}},  # of the layer inside: it has its own row
    "normalization": {  # two buffers in torch, called as here
        "mean": {"all": "mean"},
        "variance": {"all": "variance"},
        "count": {"keras": "count"},
    },
}

WORDS = {
    "BatchNormalization": "batchnorm",
    "LayerNormalization": "layernorm",
    "GroupNormalization": "groupnorm",
    "RMSNormalization": "rmsnorm",
    "PReLU": "prelu",
    "Normalization": "normalization",
    "SpectralNormalization": "spectralnorm",
}


def shared(rank: int, axes: Iterable[int] | None) -> str:
    """A 1 for each axis that a slope of this rank is shared over; `axes` None: not told.

    Errors: SpecError `kind` where it is not shared over all places of a map.

    >>> shared(3, [1, 2])
    '1 1'
    """
    if axes is not None and not {*range(1, rank)} <= {*axes}:
        text = (
            f"shared_axes={[*axes]}: it has a slope for each place of a map, not for each channel"
        )
        raise SpecError(text, "kind")
    return " ".join("1" * (rank - 1))
