"""Sizes of axes on both sides of a layout: from the shapes, from what is given, from the base.

An axis that a rule crops or pads has one size here and another there.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import SpecError
from ..layout import Sizes, solve
from ..notation import atoms
from ..spec import Axes, Axis, TensorSpec
from .values import Values


def solved(
    spec: TensorSpec, have: Axes, want: Axes, wanted: TensorSpec | None, known: Sizes
) -> dict[str, int]:
    """The sizes of all axes from the source's shape and, if need be, the base's.

    Errors: SpecError `size` where one stays unknown, `shape` where they contradict each other.
    """
    try:
        return solve([(have, spec.shape)], known)
    except SpecError as error:
        if error.id != "size" or wanted is None or len(want) != len(wanted.shape):
            raise
    return solve([(have, spec.shape), (want, wanted.shape)], known)


def resized(
    values: Values,
    spec: TensorSpec,
    have: Axes,
    want: Axes,
    wanted: TensorSpec | None,
    known: Sizes,
) -> tuple[dict[str, int], dict[str, int]]:
    """The sizes of all axes here, and there.

    Errors: SpecError `size` where one stays unknown, `shape` where they contradict each other.
    """
    if not values.resizes:
        sizes = solved(spec, have, want, wanted, known)
        return sizes, sizes
    told = values.there()
    open_ = [name for name, p in values.pad.items() if p.to is None]
    if open_ and (wanted is None or len(want) != len(wanted.shape)):
        what = "there is no base" if wanted is None else f"the base's is {wanted}"
        raise SpecError(f"pad: {open_[0]} grows to the base's size, but {what}", "size")
    there = {f"{name}'": size for name, size in told.items()}
    apart = _apart(want, {*values.crop, *values.pad})
    known = {**known, **values.told()}
    here = solved(spec, have, apart, wanted, {**known, **there})
    if open_ and wanted is not None:
        there = solve([(have, spec.shape), (apart, wanted.shape)], {**here, **there})
    resized_ = {name: there[f"{name}'"] for name in (*values.crop, *values.pad)}
    return here, here | resized_


def _apart(axes: Axes, names: set[str]) -> Axes:
    """The axes, with another name for those that have another size here than there."""
    return Axes(
        tuple(Axis(f"{a.name}'", "", a.backwards) if a.name in names else a for a in group)
        for group in axes
    )


def filtered(sizes: Mapping[str, int], axes: Axes) -> dict[str, int]:
    """Those sizes that are of one of these axes."""
    names = {axis.name for axis in atoms(axes)}
    return {name: size for name, size in sizes.items() if name in names}
