"""The value keys of a rule, read: exact numbers, roots of axes, ranges, what is put around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import shown
from ..notation import Layout, atoms
from ..ops.affine import Factor
from .values import ONE, ZERO, Pad, Root, Values
from .yaml_data import Path

if TYPE_CHECKING:
    from .reading import Reader

_FRACTION = re.compile(r"(-?[0-9]{1,30})(?:/([0-9]{1,30}))?")
_ROOT = re.compile(r"(1/)?sqrt\(([A-Za-z_][A-Za-z0-9_]*|[0-9]{1,18})\)")


def read_values(reader: Reader, m: Mapping[str, Any], layout: Layout | None, at: Path) -> Values:
    """The value keys of a rule; axes that they name are axes of its layout."""
    pads = {
        name: reader.attempt((*at, "pad", name), read_pad, entry)
        for name, entry in m["pad"].items()
    }
    found = Values(
        {name: (lo, hi) for name, (lo, hi) in m["crop"].items()},
        {name: p for name, p in pads.items() if p is not None},
        reader.attempt((*at, "scale"), read_scale, m["scale"]) or ONE,
        reader.attempt((*at, "shift"), read_fraction, m["shift"]) or ZERO,
    )
    known = {a.name for a in atoms(layout.have.axes)} if layout is not None else set()
    for name in found.axes:
        if name not in known and not name.isdigit():
            text = f"{shown(name)} is an axis of no layout here; give one, as in `v d -> v d`"
            reader.refuse(at, text, "layout")
    return found


def read_scale(value: Any) -> Factor | Root:
    """A scale as it is written: 2, 0.5, "1/3", "sqrt(d)", "1/sqrt(d)".

    Errors: ValueError for anything else, and for 0, which has no way back.

    >>> read_scale("1/3"), read_scale("1/sqrt(d)")
    (Factor(over=1, under=3, root=1), Root(axis='d', under=True))
    """
    root = _ROOT.fullmatch(value) if isinstance(value, str) else None
    if root:
        return Root(root.group(2), root.group(1) is not None)
    found = read_fraction(value)
    if not found:
        raise ValueError("scale: 0 leaves nothing of the tensor; drop it and init the target")
    return Factor.of(found)


def read_fraction(value: Any) -> Fraction:
    """An exact number: 2, 0.5 (the decimal, not its nearest float), "1/3".

    Errors: ValueError.
    """
    if type(value) is int or isinstance(value, Decimal):
        return _held(Fraction(value))
    found = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found.group(2) and not int(found.group(2))):
        raise ValueError(f"{value!r} is no number; write 2, 0.5, '1/3' or, as a scale, 'sqrt(d)'")
    return _held(Fraction(int(found.group(1)), int(found.group(2) or 1)))


def _held(value: Fraction) -> Fraction:
    """The number, unless float64 has no place for it."""
    if value and not 2.0**-1000 < abs(value) < 2.0**1000:
        raise ValueError("a number beyond float64 is of no use here")
    return value


def read_pad(value: Mapping[str, Any]) -> Pad:
    """`{from, to, at, fill}` of an axis.

    Errors: ValueError where what is padded could only shrink.
    """
    to, before = value.get("to"), value.get("from")
    found = Pad(before, None if to == "base" else to, value.get("at", 0), str(value.get("fill", 0)))
    if found.to is not None and found.at + (before or 0) > found.to:
        raise ValueError(f"pad: {before or 0} entries from {found.at} on do not lie in {found.to}")
    return found
