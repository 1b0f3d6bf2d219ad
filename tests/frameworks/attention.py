"""Attention: multi-head and grouped-query, and the scales of the plain and the additive one."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table


def scaled(n: Sizes, t: Any, keras: Any, scores: Any, **shapes: tuple[int, ...]) -> Case:
    """An attention of a sequence to itself; `scores` are torch's, from query, key and weights."""

    class Attention(t.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, shape in shapes.items():
                weight = t.Linear(1, 1).weight.detach().new_zeros(shape)
                self.register_parameter(name, t.Parameter(weight))

        def forward(self, x: Any) -> Any:
            weights = {name: getattr(self, name) for name in shapes}
            return scores(x.unsqueeze(-2), x.unsqueeze(-3), **weights).softmax(-1) @ x

    return Case((3, n.into), [lambda x: keras([x, x])], {"x": Attention()})


SCALED: Table = {
    "attention_scale": lambda n, k, t: scaled(
        n, t, k.Attention(use_scale=True, name="x"), lambda q, k, scale: scale * (q * k).sum(-1),
        scale=(),
    ),
    "attention_concat": lambda n, k, t: scaled(
        n, t, k.Attention(use_scale=True, score_mode="concat", name="x"),
        lambda q, k, scale, concat_score_weight: (
            concat_score_weight * (scale * (q + k)).tanh().sum(-1)
        ),
        scale=(), concat_score_weight=(),
    ),
    "additive_attention": lambda n, k, t: scaled(
        n, t, k.AdditiveAttention(name="x"), lambda q, k, scale: (scale * (q + k).tanh()).sum(-1),
        scale=(n.into,),
    ),
}  # fmt: skip
ATTENTION: Table = {**SCALED}
