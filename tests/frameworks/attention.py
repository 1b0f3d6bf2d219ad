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


def packed(bias: bool = True) -> Any:
    """Heads that are together as wide as the query: one module, three kernels in one."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        class Attention(t.MultiheadAttention):  # type: ignore[misc]
            def forward(self, x: Any) -> Any:
                return super().forward(x, x, x, need_weights=False)[0]

        layer = k.MultiHeadAttention(2, n.into // 2, use_bias=bias, name="x")
        module = Attention(n.into, 2, bias=bias, batch_first=True)
        return Case((3, n.into), [lambda x: layer(x, x)], {"x": module})

    return build


def apart(n: Sizes, k: Any, t: Any) -> Case:
    """Keys and values of other widths than the query: one module, three kernels."""
    wide = 2 * n.into

    class Attention(t.MultiheadAttention):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            query, key, value = x[..., :wide], x, x[..., 1:]
            return super().forward(query, key, value, need_weights=False)[0]

    layer = k.MultiHeadAttention(2, n.into, name="x")
    module = Attention(wide, 2, kdim=wide + 3, vdim=wide + 2, batch_first=True)
    return Case((3, wide + 3), [lambda x: layer(x[..., :wide], x[..., 1:], x)], {"x": module})


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
    "mha": packed(),
    "mha_without_bias": packed(bias=False),
    "mha_of_other_widths": apart,
    "mha_linears": linears(1),
    "gqa_linears": linears(2),
}
