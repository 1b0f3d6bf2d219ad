"""Mixtures of models, element by element: weighted sums, task vectors, election of signs, dropout.

All is one row, `mix`, in float64 with one rounding at the end. Without a base it is a sum of
inputs; with one, the inputs are seen as differences from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import floor
from typing import Any

from ..errors import SpecError
from ..expr import Block, Expr, Op, apply
from ..spec import DType, TensorSpec
from ..tally import Tally
from .elementwise import (
    NotFinite,
    check_computable,
    check_finite,
    components,
    pieces,
    result_of,
)
from .task_vectors import moved

Number = Decimal | Fraction | int


def mix(
    inputs: Sequence[Expr],
    weights: Sequence[Number],
    *,
    base: Expr | None = None,
    scale: Number = 1,
    normalize: bool = False,
    density: Number | None = None,
    keys: Iterable[int] | None = None,
    trims: Sequence[tuple[Expr, Expr]] = (),
    elect: bool = False,
    dtype: DType | None = None,
    tally: Tally | None = None,
) -> Expr:
    """Merge tensors: Σ wᵢxᵢ, or base + scale·Σ wᵢ(xᵢ − base).

    normalize divides by Σw; without a base as x₀ + Σ ŵᵢ(xᵢ − x₀), so that equal inputs come back
    density   with `keys`, a difference is kept where its random number is below it, and divided
              by it (DARE: Yu et al. 2024, arXiv:2311.03099)
    trims     for each input two scalars, the `key` and `last` of a rank of its differences: those
              that rank below go (TIES: Yadav et al. 2023, arXiv:2306.01708)
    elect     only differences whose weighted sign is that of their sum, over the sum of their
              weights (TIES too); 0 counts as plus

    Shapes: equal. The dtype is the base's, else the first input's, unless one is given.
    Errors: SpecError for other shapes, integers, bools, a sum of weights of 0; SpecError
    `nonfinite` when evaluated, for NaN or Inf.

    >>> from weightsurgeon.expr import array
    >>> mix([array([1.0, 2.0]), array([3.0, 2.0])], [1, 1], normalize=True).numpy().tolist()
    [2.0, 2.0]
    """
    total = sum((Fraction(w) for w in weights), Fraction(0))
    if normalize and not total:
        raise SpecError("the weights sum to 0: nothing can be normalised by that")
    share = [Fraction(w) / total if normalize else Fraction(w) for w in weights]
    first = inputs[0] if base is None else base
    given = (*inputs,) if base is None else (base, *inputs)
    random = None if keys is None else tuple(keys)
    threshold = None if density is None else floor(Fraction(density) * 2**64)
    return apply(
        MIX,
        *given,
        *(x for pair in trims for x in pair),
        weights=tuple(
            float(Fraction(w)) if elect else float(s) for w, s in zip(weights, share, strict=True)
        ),
        based=base is not None,
        scale=float(scale),
        normalize=normalize,
        threshold=threshold,
        density=None if density is None else float(density),
        keys=random,
        trimmed=bool(trims),
        elect=elect,
        dtype=dtype or first.spec.dtype,
        tally=tally,
    )


def difference(x: Expr, base: Expr) -> Expr:
    """x − base in float64: what a fine-tuned model learned."""
    from ..spec import dtype_of

    made = mix([x, base], [1, -1])
    return apply(MIX, *made.inputs, **{**made.params, "dtype": dtype_of("float64")})


# -- the row ---------------------------------------------------------------------------------


def _infer(
    specs: tuple[TensorSpec, ...],
    weights: tuple[float, ...],
    based: bool,
    scale: float,
    normalize: bool,
    elect: bool,
    dtype: DType,
    threshold: int | None = None,
    density: float | None = None,
    keys: tuple[int, ...] | None = None,
    trimmed: bool = False,
    tally: Tally | None = None,
) -> TensorSpec:
    first = specs[0]
    for x in specs[: based + len(weights)]:
        check_computable(x, "merged")
        if x.shape != first.shape:
            raise SpecError(f"{x} does not fit {first}: shapes must be equal", "shape")
        if x.dtype.kind != first.dtype.kind:
            raise SpecError(f"{x} and {first}: one is complex, the other is not", "dtype")
    if elect and first.dtype.kind == "complex":
        raise SpecError(f"{first}: a complex difference has no sign to elect")
    return first._replace(dtype=dtype)


def _compute(expr: Expr, block: Block, values: Sequence[Any]) -> Any:
    import numpy as np

    p, out = expr.params, result_of(expr.spec, block, values[0])
    tensors = p["based"] + len(p["weights"])
    flat, r = [components(v) for v in values[:tensors]], components(out)
    cuts = [v[()] for v in values[tensors:]]
    work = _halves if _is_half(expr) else partial(_piece, cuts=cuts)
    index = None
    if p["keys"] or cuts:
        from .scattering import flat_indices

        index = flat_indices(expr.spec.shape, block)
    with np.errstate(all="ignore"):
        for part in pieces(r.size):
            try:
                work(expr, [x[part] for x in flat], r[part], None if index is None else index[part])
            except NotFinite as error:
                raise error.at(expr, block, part.start) from None
    return out


def _is_half(expr: Expr) -> bool:
    """Whether float32 gives the same bits: the mean of two of one 16-bit dtype.

    Halving is exact, and the rounded sum of two numbers of p bits does not change when it is
    rounded to 2p + 2 bits or more on the way (Figueroa 1995): 24 are enough for both dtypes.
    """
    p, dtypes = expr.params, {x.spec.dtype.name for x in (expr, *expr.inputs)}
    return (
        p["weights"] == (0.5, 0.5)
        and not p["based"]
        and len(dtypes) == 1
        and dtypes <= {"bfloat16", "float16"}
    )


def _halves(expr: Expr, values: list[Any], r: Any, index: Any) -> None:
    from ..packed import limit, narrowed, widened, within

    a, b = (widened(v, "f4", slot) for v, slot in zip(values, ("first", "second"), strict=True))
    a *= 0.5
    b *= 0.5
    a += b
    finite = within(a, limit(r.dtype))
    if not finite:
        check_finite("error", [v.astype("f4") for v in values], a, r.dtype)
    narrowed(a, r, finite)


def _piece(expr: Expr, values: list[Any], r: Any, index: Any, cuts: list[Any]) -> None:
    """Merge one piece into `r`, which may be the first of the values."""
    import numpy as np

    from ..packed import limit, narrowed, within, words

    p = expr.params
    alike = None
    if p["normalize"] and not p["based"]:
        alike = _alike(values)
    first = values[0].copy() if alike is not None else None
    made = moved(p, values, index, cuts) if p["based"] else _sum(p, values)
    finite = within(made, limit(r.dtype))
    if not finite:
        check_finite("error", [v.astype("f8") for v in values], made, r.dtype)
    narrowed(made, r, finite)
    if alike is not None and first is not None:
        np.copyto(words(r), words(first), where=alike)  # equal stays equal, −0 too


def _alike(values: list[Any]) -> Any:
    """Where all values have the same bits; None if that is nowhere, or their dtypes differ."""
    from ..packed import words

    if len({v.dtype for v in values}) > 1:
        return None
    found = words(values[0]) == words(values[1]) if len(values) > 1 else None
    for other in values[2:]:
        found &= words(values[0]) == words(other)
    return found if found is not None and found.any() else None


def _sum(p: Any, values: list[Any]) -> Any:
    """Σ wᵢxᵢ, or x₀ + Σ ŵᵢ(xᵢ − x₀), in the order of the inputs."""
    import numpy as np

    from ..packed import buffer, widened

    first = widened(values[0], "f8", "first")
    total = buffer("total", first.size, "f8")
    part = buffer("part", first.size, "f8")
    if p["normalize"]:
        np.copyto(total, first)
    else:
        np.multiply(first, p["weights"][0], out=total)
    for weight, value in zip(p["weights"][1:], values[1:], strict=True):
        x = widened(value, "f8", "second")
        if p["normalize"]:
            np.subtract(x, first, out=part)
            part *= weight
        else:
            np.multiply(x, weight, out=part)
        total += part
    return total


def _pull(expr: Expr, block: Block) -> list[Block]:
    tensors = expr.params["based"] + len(expr.params["weights"])
    return [block if i < tensors else () for i in range(len(expr.inputs))]


MIX = Op("mix", _infer, _pull, _compute)
