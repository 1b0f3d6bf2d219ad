"""Dense, EinsumDense and Embedding, and Dense behind a Flatten."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table
from frameworks.normalization import buffers, within


def heads(equation: str, bias: str | None) -> Any:
    """An EinsumDense from one axis to two: in torch, a Linear and then a split."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        shape = (None, n.out, n.mult)
        linear = t.Linear(n.into, n.out * n.mult, bias=bias is not None)
        return Case(
            (3, n.into),
            [k.EinsumDense(equation, output_shape=shape, bias_axes=bias, name="x")],
            {"x": linear, "split": t.Unflatten(-1, (n.out, n.mult))},
        )

    return build


def joined(equation: str) -> Any:
    """An EinsumDense from two axes to one: in torch, a Linear on both as one."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        return Case(
            (3, n.into, n.mult),
            [k.EinsumDense(equation, output_shape=(None, n.out), bias_axes="c", name="x")],
            {"join": t.Flatten(-2), "x": t.Linear(n.into * n.mult, n.out)},
        )

    return build


def head(n: Sizes, k: Any, t: Any) -> Case:
    """An embedding and, with other weights, the way back: in torch, two layers."""
    layer = k.ReversibleEmbedding(n.into, n.out, tie_weights=False, name="x")
    return Case(
        (3,),
        [layer, lambda x: layer(x, reverse=True)],
        {"tok": t.Embedding(n.into, n.out), "head": t.Linear(n.out, n.into, bias=False)},
        vocab=n.into,
        there="{layer: x, to: [tok, head], kind: embedding}",
        back="{layer: [tok, head], to: x, kind: embedding}",
    )


LINEAR: Table = {
    "dense": lambda n, k, t: Case(
        (n.into,), [k.Dense(n.out, name="x")], {"x": t.Linear(n.into, n.out)}
    ),
    "dense_without_bias": lambda n, k, t: Case(
        (n.into,),
        [k.Dense(n.out, use_bias=False, name="x")],
        {"x": t.Linear(n.into, n.out, bias=False)},
    ),
    "dense_on_a_map": lambda n, k, t: Case(
        (3, 5, n.into), [k.Dense(n.out, name="x")], {"x": t.Linear(n.into, n.out)}
    ),
    "dense_chain": lambda n, k, t: Case(
        (n.into,),
        [k.Dense(n.out, name=f"dense_{i}", activation="relu") for i in range(12)],
        {
            name: layer
            for i in range(12)
            for name, layer in (
                (f"dense_{i}", t.Linear(n.out if i else n.into, n.out)),
                (f"relu_{i}", t.ReLU()),
            )
        },
    ),
    "embedding": lambda n, k, t: Case(
        (3,),
        [k.Embedding(n.into, n.out, name="x")],
        {"x": t.Embedding(n.into, n.out)},
        vocab=n.into,
    ),
    "embedding_both_ways": lambda n, k, t: Case(
        (3,),
        [k.ReversibleEmbedding(n.into, n.out, name="x")],
        {"x": t.Embedding(n.into, n.out)},
        vocab=n.into,
    ),
    "embedding_and_head": head,
    "einsum": lambda n, k, t: Case(
        (n.into,),
        [k.EinsumDense("ab,bc->ac", output_shape=n.out, bias_axes="c", name="x")],
        {"x": t.Linear(n.into, n.out)},
    ),
    "einsum_outputs_first": lambda n, k, t: Case(
        (n.into,),
        [k.EinsumDense("ab,cb->ac", output_shape=n.out, bias_axes="c", name="x")],
        {"x": t.Linear(n.into, n.out)},
    ),
    "einsum_ellipsis": lambda n, k, t: Case(
        (3, n.into),
        [k.EinsumDense("...x,xy->...y", output_shape=n.out, bias_axes="y", name="x")],
        {"x": t.Linear(n.into, n.out)},
    ),
    "einsum_heads": heads("abc,cde->abde", "de"),
    "einsum_heads_without_bias": heads("abc,cde->abde", None),
    "einsum_heads_around": heads("abc,dce->abde", "de"),
    "einsum_heads_reversed": heads("abc,edc->abde", "ed"),
    "einsum_joined": joined("abde,dec->abc"),
    "einsum_joined_reversed": joined("abde,edc->abc"),
    "einsum_joined_around": joined("abde,ecd->abc"),
}


def flat(n: Sizes, k: Any, t: Any, rank: int, *between: str) -> Case:
    """A map of this rank, flattened; perhaps a layer on the flat axis; a Dense."""
    size = n.into
    for extent in n.kernel[:rank]:
        size *= extent
    made = {
        "batchnorm": (k.BatchNormalization, lambda: t.BatchNorm1d(size, eps=1e-3)),
        "layernorm": (k.LayerNormalization, lambda: t.LayerNorm(size, eps=1e-3)),
        "rmsnorm": (k.RMSNormalization, lambda: t.RMSNorm(size, eps=1e-6)),
        "prelu": (k.PReLU, lambda: t.PReLU(size)),
        "normalization": (k.Normalization, lambda: buffers(t, size)),
    }
    conv = k.Conv1D if rank == 1 else k.Conv2D if rank == 2 else k.Conv3D
    convolution = t.Conv1d if rank == 1 else t.Conv2d if rank == 2 else t.Conv3d
    return Case(
        (*n.kernel[:rank], n.out),
        [
            conv(n.into, 1, name="conv"),
            k.Flatten(),
            *(made[name][0](name=name) for name in between),
            k.Dense(n.out, name="fc"),
            k.Dense(n.into, name="last"),
        ],
        {
            "conv": convolution(n.out, n.into, 1),
            "flatten": t.Flatten(),
            **{name: made[name][1]() for name in between},
            "fc": t.Linear(size, n.out),
            "last": t.Linear(n.out, n.into),
        },
        first=True,
    )


FLATTENED: Table = {
    "flatten_1d": lambda n, k, t: flat(n, k, t, 1),
    "flatten_2d": lambda n, k, t: flat(n, k, t, 2),
    "flatten_3d": lambda n, k, t: flat(n, k, t, 3),
    "flatten_1d_batchnorm": lambda n, k, t: flat(n, k, t, 1, "batchnorm"),
    "flatten_2d_batchnorm": lambda n, k, t: flat(n, k, t, 2, "batchnorm"),
    "flatten_2d_layernorm": lambda n, k, t: flat(n, k, t, 2, "layernorm"),
    "flatten_2d_rmsnorm": lambda n, k, t: flat(n, k, t, 2, "rmsnorm"),
    "flatten_2d_prelu": lambda n, k, t: flat(n, k, t, 2, "prelu"),
    "flatten_2d_normalization": lambda n, k, t: flat(n, k, t, 2, "normalization"),
    "flatten_2d_batchnorm_prelu": lambda n, k, t: flat(n, k, t, 2, "batchnorm", "prelu"),
    "flatten_an_input": lambda n, k, t: Case(
        (*n.kernel[:2], n.into),
        [k.Flatten(), k.Dense(n.out, name="fc")],
        {"flatten": t.Flatten(), "fc": t.Linear(n.kernel[0] * n.kernel[1] * n.into, n.out)},
        first=True,
    ),
    "flatten_pooled": lambda n, k, t: Case(
        (4, 6, n.into),
        [
            k.Conv2D(n.out, 1, name="conv"),
            k.MaxPooling2D(2),
            k.Dropout(0.5),
            k.Flatten(),
            k.Dense(n.out, name="fc"),
        ],
        {
            "conv": t.Conv2d(n.into, n.out, 1),
            "pool": t.MaxPool2d(2),
            "dropout": t.Dropout(0.5),
            "flatten": t.Flatten(),
            "fc": t.Linear(2 * 3 * n.out, n.out),
        },
        first=True,
    ),
    "flatten_spectral": lambda n, k, t: Case(  # a wrapper hides no layer from the map
        (*n.kernel[:2], n.into),
        [k.Flatten(), k.SpectralNormalization(k.Dense(n.out, name="c"), name="fc")],
        {
            "flatten": t.Flatten(),
            "fc": within(t, c=t.Linear(n.kernel[0] * n.kernel[1] * n.into, n.out)),
        },
        first=True,
    ),
    "pooled_globally": lambda n, k, t: Case(  # channels alone are left: nothing is reordered
        (4, 6, n.into),
        [k.GlobalAveragePooling2D(), k.Dense(n.out, name="fc")],
        {"pool": t.AdaptiveAvgPool2d(1), "flat": t.Flatten(), "fc": t.Linear(n.into, n.out)},
        first=True,
    ),
    "flatten_a_sequence": lambda n, k, t: Case(  # both frameworks flatten it in the same order
        (3,),
        [k.Embedding(n.into, n.out, name="x"), k.Flatten(), k.Dense(n.into, name="fc")],
        {"x": t.Embedding(n.into, n.out), "flat": t.Flatten(), "fc": t.Linear(3 * n.out, n.into)},
        vocab=n.into,
    ),
}
