"""Value keys of a rule: crop → pad → layout → scale → shift → cast, on the axes of its layout.

Cropping and padding move; scale and shift compute in float64, rounded once to the declared dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

from ..errors import SpecError
from ..expr import Expr
from ..layout import Sizes
from ..notation import atoms
from ..ops.affine import Factor, affine
from ..ops.arithmetic import cast
from ..ops.means import MEANS, entries_first
from ..ops.movement import crop, reshape
from ..ops.placing import pad, paste
from ..pending import Pending, pending, reduction
from ..spec import Axes, TensorSpec, dtype_of

ONE, ZERO = Factor(), Fraction(0)


class Pad(NamedTuple):
    """An axis grows: from `from_` entries (None: whatever it has) to `to` (None: the base's)."""

    from_: int | None
    to: int | None
    at: int = 0
    fill: str = "0"


class Root(NamedTuple):
    """√axis, or 1/√axis: its size is known once the sizes are."""

    axis: str
    under: bool

    def factor(self, size: int) -> Factor:
        """The number, once the size is known."""
        root = Factor.root_of(size)
        return root.inverse() if self.under else root


@dataclass(frozen=True)
class Values:
    """What a rule does to values: axes cropped and padded, scale·x + shift."""

    crop: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    pad: Mapping[str, Pad] = field(default_factory=dict)
    scale: Factor | Root = ONE
    shift: Fraction = ZERO

    def __bool__(self) -> bool:
        return self.resizes or self.computes

    @property
    def resizes(self) -> bool:
        """Whether an axis has another size behind it."""
        return bool(self.crop or self.pad)

    @property
    def computes(self) -> bool:
        """Whether values are other ones behind it, and so are rounded."""
        return self.scale != ONE or self.shift != 0

    @property
    def class_(self) -> str:
        """What the way back needs: nothing (exact), the base's entries, or a rounding."""
        return "needs base" if self.crop else "rounding" if self.computes else "exact"

    @property
    def axes(self) -> Iterator[str]:
        """The axes that it names."""
        yield from {**self.crop, **self.pad}
        if isinstance(self.scale, Root):
            yield self.scale.axis

    @property
    def into_base(self) -> dict[str, Pad]:
        """The axes that keep the base's entries around ours."""
        return {name: p for name, p in self.pad.items() if p.fill == "base"}

    def told(self) -> dict[str, int]:
        """Sizes in the source that the rule itself tells."""
        return {name: p.from_ for name, p in self.pad.items() if p.from_ is not None}

    def there(self) -> dict[str, int]:
        """Sizes in the target, of axes that change theirs, where the rule tells them."""
        sizes = {name: hi - lo for name, (lo, hi) in self.crop.items()}
        for name, p in self.pad.items():
            sizes.pop(name, None)
            if p.to is not None:
                sizes[name] = p.to
        return sizes

    def resized(
        self, x: Expr, have: Axes, here: Sizes, there: Sizes
    ) -> tuple[Expr, dict[str, int]]:
        """x, which lies as `have`, with its axes cropped and padded; and the sizes it has now.

        Axes that keep the base's entries are not padded yet.
        Errors: SpecError where a range does not lie in its axis, or what is padded shrinks.
        """
        if not self.resizes:
            return x, dict(here)
        _refuse_packed(x)
        sizes, order = dict(here), [axis.name for axis in atoms(have)]
        x = reshape(x, [sizes[name] for name in order])
        if self.computes and any(p.fill == "mean" for p in self.pad.values()):
            x = affine(x)  # the mean and what is computed from it are rounded together
        for name, (lo, hi) in self.crop.items():
            if hi > sizes[name]:
                raise SpecError(f"crop: {lo}..{hi} does not lie in the {sizes[name]} of {name}")
            x, sizes[name] = crop(x, order.index(name), lo, hi), hi - lo
        for name, p in self.pad.items():
            _refuse_shrinking(name, p, sizes[name], there[name])
            if p.fill != "base":
                axis = order.index(name)
                x = pad(x, axis, p.at, there[name], mean(x, axis) if p.fill == "mean" else None)
                sizes[name] = there[name]
        shape = [_product(group, sizes) for group in have]
        return reshape(x, shape), sizes

    def computed(self, x: Expr, sizes: Sizes, overflow: str) -> Expr:
        """scale·x + shift, in float64 until it is cast."""
        if not self.computes:
            return x
        scale = self.scale
        if isinstance(scale, Root):
            size = int(scale.axis) if scale.axis.isdigit() else sizes[scale.axis]
            if not size:
                raise SpecError(f"scale: the square root of {scale.axis}, which is 0")
            scale = scale.factor(size)
        return affine(x, scale, self.shift, overflow)

    def pasted(self, x: Expr, base: Expr, want: Axes, here: Sizes, there: Sizes) -> Expr:
        """x among the base's entries, where an axis asks for them; both lie as `want`."""
        order = [axis.name for axis in atoms(want)]
        part = reshape(x, [here[name] for name in order])
        full = reshape(base, [there[name] for name in order])
        for i, name in reversed(list(enumerate(order))):
            if name in self.into_base:
                part = _among(part, full, order, i, self.into_base, here)
        return reshape(part, base.spec.shape)


def mean(x: Expr, axis: int) -> Expr:
    """The mean of the entries along an axis, in x's dtype; it is known once the plan runs."""
    entries = x.spec.shape[axis]
    rest = (*x.spec.shape[:axis], *x.spec.shape[axis + 1 :])
    found = reduction(MEANS, entries_first(x, axis), entries=entries, places=prod(rest))
    flat = TensorSpec(dtype_of("float64"), (prod(rest),))
    leaf = pending(Pending(found), "means", flat)
    return cast(reshape(leaf, (*rest[:axis], 1, *rest[axis:])), x.spec.dtype)


def _among(
    part: Expr, full: Expr, order: list[str], i: int, pads: Mapping[str, Pad], here: Sizes
) -> Expr:
    """The part with the base's entries around it on one axis; axes before it are still short."""
    for j, name in enumerate(order[:i]):
        if name in pads:
            full = crop(full, j, pads[name].at, pads[name].at + here[name])
    return paste(full, part, i, pads[order[i]].at)


def _product(group: Any, sizes: Sizes) -> int:
    return prod(sizes[axis.name] for axis in group)


def _refuse_packed(x: Expr) -> None:
    if x.spec.dtype.bits < 8:
        raise SpecError(f"{x.spec} is packed: it can be copied, not cropped or padded")


def _refuse_shrinking(name: str, p: Pad, here: int, there: int) -> None:
    if p.at + here > there:
        text = f"pad: {here} entries of {name} from {p.at} on do not lie in {there}"
        raise SpecError(f"{text}; what shrinks is cropped")


NO_VALUES = Values()
