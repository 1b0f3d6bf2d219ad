"""Attention: multi-head ones, and the scales of the plain and of the additive one.

Keras and Flax have a layer for each projection, torch packs the kernels of three into one, or has
three where key and value have widths of their own (`packed: false`). Judged with Keras 3.15 and
PyTorch 2.13 by equal outputs.
"""

from __future__ import annotations

_HEADS = "p:qkv | in head dim"
_BIAS = "p:qkv | head dim"
AXES = {
    "attention.scale": {"all": ""},
    "attention.concat_score_weight": {"all": ""},
    "additive_attention.scale": {"all": "embed"},
    "mha.qkv_kernel": {"keras": _HEADS, "torch": "(p:qkv head dim) in", "flax": _HEADS},
    **{
        f"mha.{part}_kernel": {
            "keras": "in head dim",
            "torch": "(head dim) in",
            "flax": "in head dim",
        }
        for part in ("query", "key", "value")
    },
    "mha.qkv_bias": {"keras": _BIAS, "torch": "(p:qkv head dim)", "flax": _BIAS},
    "mha.out_kernel": {"keras": "head dim out", "torch": "out (head dim)", "flax": "head dim out"},
    "mha.out_bias": {"all": "out"},
    "gqa.query_kernel": {"keras": "in head dim", "torch": "(head dim) in"},
    "gqa.query_bias": {"keras": "head dim", "torch": "(head dim)"},
    # query head j uses the key and value of group j // (heads / groups), on both sides
    **{
        f"gqa.{part}_kernel": {"keras": "in group dim", "torch": "(group dim) in"}
        for part in ("key", "value")
    },
    **{
        f"gqa.{part}_bias": {"keras": "group dim", "torch": "(group dim)"}
        for part in ("key", "value")
    },
    "gqa.out_kernel": {"keras": "head dim out", "torch": "out (head dim)"},
    "gqa.out_bias": {"all": "out"},
}

_PARTS = {  # role → what the layer is called in Keras, in torch
    "query": ("query", "query|q_proj"),
    "key": ("key", "key|k_proj"),
    "value": ("value", "value|v_proj"),
    "out": ("attention_output", "attention_output|o_proj|out_proj"),
}
_QKV = {role: f"query/{role}, key/{role}, value/{role}" for role in ("kernel", "bias")}
LEAVES = {
    "attention": {
        "scale": {"all": "scale"},
        "concat_score_weight": {"all": "concat_score_weight"},
    },
    "additive_attention": {"scale": {"all": "scale"}},
    "mha": {
        "qkv_kernel": {
            "keras": _QKV["kernel"],
            "torch": "in_proj_weight",
            "flax": _QKV["kernel"],
        },
        "qkv_kernel@unpacked": {},  # each by itself, as each has a width of its own
        **{
            f"{part}_kernel@unpacked": {
                "keras": f"{part}/kernel",
                "torch": f"{part[0]}_proj_weight",
                "flax": f"{part}/kernel",
            }
            for part in ("query", "key", "value")
        },
        "qkv_bias": {"keras": _QKV["bias"], "torch": "in_proj_bias", "flax": _QKV["bias"]},
        "out_kernel": {
            "keras": "attention_output/kernel",
            "torch": "out_proj.weight",
            "flax": "out/kernel",
        },
        "out_bias": {
            "keras": "attention_output/bias",
            "torch": "out_proj.bias",
            "flax": "out/bias",
        },
        "bias_key": {"torch": "bias_k"},
        "bias_value": {"torch": "bias_v"},
    },
    "gqa": {  # four Linears in torch
        f"{part}_{role}": {
            "keras": f"{keras}/{role}",
            "torch": "|".join(f"{name}.{leaf}" for name in torch.split("|")),
        }
        for part, (keras, torch) in _PARTS.items()
        for role, leaf in (("kernel", "weight"), ("bias", "bias"))
    },
}

WORDS = {"Attention": "attention", "AdditiveAttention": "additive_attention"}
