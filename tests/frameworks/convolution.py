"""Convolutions of one, two and three dimensions, of every sort; padding is `valid`."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table


def layers(k: Any, t: Any, rank: int, word: str = "Conv{}D", torch: str = "Conv{}d") -> Any:
    """The class of each framework, by its word."""
    return getattr(k, word.format(rank)), getattr(t, torch.format(rank))


def conv(rank: int, groups: int = 1, dilation: int = 1, strides: int = 1, bias: bool = True) -> Any:
    """A convolution."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        keras, torch = layers(k, t, rank)
        into, kernel = groups * n.into, n.kernel[:rank]
        there = {"groups": groups, "dilation_rate": dilation, "strides": strides, "use_bias": bias}
        back = {"groups": groups, "dilation": dilation, "stride": strides, "bias": bias}
        return Case(
            (*n.extent[:rank], into),
            [keras(n.out, kernel, name="x", **there)],
            {"x": torch(into, n.out, kernel, **back)},
            first=True,
        )

    return build


def transpose(rank: int, strides: int = 1) -> Any:
    """A transposed convolution: no kernel is flipped."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        keras, torch = layers(k, t, rank, "Conv{}DTranspose", "ConvTranspose{}d")
        return Case(
            (*n.extent[:rank], n.into),
            [keras(n.out, n.kernel[:rank], strides=strides, name="x")],
            {"x": torch(n.into, n.out, n.kernel[:rank], stride=strides)},
            first=True,
        )

    return build


def depthwise(rank: int, mult: int, dilation: int = 1) -> Any:
    """A depthwise convolution: in torch, one with a group for each channel."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        keras, torch = layers(k, t, rank, "DepthwiseConv{}D")
        options = {"depth_multiplier": mult, "dilation_rate": dilation}
        kernel = n.kernel[:rank]
        return Case(
            (*n.extent[:rank], n.into),
            [keras(kernel, name="x", **options)],
            {"x": torch(n.into, n.into * mult, kernel, groups=n.into, dilation=dilation)},
            first=True,
        )

    return build


def separable(rank: int, mult: int) -> Any:
    """A separable convolution: two layers in torch, so that a mapping must name them."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        keras, torch = layers(k, t, rank, "SeparableConv{}D")
        between, kernel = n.into * mult, n.kernel[:rank]
        return Case(
            (*n.extent[:rank], n.into),
            [keras(n.out, kernel, depth_multiplier=mult, name="x")],
            {
                "depth": torch(n.into, between, kernel, groups=n.into, bias=False),
                "point": torch(between, n.out, 1),
            },
            first=True,
            there="{layer: x, to: [depth, point], kind: separable}",
            back="{layer: [depth, point], to: x, kind: separable}",
        )

    return build


CONVOLUTION: Table = {
    **{f"conv{r}d": conv(r) for r in (1, 2, 3)},
    **{f"conv{r}d_groups": conv(r, groups=2) for r in (1, 2, 3)},
    **{f"conv{r}d_dilation": conv(r, dilation=2) for r in (1, 2)},
    "conv2d_strides": conv(2, strides=2),
    "conv2d_without_bias": conv(2, bias=False),
    **{f"conv{r}d_transpose": transpose(r) for r in (1, 2, 3)},
    **{f"conv{r}d_transpose_strides": transpose(r, strides=2) for r in (1, 2, 3)},
    **{f"depthwise{r}d_by_{m}": depthwise(r, m) for r in (1, 2) for m in (1, 2)},
    "depthwise2d_dilation": depthwise(2, 2, dilation=2),
    **{f"separable{r}d_by_{m}": separable(r, m) for r in (1, 2) for m in (1, 2)},
}
