"""Weights that depend on the tensor: numbers, and ramps over the index of the layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

from ..errors import shown
from ..mapping.select import Test

_INDEX = re.compile(r"(?:^|[./])(\d+)(?=[./]|$)")


class WeightRule(NamedTuple):
    """Other weights for some tensors: alias → a number, or the numbers of a ramp."""

    test: Test
    weights: Mapping[str, Fraction | tuple[Fraction, ...]]
    outside: Fraction | None


def number(value: Any, what: str = "weight") -> Fraction:
    """A number of a plan, exactly. Errors: ValueError."""
    if type(value) is not int and not (isinstance(value, Decimal) and value.is_finite()):
        raise ValueError(f"{what} wants a number, not {shown(str(value), 60)!r}")
    return Fraction(value)


def ramp(value: Any) -> Fraction | tuple[Fraction, ...]:
    """A number, or a list of them. Errors: ValueError."""
    if isinstance(value, list):
        if not value:
            raise ValueError("a ramp wants numbers")
        return tuple(number(v) for v in value)
    return number(value)


def layer_index(name: str) -> int | None:
    """The first number that stands between separators: the index of a layer.

    >>> layer_index("model.layers.12.mlp.0.weight"), layer_index("head.weight")
    (12, None)
    """
    found = _INDEX.search(name)
    return int(found[1]) if found else None


def along(points: Sequence[Fraction], i: int, m: int) -> Fraction:
    """The value of a ramp at the i-th of m layers: linear from point to point, exactly.

    >>> [str(along((Fraction(0), Fraction(1, 2), Fraction(1)), i, 5)) for i in range(5)]
    ['0', '1/4', '1/2', '3/4', '1']
    """
    if m <= 1 or len(points) == 1:
        return points[-1]
    at = Fraction(i, m - 1) * (len(points) - 1)
    lo = min(floor(at), len(points) - 2)
    return points[lo] + (points[lo + 1] - points[lo]) * (at - lo)


def weights_of(
    names: Iterable[str], rule: WeightRule, aliases: Iterable[str], given: Mapping[str, Fraction]
) -> dict[str, dict[str, Fraction]]:
    """name → alias → weight, of the tensors that a rule has selected.

    Errors: ValueError for names without an index under a ramp, where nothing is said of them.
    """
    names = list(names)
    index = {name: layer_index(name) for name in names}
    layers = sorted({i for i in index.values() if i is not None})
    ramped = any(isinstance(w, tuple) for w in rule.weights.values())
    loose = [name for name in names if index[name] is None]
    if ramped and loose and rule.outside is None:
        listed = ", ".join(map(shown, loose[:5]))
        raise ValueError(f"a ramp over layers, but no layer index in {listed}; say `outside`")
    found = {}
    for name in names:
        rank = None if index[name] is None else layers.index(index[name])  # type: ignore[arg-type]
        found[name] = {
            alias: _weight(rule, rule.weights.get(alias, given[alias]), rank, len(layers))
            for alias in aliases
        }
    return found


def _weight(
    rule: WeightRule, value: Fraction | tuple[Fraction, ...], rank: int | None, m: int
) -> Fraction:
    if not isinstance(value, tuple):
        return value
    if rank is None:
        return rule.outside if rule.outside is not None else value[-1]
    return along(value, rank, m)
