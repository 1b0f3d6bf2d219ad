"""What a value in a YAML file may be: a check gives a problem for each place that is not so.

The checks are a few lines of our own: a validation library took 140 ms to import and to build its
models, a third of the time in which a gigabyte is copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from .yaml_data import Path

Problems = Iterator[tuple[Path, str]]
Check = Callable[[Any], Problems]
"""Gives a problem for each place (below the value) that is not as wanted."""


def anything(value: Any) -> Problems:
    """Whatever; checked later by whoever reads it."""
    yield from ()


def text(value: Any) -> Problems:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        yield (), "wants a text"


def word(value: Any) -> Problems:
    """A text, or a number that is read as its text."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or value == "":
        yield (), "wants a text"


def flag(value: Any) -> Problems:
    """True or false."""
    if not isinstance(value, bool):
        yield (), "wants true or false"


def size(value: Any) -> Problems:
    """A whole number that can be a size."""
    if type(value) is not int or not 0 <= value < 2**63:
        yield (), "wants a whole number from 0"


def span(value: Any) -> Problems:
    """A half-open range of an axis."""
    if not isinstance(value, list) or len(value) != 2:
        yield (), "wants a half-open range, [0, 32000]"
        return
    yield from list_of(size)(value)
    if all(type(n) is int for n in value) and value[0] >= value[1]:
        yield (), "wants a range that is not empty"


def padding(value: Any) -> Problems:
    """How an axis grows."""
    if not isinstance(value, dict):
        yield (), "wants a map: {from: 50257, to: 50304, at: 0, fill: 0}"
        return
    for key in value.keys() - PADDING.keys():
        yield (key,), f"is no key of a pad; known: {', '.join(PADDING)}"
    for key in value.keys() & PADDING.keys():
        yield from (((key, *path), what) for path, what in PADDING[key](value[key]))
    if "to" not in value:
        yield (), "wants `to`: a size, or base"


def size_or_parts(value: Any) -> Problems:
    """A size, or a list of the sizes of unequal parts: numbers, names of sizes, `_` for open."""
    if not isinstance(value, list):
        yield from size(value)
    elif not value:
        yield (), "wants a size for each part"
    else:
        wrong = [(i,) for i, entry in enumerate(value) if not _is_part(entry)]
        yield from ((at, "wants a size, the name of one, or _") for at in wrong)


def _is_part(entry: Any) -> bool:
    if isinstance(entry, str):
        return entry.isidentifier()
    return type(entry) is int and 0 <= entry < 2**63


def reach(value: Any) -> Problems:
    """How far a capture runs: a count from 0, a half-open range, or `varies`."""
    if value == "varies":
        return
    ends = value if isinstance(value, list) else [0, value]
    whole = all(type(n) is int and 0 <= n < 2**63 for n in ends)
    if len(ends) != 2 or not whole or ends[0] >= ends[1]:
        yield (), "wants a count, a range [first, end], or varies"


def way(value: Any) -> Problems:
    """What becomes of a role that one side alone has."""
    if isinstance(value, dict):
        if value.keys() != {"fold_into"} or not isinstance(value["fold_into"], str):
            yield (), "wants {fold_into: LAYER}"
    elif value not in ("fill", "drop", "keep"):
        yield (), "wants fill | drop | keep | {fold_into: LAYER}"


def epsilons(value: Any) -> Problems:
    """The eps of a batchnorm here and there."""
    if not isinstance(value, dict) or not value or value.keys() - {"source", "target"}:
        yield (), "wants {source: 1e-3, target: 1e-5}"
        return
    for side, eps in value.items():
        if not (type(eps) is int or isinstance(eps, Decimal)) or not 0 <= eps < 1:
            yield (side,), "wants a number from 0, below 1"


def options(value: Any) -> Problems:
    """The options of a layer that its rows ask for."""
    yield from map_of(anything)(value)
    for key, entry in value.items() if isinstance(value, dict) else ():
        if key in LATER_OPTIONS:
            yield (key,), "is not built yet"
        elif key not in OPTIONS:
            yield (key,), f"is no option of a layer; known: {', '.join(OPTIONS)}"
        else:
            yield from (((key, *path), what) for path, what in OPTIONS[key](entry))


def map_shape(value: Any) -> Problems:
    """The sizes of a map before it is flattened, channels last."""
    if not isinstance(value, list) or len(value) not in (2, 3, 4):
        yield (), "wants the sizes of a map, channels last: [h, w, c]"
    else:
        yield from list_of(size)(value)


def number(value: Any) -> Problems:
    """A number, or the word base."""
    if value != "base" and not (type(value) is int or isinstance(value, Decimal)):
        yield (), "wants a number, or base"


def shard_size(value: Any) -> Problems:
    """How large a file of a set may get: bytes, a number with a unit, or none."""
    fits = isinstance(value, str) and (value == "none" or BYTES.fullmatch(value))
    if not fits and (type(value) is not int or value <= 0):
        yield (), "wants a size as in 5GB or 500MiB, or none"


BYTES = re.compile(r"([1-9][0-9]{0,8}(?:\.[0-9]{1,6})?) ?([kKMGT]?)(i?)B")


def one_of(*words: Any) -> Check:
    """One of these values."""

    def check(value: Any) -> Problems:
        if not any(type(value) is type(w) and value == w for w in words):
            yield (), f"wants {' | '.join(map(str, words))}"

    return check


def list_of(item: Check) -> Check:
    """A list, each item as wanted."""

    def check(value: Any) -> Problems:
        if not isinstance(value, list):
            yield (), "wants a list"
            return
        for i, entry in enumerate(value):
            yield from (((i, *path), what) for path, what in item(entry))

    return check


def some(item: Check) -> Check:
    """A list that is not empty, each item as wanted."""

    def check(value: Any) -> Problems:
        if value == []:
            yield (), "wants one at least"
        yield from list_of(item)(value)

    return check


def map_of(item: Check) -> Check:
    """A map, each value as wanted."""

    def check(value: Any) -> Problems:
        if not isinstance(value, dict):
            yield (), "wants a map"
            return
        for key, entry in value.items():
            yield from (((key, *path), what) for path, what in item(entry))

    return check


def either(*checks: Check) -> Check:
    """As one of the checks wants it; of the problems, those of the last are told."""

    def check(value: Any) -> Problems:
        found = [list(c(value)) for c in checks]
        if all(found):
            yield from found[-1]

    return check


def size_or_base(value: Any) -> Problems:
    """A size, or the word base."""
    if value != "base":
        yield from size(value)


PADDING: dict[str, Check] = {
    "from": size,
    "to": size_or_base,
    "at": size,
    "fill": one_of(0, "mean", "base"),
}


# -- options of a layer ----------------------------------------------------------------------

OPTIONS: dict[str, Check] = {
    "flatten_from": map_shape,
    "equation": text,
    "bias_axes": text,
    "groups": size,
    "rms_scaling": flag,
    "level": either(text, size),
    "direction": one_of("forward", "backward"),
    "heads": size,
    "packed": flag,
    "reset_after": flag,
}
LATER_OPTIONS = ("transpose_kernel",)
