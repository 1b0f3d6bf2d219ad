"""The input of both models: what the user gives, or random numbers in the shape a model tells.

Data lies as the first model takes it. Where one model has channels last (Keras) and the other
first (torch), an input of rank 4 to 6 is an image and is moved for the second one; one of rank 3
is, if the models hold one-dimensional convolutions, and is a sequence else. If the outputs differ
then, the other reading is tried as well: a batchnorm may be of sequences, a model may turn them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import FormatError
from ..formats.base import Checkpoint
from .running import Input, model_of

if TYPE_CHECKING:
    from ..expr import Array

MAPS = (4, 5, 6)  # ranks of an image, a volume or frames of either, with the batch
SEED, BATCH, FREE = 0, 2, 32  # FREE: a size that the model leaves open
_CONVOLUTIONS = ("conv", "conv_transpose", "depthwise", "separable")


class Data(NamedTuple):
    """The arrays for each model, their names if they have some, and where they are from.

    theirs  the readings, the most likely first
    """

    ours: tuple[Array, ...]
    theirs: tuple[tuple[Array, ...], ...]
    names: tuple[str, ...]
    ground: str


def data_for(a: Checkpoint, b: Checkpoint, data: Any = None) -> Data:
    """The same input for two models.

    `data` is an array, several, a dict of them by name, or the path of an .npz.

    Errors: FormatError where it cannot be read, or where there is none and no model tells a shape.
    """
    if data is not None:
        names, arrays, ground = _given(data)
    else:
        arrays, ground = _seeded(a, b)
        names = ()
    ways = channels(a), channels(b)
    likely = (3, *MAPS) if _one_dimensional(a) or _one_dimensional(b) else MAPS
    readings = [
        tuple(across(x, *ways, ranks) for x in arrays) for ranks in (likely, (3, *MAPS), ())
    ]
    apart: dict[tuple[tuple[int, ...], ...], tuple[Array, ...]] = {}
    for reading in readings:
        apart.setdefault(tuple((*x.shape, *x.strides) for x in reading), reading)
    return Data(tuple(arrays), tuple(apart.values()), names, ground)


def channels(side: Checkpoint) -> str:
    """Where a model has the channels of a map: last in Keras unless its layers say so."""
    formats = {m.options.get("data_format") for m in side.meanings.values()}
    return "first" if side.dialect == "torch" or "channels_first" in formats else "last"


def across(x: Array, here: str, there: str, ranks: tuple[int, ...]) -> Array:
    """An input of a model as the other takes it, if one of its rank is a map."""
    import numpy as np

    if here == there or x.ndim not in ranks:
        return x
    return np.moveaxis(x, *((-1, 1) if here == "last" else (1, -1)))


def _one_dimensional(side: Checkpoint) -> bool:
    return any(m.kind in _CONVOLUTIONS and len(side[n].spec.shape) == 3
               for n, m in side.meanings.items() if m.role != "bias")  # fmt: skip


def _given(data: Any) -> tuple[tuple[str, ...], list[Array], str]:
    if isinstance(data, str | os.PathLike):
        return _read(os.fspath(data))
    if isinstance(data, Mapping):
        return tuple(map(str, data)), [_array(x) for x in data.values()], "the data given"
    several = isinstance(data, Sequence) and any(hasattr(x, "shape") for x in data)
    return (), [_array(x) for x in data] if several else [_array(data)], "the data given"


def _array(x: Any) -> Array:
    import numpy as np

    found = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
    return np.ascontiguousarray(found, np.float32 if found.dtype == np.float64 else None)


def _read(path: str) -> tuple[tuple[str, ...], list[Array], str]:
    """The arrays of an .npz; one that holds pickled objects is refused."""
    from zipfile import BadZipFile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (ValueError, BadZipFile, EOFError, AttributeError) as error:
        raise FormatError(path, "", f"is no .npz of plain arrays: {error}") from error
    return tuple(arrays), [_array(x) for x in arrays.values()], path


def _seeded(a: Checkpoint, b: Checkpoint) -> tuple[list[Array], str]:
    """Normal numbers, or indices, in the shapes that one of the models tells."""
    for side in (a, b):
        runner, model = model_of(side)
        inputs = runner.inputs_of(model)
        if inputs is None:
            continue
        made = [_random(x, i) for i, x in enumerate(inputs)]
        if side is b:
            ranks = (3, *MAPS) if _one_dimensional(a) or _one_dimensional(b) else MAPS
            made = [across(x, channels(b), channels(a), ranks) for x in made]
        return made, f"random numbers of seed {SEED}"
    what = "tells no shape of its input, nor does the other model: give its inputs as data"
    raise FormatError(a.path, "", what)


def _random(given: Input, at: int) -> Array:
    import numpy as np

    random = np.random.default_rng([SEED, at])
    shape = (BATCH, *(FREE if n is None else n for n in given.shape[1:]))
    if given.entries is not None:
        return random.integers(0, given.entries, shape).astype(np.int32)
    return random.standard_normal(shape).astype(np.float32)
