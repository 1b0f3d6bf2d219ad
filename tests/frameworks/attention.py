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


def linears(shared: int) -> Any:
    """Heads that torch's module cannot hold: a Linear a projection; keys for several queries."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        heads, dim = 2 * shared, 3

        class Attention(t.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.query = t.Linear(n.into, heads * dim)
                self.key, self.value = (t.Linear(n.into, 2 * dim) for _ in range(2))
                self.attention_output = t.Linear(heads * dim, n.into)

            def forward(self, x: Any) -> Any:
                query, key, value = (
                    f(x).unflatten(-1, (-1, dim)).transpose(1, 2)
                    for f in (self.query, self.key, self.value)
                )
                key, value = (y.repeat_interleave(shared, 1) for y in (key, value))
                weights = (query @ key.transpose(2, 3) / dim**0.5).softmax(-1)
                return self.attention_output((weights @ value).transpose(1, 2).flatten(2))

        layer = k.MultiHeadAttention(2, dim, name="x")
        if shared > 1:
            layer = k.GroupQueryAttention(dim, heads, 2, name="x")
        return Case((3, n.into), [lambda x: layer(x, x)], {"x": Attention()})

    return build


ATTENTION: Table = {
    **SCALED,
    "mha_linears": linears(1),
    "gqa_linears": linears(2),
}
