"""Normalisations and PReLU. Keras' defaults of epsilon are not torch's: the modules state them."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table

EPS = 1e-3  # Keras' own, but for RMSNormalization


def batchnorm(rank: int) -> Any:
    """A batch normalisation of vectors, or of a map of this rank."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        norm = getattr(t, f"BatchNorm{max(rank, 1)}d")(n.into, eps=EPS)
        shape = (*n.extent[:rank], n.into)
        return Case(shape, [k.BatchNormalization(name="x")], {"x": norm}, first=True)

    return build


def lacking(norm: str, role: str, **options: bool) -> Any:
    """A normalisation of vectors that lacks a role which torch has: filled, and dropped again."""
    leaf = {"gamma": "x.weight", "beta": "x.bias"}[role]
    kind = {"BatchNormalization": "batchnorm", "LayerNormalization": "layernorm"}[norm]

    def build(n: Sizes, k: Any, t: Any) -> Case:
        made = {"batchnorm": t.BatchNorm1d, "layernorm": t.LayerNorm}[kind]
        return Case(
            (n.into,),
            [getattr(k, norm)(name="x", **options)],
            {"x": made(n.into, eps=EPS)},
            there=f"{{layer: x, to: x, kind: {kind}, roles: {{{role}: fill}}}}",
            back=f"{{layer: x, to: x, kind: {kind}, roles: {{{role}: drop}}}}",
            fixed=(leaf,),
        )

    return build


NORMALIZATION: Table = {
    "batchnorm": batchnorm(0),
    **{f"batchnorm_{r}d": batchnorm(r) for r in (1, 2, 3)},
    "batchnorm_without_scale": lacking("BatchNormalization", "gamma", scale=False),
    "batchnorm_without_center": lacking("BatchNormalization", "beta", center=False),
    "batchnorm_without_both": lambda n, k, t: Case(
        (n.into,),
        [k.BatchNormalization(scale=False, center=False, name="x")],
        {"x": t.BatchNorm1d(n.into, eps=EPS, affine=False)},
    ),
    "layernorm": lambda n, k, t: Case(
        (3, n.into), [k.LayerNormalization(name="x")], {"x": t.LayerNorm(n.into, eps=EPS)}
    ),
    "layernorm_without_center": lambda n, k, t: Case(
        (n.into,),
        [k.LayerNormalization(center=False, name="x")],
        {"x": t.LayerNorm(n.into, eps=EPS, bias=False)},
    ),
    "layernorm_without_scale": lacking("LayerNormalization", "gamma", scale=False),
    "layernorm_of_a_map": lambda n, k, t: Case(
        (*n.kernel[:2], n.into),
        [k.LayerNormalization(axis=[1, 2, 3], name="x")],
        {"x": t.LayerNorm((n.into, *n.kernel[:2]), eps=EPS)},
        first=True,
    ),
    "groupnorm": lambda n, k, t: Case(
        (3, 5, n.into),
        [k.GroupNormalization(groups=2, name="x")],
        {"x": t.GroupNorm(2, n.into, eps=EPS)},
        first=True,
    ),
    "instancenorm": lambda n, k, t: Case(
        (3, 5, n.into),
        [k.GroupNormalization(groups=-1, name="x")],
        {"x": t.InstanceNorm2d(n.into, eps=EPS, affine=True)},
        first=True,
    ),
    "rmsnorm": lambda n, k, t: Case(
        (3, n.into), [k.RMSNormalization(name="x")], {"x": t.RMSNorm(n.into, eps=1e-6)}
    ),
}


def within(t: Any, **modules: Any) -> Any:
    """A module that holds these, by name."""
    outer = t.Sequential()
    for name, module in modules.items():
        outer.add_module(name, module)
    return outer


def buffers(t: Any, size: int) -> Any:
    """A module that normalises by two buffers."""

    class Normalize(t.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            zeros = t.Linear(1, 1).weight.detach().new_zeros(size)
            self.register_buffer("mean", zeros)
            self.register_buffer("variance", zeros + 1)

        def forward(self, x: Any) -> Any:
            return (x - self.mean) / self.variance.sqrt().clamp(min=1e-7)

    return Normalize()


def constants(n: Sizes, k: Any, t: Any) -> Case:
    """A normalisation by constants: in torch, two buffers."""

    return Case((3, n.into), [k.Normalization(name="x")], {"x": buffers(t, n.into)})


def spectral(n: Sizes, k: Any, t: Any) -> Case:
    """A layer whose kernel is kept at a spectral norm of one: plain in torch."""
    inner = k.Conv2D(n.out, n.kernel[:2], name="c")
    module = within(t, c=t.Conv2d(n.into, n.out, n.kernel[:2]))
    shape = (*n.extent[:2], n.into)
    return Case(shape, [k.SpectralNormalization(inner, name="x")], {"x": module}, first=True)


CONSTANTS: Table = {"normalization": constants, "spectral_normalization": spectral}
PRELU: Table = {
    **{
        f"prelu_{r}d": lambda n, k, t, r=r: Case(  # type: ignore[misc]
            (*n.extent[:r], n.into),
            [k.PReLU(shared_axes=list(range(1, r + 1)), name="x")],
            {"x": t.PReLU(n.into)},
            first=True,
        )
        for r in (1, 2, 3)
    },
    "prelu_of_one_slope": lambda n, k, t: Case(
        (3, 5, n.into), [k.PReLU(shared_axes=[1, 2, 3], name="x")], {"x": t.PReLU()}, first=True
    ),
    "prelu_behind_dense": lambda n, k, t: Case(
        (n.into,),
        [k.Dense(n.out, name="fc"), k.PReLU(name="x")],
        {"fc": t.Linear(n.into, n.out), "x": t.PReLU(n.out)},
    ),
}
