"""Task vectors: what fine-tuned models learned beyond their base, joined and added to it."""

from __future__ import annotations

from typing import Any


def moved(p: Any, values: list[Any], index: Any, cuts: list[Any]) -> Any:
    """base + scale·Σ wᵢδᵢ; with signs elected, over the weights of those that agree.

    Where a difference is not finite the result is NaN: dropped or outvoted, it would be hidden.
    """
    import numpy as np

    base = values[0].astype("f8")
    deltas = [value.astype("f8") - base for value in values[1:]]
    wrong = [~np.isfinite(delta) for delta in deltas]
    if cuts:
        pairs = zip(cuts[::2], cuts[1::2], strict=True)
        deltas = [_trimmed(delta, index, *cut) for delta, cut in zip(deltas, pairs, strict=True)]
    if p["keys"]:
        deltas = [_dropped(p, i, delta, index) for i, delta in enumerate(deltas)]
    parts = [weight * delta for weight, delta in zip(p["weights"], deltas, strict=True)]
    total = sum(parts[1:], parts[0])
    if p["elect"]:
        sign = np.where(total < 0, -1.0, 1.0)
        joins = [
            (delta != 0) & (np.sign(part) == sign)
            for delta, part in zip(deltas, parts, strict=True)
        ]
        total = sum(
            (np.where(j, x, 0.0) for j, x in zip(joins, parts, strict=True)), np.zeros_like(base)
        )
        divisor = sum(
            (np.where(j, w, 0.0) for j, w in zip(joins, p["weights"], strict=True)),
            np.zeros_like(base),
        )
        total = np.where(divisor == 0, 0.0, total / np.where(divisor == 0, 1.0, divisor))
    step = p["scale"] * total
    made = np.where(step == 0, base, base + step)  # where nothing moves, −0 stays
    for lost in wrong:
        made[lost] = np.nan
    return made


def _trimmed(delta: Any, index: Any, key: Any, last: Any) -> Any:
    """Only differences that rank above a threshold, or equal it behind a flat index."""
    import numpy as np

    from ..ranking import keys

    found = keys(delta, "float64")
    late = index >= np.uint64(int(last) + 1)
    kept = (found > np.uint64(key)) | ((found == np.uint64(key)) & late)
    return np.where(kept, delta, 0.0)


def _dropped(p: Any, which: int, delta: Any, index: Any) -> Any:
    """Only differences whose random number is small enough, made larger for those that go."""
    import numpy as np

    from ..random_bits import mix64

    if p["threshold"] >= 2**64:
        return delta
    kept = mix64(p["keys"][which], index) < np.uint64(p["threshold"])
    return np.where(kept, delta / p["density"], 0.0)
