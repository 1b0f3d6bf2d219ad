"""`stats`: what the values of a checkpoint are like, in one streaming pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..layout import known_sizes
from ..pending import Reduction, reduction
from ..reducing import reduce
from ..steps.sides import Openable, opened
from ..workers import WORKERS
from .axes import ALONG, has_axis, outermost, parts, row_shape
from .layers import kernels
from .selection import described, selected
from .spectra import Spectrum, spectrum_of
from .statistics import Statistics, Tensor
from .summary import STATISTICS
from .threshold import sharpened, threshold_for


def stats(
    checkpoint: Openable,
    select: Sequence[Any] = (),
    exclude: Sequence[Any] = (),
    per: str | None = None,
    split: str | None = None,
    sparsity: str | float | None = None,
    exact: bool = False,
    progress: Callable[[int], None] | None = None,
    workers: int = WORKERS,
    spectral: bool = False,
) -> Statistics:
    """The statistics of every tensor of a checkpoint, a file or a live model.

    `per` names an axis (`out`, or `0`): norms for each of its entries come along. `split` names
    one whose entries are told apart: gates (`g`), heads (`head`).
    `sparsity` asks for the |w| that prunes this share of all selected floats; `exact` for quantiles
    without a bound, at the price of more passes; `spectral` for the largest singular value and the
    stable rank of every kernel and matrix.
    Moments are of the finite values, in float64; quantiles are order statistics within `bound`.

    Errors: FormatError of the file; MissingTensor if a selector fits nothing; SpecError of an axis.
    """
    found = opened(checkpoint)
    names = selected(found, select, exclude)
    own = [n for n in names if found.ties.get(n) not in names]
    _asked(found, own, [a for a in (per, split) if a is not None])
    pieces = {n: list(_pieces(found, n, split)) for n in own}
    wave = {f"s {n}{part}": _statistics(x) for n, rows in pieces.items() for part, x in rows}
    if per is not None:
        wave |= {f"a {n}": _norms(found, n, per) for n in own if has_axis(found[n], per)}
    results = reduce(wave, progress, workers)
    if exact:
        for n, part, x in ((n, part, x) for n, rows in pieces.items() for part, x in rows):
            results[f"s {n}{part}"] = sharpened(x, results[f"s {n}{part}"])
    spectra = _spectra(found, pieces, results) if spectral else {}
    limit = None if sparsity is None else threshold_for(found, own, sparsity)
    found.source.check_unchanged()
    rows = list[Tensor]()
    for n in names:
        tied = None if n in pieces else found.ties[n]
        key = tied or n
        for part, x in pieces[key]:
            facts = (x.spec.shape, x.spec.dtype.name, found.meaning(n))
            along = results.get(f"a {key}")
            told = None if along is None else along._replace(axis=per)
            summary, spectrum = results[f"s {key}{part}"], spectra.get(key + part)
            rows.append(Tensor(n + part, *facts, summary, tied, told, spectrum))
    return Statistics(described(found), tuple(rows), limit)


def _spectra(
    found: Checkpoint, pieces: Mapping[str, list[tuple[str, Expr]]], results: Mapping[str, Any]
) -> dict[str, Spectrum | None]:
    """Of what is a matrix, or a kernel whose layout makes one of it, and finite."""
    known = {k.name: k.x for k in kernels(found) if not k.apart}
    spectra = {}
    for n, part, x in ((n, part, x) for n, rows in pieces.items() for part, x in rows):
        matrix = known.get(n, x) if not part else x
        s = results[f"s {n}{part}"]
        plain = len(matrix.spec.shape) == 2 and matrix.spec.dtype.kind == "float"
        if plain and not s.nan and not s.inf:
            spectra[n + part] = spectrum_of(matrix)
    return spectra


def _asked(found: Checkpoint, names: Sequence[str], axes: Sequence[str]) -> None:
    for axis in axes:
        if not any(has_axis(found[n], axis) for n in names):
            text = f"{shown(found.path)}: no tensor is known to have an axis {shown(axis)}"
            raise SpecError(f"{text}; `inspect` shows the axes, a number counts them from 0")


def _statistics(x: Expr) -> Reduction:
    return reduction(STATISTICS, x, dtype=x.spec.dtype.name, size=x.spec.size)


def _sizes(found: Checkpoint, name: str) -> dict[str, int]:
    """Sizes that the layer's options tell and the shape does not."""
    from ..conventions import sizes_of

    meaning = found.meaning(name)
    told = {k: v for k, v in meaning.options.items() if type(v) is int}
    if "heads" in told:
        told["head"] = told["heads"]
    sizes = told | (sizes_of(meaning.kind, meaning.options) if meaning.kind else {})
    return sizes | (known_sizes(meaning.axes) if meaning.axes is not None else {})


def _norms(found: Checkpoint, name: str, axis: str) -> Reduction:
    x = outermost(found[name], axis, _sizes(found, name))
    return reduction(ALONG, x, **row_shape(x))


def _pieces(found: Checkpoint, name: str, split: str | None) -> Iterator[tuple[str, Expr]]:
    x = found[name]
    if split is None or not has_axis(x, split):
        yield "", x
        return
    for label, part in parts(x, split, _sizes(found, name)):
        yield f"[{split}={label}]", part
