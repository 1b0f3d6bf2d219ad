"""A tensor of a checkpoint as a kernel `h w in out`, whatever its layer, dialect and layout.

Its axes say which are space, which come in and which go out. A Dense is a kernel of one pixel; one
behind a Flatten is a kernel over the whole map, which is how it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conventions import sizes_of
from ..errors import SpecError, shown
from ..formats.base import Checkpoint
from ..layout import known_sizes, relayout
from ..notation import atoms, expand_spatial, parse
from ..spec import Axes

SPACE = ("kd", "kh", "kw", "d", "h", "w")
INPUTS = ("in", "rec", "c", "vocab")


def kernel_of(checkpoint: Checkpoint, name: str, axes: str | None = None) -> Any:
    """The values of a kernel as float32 (float64 stays) in the order `h w in out`.

    `axes` says how it lies where the file does not know it.

    Errors: MissingTensor; SpecError where nothing tells the axes, or they have no two sides.
    """
    import numpy as np

    x = checkpoint[name]
    lies = expand_spatial(parse(axes), len(x.spec.shape)) if axes else x.spec.axes
    if lies is None:
        what = f'{shown(name)} {x.spec}: its axes are not known; say --axes "out in kh kw"'
        raise SpecError(what, "axes")
    want = _sides(lies, name)
    meaning = checkpoint.meaning(name)
    told = sizes_of(meaning.kind, meaning.options) if meaning.kind else {}
    values = relayout(x, lies, want, {**known_sizes(lies), **told}).numpy()
    return values if values.dtype == np.float64 else values.astype(np.float32)


def _sides(axes: Axes, name: str) -> Axes:
    found = atoms(axes)
    space = [a for a in found if a.name in SPACE]
    ins = tuple(a for a in found if a.name in INPUTS and a not in space)
    outs = tuple(a for a in found if a not in space and a not in ins)
    if any(a.name in ("kd", "d") for a in space) or not ins or not outs:
        raise SpecError(f"{shown(name)} [{axes}] is no kernel of a plane: nothing to draw", "axes")
    height, width = tuple(space[:-1]), tuple(space[-1:])
    return Axes((height, width, ins, outs))


def kernels(checkpoint: Checkpoint) -> Mapping[str, int]:
    """The kernels that a checkpoint knows, with how many inputs each has: what can be drawn."""
    found = {}
    for name in checkpoint:
        spec, meaning = checkpoint[name].spec, checkpoint.meaning(name)
        if meaning.role == "kernel" and spec.axes is not None and len(spec.shape) >= 2:
            found[name] = next(
                (
                    n
                    for group, n in zip(spec.axes, spec.shape, strict=True)
                    if any(a.name in INPUTS for a in group)
                ),
                1,
            )
    return found
