"""One row for each way to build a layer: the same function in Keras and in torch.

A row is made from `Sizes`, once with all sizes different and once with all equal, where a wrong
layout fits by shape. `k` is `keras.layers` and `t` is `torch.nn`: the tables import neither, so
that the tests can name their cases without a framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Sizes(NamedTuple):
    """What a row is built from; groups, where there are any, are two."""

    into: int
    out: int
    kernel: tuple[int, int, int]
    mult: int
    extent: tuple[int, int, int]


SIZES = {
    "different": Sizes(into=4, out=6, kernel=(3, 5, 7), mult=2, extent=(9, 11, 13)),
    "equal": Sizes(into=2, out=2, kernel=(2, 2, 2), mult=2, extent=(5, 5, 5)),
}


class Case(NamedTuple):
    """The same function in both frameworks.

    shape        of one input, channels last
    keras        a chain of layers; those with weights are named as in `torch`
    torch        the same chain by name
    first        torch wants, and gives, a map with its channels first
    vocab        inputs are whole numbers below this, 0 where they are not
    there, back  the rule of a mapping, Keras to torch and back, "" where none is needed
    fixed        torch tensors that a layer of Keras lacks: they must stay as torch makes them
    """

    shape: tuple[int, ...]
    keras: Sequence[Any]
    torch: Mapping[str, Any]
    first: bool = False
    vocab: int = 0
    there: str = ""
    back: str = ""
    fixed: tuple[str, ...] = ()


Build = Callable[[Sizes, Any, Any], Case]
Table = dict[str, Build]
