"""Why a layer gives other outputs: its weights, its options, the order of what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

from ..comparison import Verification, sentence
from ..conventions import traps
from ..expr import Expr
from ..formats.base import Checkpoint
from .pairing import Pair
from .walking import Parting

if TYPE_CHECKING:
    from ..expr import Array

_OPTIONS = {"epsilon": "epsilon", "activation": "activation", "recurrent_activation": "activation"}
_OPTIONS |= {"padding": "padding", "strides": "padding", "dilation_rate": "padding"}


class Reason(NamedTuple):
    """What explains a difference: weights, epsilon, padding, activation, layout or options."""

    what: str
    text: str


def reasons(
    parting: Parting,
    a: Checkpoint,
    b: Checkpoint,
    weights: Verification,
    expected: Mapping[str, tuple[str, Expr]],
) -> Iterator[Reason]:
    """All that is known to explain a parting; nothing where nothing is."""
    if parting.what == "after":
        yield from _behind(parting)
    if parting.pair is None:
        return
    if parting.what == "layer":
        yield from _of_weights(parting.pair, b, weights, expected)
        yield from _of_options(parting.pair, a, b)
    if parting.gap is None:
        ours, theirs = parting.shapes
        yield Reason("padding", f"the output is {ours} here and {theirs} there")


def _behind(parting: Parting) -> Iterator[Reason]:
    ours, theirs = parting.ours, parting.theirs
    if ours != theirs:
        known = "nothing that is seen"
        yield Reason("activation", f"{ours or known} follows here, {theirs or known} there")


def _of_weights(
    pair: Pair, b: Checkpoint, weights: Verification, expected: Mapping[str, tuple[str, Expr]]
) -> Iterator[Reason]:
    own = {y for _, y in pair.tensors}
    for found in weights.differing:
        if found.b in own:
            order = other_order(expected[found.b][1], b[found.b])
            yield Reason("layout" if order else "weights", f"{sentence(found)}{order}")
    for line in weights.lines:
        if {x for names in pair.tensors for x in names} & {*line.names}:
            yield Reason("weights", f"{line.id}: {line.text}: {', '.join(line.names[:5])}")


def other_order(expected: Expr, found: Expr) -> str:
    """How the entries of a tensor lie otherwise than they should, if they are the same ones."""
    import numpy as np

    if expected.spec.size > 1 << 24 or expected.spec.dtype.kind != "float":
        return ""
    x, y = expected.numpy().astype(np.float64), found.numpy().astype(np.float64)
    if not np.array_equal(np.sort(x, axis=None), np.sort(y, axis=None)):
        return ""
    for text in (*_gates(expected, x, y), *_transposed(x, y)):
        return f": {text}"
    return ": the same values in another order"


def _gates(expected: Expr, x: Array, y: Array) -> Iterator[str]:
    """Lettered entries along an axis, as the gates of a recurrent layer, in another order."""
    import numpy as np

    for at, group in enumerate(expected.spec.axes or ()):
        letters = group[0].letters if group else ""
        if not letters or len(letters) > 5:
            continue
        parts = np.split(x, len(letters), at)
        for order in permutations(range(len(letters))):
            if np.array_equal(np.concatenate([parts[i] for i in order], at), y):
                found = " ".join(letters[i] for i in order)
                yield f"the gates lie as {found} and not as {' '.join(letters)}"


def _transposed(x: Array, y: Array) -> Iterator[str]:
    for order in permutations(range(x.ndim)) if x.ndim <= 5 else ():
        if x.transpose(order).shape == y.shape and (x.transpose(order) == y).all():
            yield f"its axes are permuted by {list(order)}"


def _of_options(pair: Pair, a: Checkpoint, b: Checkpoint) -> Iterator[Reason]:
    """Options that differ, and what only one framework does, each once."""
    told = dict[Reason, None]()
    for x, y in pair.tensors:
        kind = b.meaning(y).kind or a.meaning(x).kind
        if kind is None:
            continue
        here, there = dict(a.meaning(x).options), dict(b.meaning(y).options)
        for option in traps.INFERENCE:
            for text in traps.differing(option, kind, here, there):
                told[Reason(_OPTIONS.get(option, "options"), text)] = None
        missing = traps.unpadded(kind, here, there)
        if missing is not None:
            told[Reason("padding", missing)] = None
        for dialect, options, other in (
            (a.dialect, here, b.dialect), (b.dialect, there, a.dialect)
        ):  # fmt: skip
            if dialect == "keras":
                for text in traps.of_keras(kind, options, other or ""):
                    word = "padding" if "padding" in text else "options"
                    told[Reason(word, text)] = None
    yield from told
