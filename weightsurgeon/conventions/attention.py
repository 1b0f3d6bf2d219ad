"""Attention: the scales of the plain and of the additive one."""

from __future__ import annotations

AXES = {
    "attention.scale": {"all": ""},
    "attention.concat_score_weight": {"all": ""},
    "additive_attention.scale": {"all": "embed"},
}

LEAVES = {
    "attention": {
        "scale": {"all": "scale"},
        "concat_score_weight": {"all": "concat_score_weight"},
    },
    "additive_attention": {"scale": {"all": "scale"}},
}

WORDS = {"Attention": "attention", "AdditiveAttention": "additive_attention"}
