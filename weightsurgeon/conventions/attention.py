"""Attention. A multi-head one of Keras has a layer for each projection, one of torch packs them."""

from __future__ import annotations

AXES = {
    "attention.scale": {"all": ""},
    "attention.concat_score_weight": {"all": ""},
    "additive_attention.scale": {"all": "embed"},
    "mha.qkv_kernel": {"keras": "p:qkv | in head dim", "torch": "(p:qkv head dim) in"},
    "mha.qkv_kernel@unpacked": {"keras": "p:qkv | in head dim", "torch": "p:qkv | (head dim) in"},
    "mha.qkv_bias": {"keras": "p:qkv | head dim", "torch": "(p:qkv head dim)"},
    "mha.out_kernel": {"keras": "head dim out", "torch": "out (head dim)"},
    "mha.out_bias": {"all": "out"},
}

LEAVES = {
    "attention": {
        "scale": {"all": "scale"},
        "concat_score_weight": {"all": "concat_score_weight"},
    },
    "additive_attention": {"scale": {"all": "scale"}},
    "mha": {
        "qkv_kernel": {
            "keras": "query/kernel, key/kernel, value/kernel",
            "torch": "in_proj_weight",
        },
        "qkv_kernel@unpacked": {
            "keras": "query/kernel, key/kernel, value/kernel",
            "torch": "q_proj_weight, k_proj_weight, v_proj_weight",
        },
        "qkv_bias": {"keras": "query/bias, key/bias, value/bias", "torch": "in_proj_bias"},
        "out_kernel": {"keras": "attention_output/kernel", "torch": "out_proj.weight"},
        "out_bias": {"keras": "attention_output/bias", "torch": "out_proj.bias"},
    },
}

WORDS = {"Attention": "attention", "AdditiveAttention": "additive_attention"}
