"""What quantised Keras layers store beside their own variables, and in which order.

A layer's policy names the mode: `int8` has a scale for each output, `int4/128` scales and zeros for
blocks of 128 inputs and the block of each input (`g_idx`), `int4/-1` a scale for each output again.
Judged with the files of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_STEMS = {
    "Dense": "kernel",
    "EinsumDense": "kernel",
    "Embedding": "embeddings",
    "ReversibleEmbedding": "embeddings",
}
_UNDECIDED = {"quantized": ["quantized"]}  # of no number of variables: none gets a name


def quantized_options(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """`quantized`: the names of what is stored beside; `int4`; the sizes that packing hides.

    >>> policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}
    >>> quantized_options("Dense", {"dtype": policy})
    {'quantized': ['kernel_scale']}
    """
    policy = config.get("dtype")
    if not isinstance(policy, dict) or not str(policy.get("class_name")).endswith("DTypePolicy"):
        return {}
    inner = policy.get("config")
    mode = str(inner.get("mode", "")) if isinstance(inner, dict) else ""
    stem = _STEMS.get(kind)
    mode, _, size = mode.partition("/")
    if not mode:
        return {}
    if stem is None or mode not in ("int8", "int4") or config.get("lora_rank"):
        return dict(_UNDECIDED)
    blocks = mode == "int4" and size != "-1"
    stems = [stem]
    if kind == "ReversibleEmbedding" and config.get("tie_weights") is False:
        stems.append(f"reverse_{stem}")
    names = [f"{s}_{x}" for s in stems for x in (("scale", "zero") if blocks else ("scale",))]
    if blocks:
        names.insert(2, "g_idx")
    if mode == "int8":
        return {"quantized": names}
    hidden = {k: config[k] for k in ("output_dim", "output_shape") if config.get(k) is not None}
    return {"quantized": names, "int4": True, **hidden}


def in_order(kind: str, names: list[str], stored: Iterable[str]) -> list[str]:
    """All variables as the file numbers them: what is stored beside comes last.

    Only the kernel of the way back of an embedding has its own after that of the way there.

    >>> stored = ["embeddings_scale", "reverse_embeddings_scale"]
    >>> in_order("ReversibleEmbedding", ["embeddings", "reverse_embeddings"], stored)
    ['embeddings', 'embeddings_scale', 'reverse_embeddings', 'reverse_embeddings_scale']
    """
    found = [*names, *stored]
    if kind == "ReversibleEmbedding":
        found.sort(key=lambda name: name.startswith("reverse_"))
    return found
