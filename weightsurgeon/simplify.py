"""Rewrites that keep the values and save the work, as a table of rules.

Each rule looks at one expression and gives a simpler one of the same spec and values, or None.
They run from the leaves up until none applies. A new rule is a function and its name in RULES,
under the op that it rewrites.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_not

from .expr import LEAF, Expr, Op, apply
from .ops.arithmetic import CAST
from .ops.movement import CONCAT, CROP, PERMUTE, RESHAPE, TAKE, concat, crop, permute, reshape, take

Rule = Callable[[Expr], Expr | None]


def simplify(expr: Expr) -> Expr:
    """An expression of the same spec and values with less to do.

    >>> from weightsurgeon.expr import array, show
    >>> show(simplify(permute(permute(array([[1, 2]], name="w"), (1, 0)), (1, 0))))
    'w'
    """
    return _simple(expr, {})


def _simple(expr: Expr, done: dict[int, Expr]) -> Expr:
    """`done` holds what is simple already, by identity, so that no rewrite looks at it again."""
    if expr.op is LEAF or id(expr) in done:
        return expr
    inputs = tuple([_simple(x, done) for x in expr.inputs])
    if any(map(is_not, inputs, expr.inputs)):
        expr = apply(expr.op, *inputs, **expr.params).named(expr.spec.axes)
    for rule in RULES.get(expr.op, ()):
        better = rule(expr)
        if better is not None:
            return _simple(better.named(expr.spec.axes), done)
    done[id(expr)] = expr
    return expr


def _same_order(expr: Expr) -> Expr | None:
    (x,), order = expr.inputs, expr.params["order"]
    return x if list(order) == list(range(len(order))) else None


def _all_entries(expr: Expr) -> Expr | None:
    (x,), p = expr.inputs, expr.params
    return x if list(p["indices"]) == list(range(x.spec.shape[p["axis"]])) else None


def _same_shape(expr: Expr) -> Expr | None:
    (x,) = expr.inputs
    return x if expr.spec.shape == x.spec.shape else None


def _same_dtype(expr: Expr) -> Expr | None:
    (x,) = expr.inputs
    return x if expr.spec.dtype == x.spec.dtype else None


def _only_one(expr: Expr) -> Expr | None:
    return expr.inputs[0] if len(expr.inputs) == 1 else None


def _reshape_of_reshape(expr: Expr) -> Expr | None:
    if expr.inputs[0].op is RESHAPE:
        return reshape(expr.inputs[0].inputs[0], expr.spec.shape)
    return None


def _permute_of_permute(expr: Expr) -> Expr | None:
    if expr.inputs[0].op is PERMUTE:
        inner = expr.inputs[0]
        return permute(inner.inputs[0], [inner.params["order"][i] for i in expr.params["order"]])
    return None


def _permute_of_ones(expr: Expr) -> Expr | None:
    """Where only axes of size 1 change places, no value does."""
    x = expr.inputs[0]
    moved = [i for i in expr.params["order"] if x.spec.shape[i] != 1]
    return reshape(x, expr.spec.shape) if moved == sorted(moved) else None


def _cast_of_reshape(expr: Expr) -> Expr | None:
    """A cast goes below a reshape, so that what keeps its bytes comes last."""
    if expr.inputs[0].op is not RESHAPE:
        return None
    return reshape(apply(CAST, expr.inputs[0].inputs[0], **expr.params), expr.spec.shape)


def _take_of_take(expr: Expr) -> Expr | None:
    if expr.inputs[0].op is not TAKE:
        return None
    inner = expr.inputs[0]
    if inner.params["axis"] != expr.params["axis"]:
        return None
    picked = [inner.params["indices"][i] for i in expr.params["indices"]]
    return take(inner.inputs[0], expr.params["axis"], picked)


def _crop_of_crop(expr: Expr) -> Expr | None:
    if expr.inputs[0].op is not CROP:
        return None
    inner, p = expr.inputs[0], expr.params
    if inner.params["axis"] != p["axis"]:
        return None
    lo = inner.params["lo"]
    return crop(inner.inputs[0], p["axis"], lo + p["lo"], lo + p["hi"])


def _crop_of_concat(expr: Expr) -> Expr | None:
    """Only the parts that the range touches are needed."""
    if expr.inputs[0].op is not CONCAT:
        return None
    axis, joined = expr.params["axis"], expr.inputs[0]
    if joined.params["axis"] != axis:
        return None
    lo, hi, parts = expr.params["lo"], expr.params["hi"], list[Expr]()
    for x in joined.inputs:
        size = x.spec.shape[axis]
        if max(lo, 0) < min(hi, size):
            parts.append(crop(x, axis, max(lo, 0), min(hi, size)))
        lo, hi = lo - size, hi - size
    return concat(parts, axis) if parts else None


def _concat_of_crops(expr: Expr) -> Expr | None:
    """Neighbouring ranges of one tensor, joined again, are one range of it."""
    axis, parts = expr.params["axis"], list[Expr]()
    for x in expr.inputs:
        if parts and _follows(parts[-1], x, axis):
            before = parts.pop()
            parts.append(crop(before.inputs[0], axis, before.params["lo"], x.params["hi"]))
        else:
            parts.append(x)
    return concat(parts, axis) if len(parts) < len(expr.inputs) else None


def _follows(a: Expr, b: Expr, axis: int) -> bool:
    """Whether b is the range of a tensor that begins where the range a ends."""
    if not (a.op is CROP and b.op is CROP and a.params["hi"] == b.params["lo"]):
        return False
    return bool(a.params["axis"] == b.params["axis"] == axis and a.inputs == b.inputs)


RULES: dict[Op, tuple[Rule, ...]] = {
    PERMUTE: (_same_order, _permute_of_permute, _permute_of_ones),
    TAKE: (_all_entries, _take_of_take),
    CROP: (_same_shape, _crop_of_crop, _crop_of_concat),
    RESHAPE: (_same_shape, _reshape_of_reshape),
    CAST: (_same_dtype, _cast_of_reshape),
    CONCAT: (_only_one, _concat_of_crops),
}
