"""Rewrites that keep the values and save the work, as a table of rules.

Each rule looks at one expression and gives a simpler one of the same spec and values, or None.
They run from the leaves up until none applies. A new rule is a function and its name in RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    if expr.op is LEAF:
        return expr
    inputs = tuple(simplify(x) for x in expr.inputs)
    if any(a is not b for a, b in zip(inputs, expr.inputs, strict=True)):
        expr = apply(expr.op, *inputs, **expr.params).named(expr.spec.axes)
    for rule in RULES:
        better = rule(expr)
        if better is not None:
            return simplify(better.named(expr.spec.axes))
    return expr


def _nothing(expr: Expr) -> Expr | None:
    """An op that changes nothing: the identity order, all entries, the same shape or dtype."""
    if len(expr.inputs) != 1:
        return None
    (x,), size = expr.inputs, expr.spec.shape
    same: dict[Op, Callable[[Mapping[str, Any]], bool]] = {
        PERMUTE: lambda p: list(p["order"]) == list(range(len(size))),
        TAKE: lambda p: list(p["indices"]) == list(range(x.spec.shape[p["axis"]])),
        CROP: lambda p: size == x.spec.shape,
        RESHAPE: lambda p: size == x.spec.shape,
        CAST: lambda p: expr.spec.dtype == x.spec.dtype,
        CONCAT: lambda p: True,
    }
    return x if expr.op in same and same[expr.op](expr.params) else None


def _reshape_of_reshape(expr: Expr) -> Expr | None:
    if expr.op is RESHAPE and expr.inputs[0].op is RESHAPE:
        return reshape(expr.inputs[0].inputs[0], expr.spec.shape)
    return None


def _permute_of_permute(expr: Expr) -> Expr | None:
    if expr.op is PERMUTE and expr.inputs[0].op is PERMUTE:
        inner = expr.inputs[0]
        return permute(inner.inputs[0], [inner.params["order"][i] for i in expr.params["order"]])
    return None


def _permute_of_ones(expr: Expr) -> Expr | None:
    """Where only axes of size 1 change places, no value does."""
    if expr.op is not PERMUTE:
        return None
    x = expr.inputs[0]
    moved = [i for i in expr.params["order"] if x.spec.shape[i] != 1]
    return reshape(x, expr.spec.shape) if moved == sorted(moved) else None


def _cast_of_reshape(expr: Expr) -> Expr | None:
    """A cast goes below a reshape, so that what keeps its bytes comes last."""
    if expr.op is not CAST or expr.inputs[0].op is not RESHAPE:
        return None
    return reshape(apply(CAST, expr.inputs[0].inputs[0], **expr.params), expr.spec.shape)


def _take_of_take(expr: Expr) -> Expr | None:
    if expr.op is not TAKE or expr.inputs[0].op is not TAKE:
        return None
    inner = expr.inputs[0]
    if inner.params["axis"] != expr.params["axis"]:
        return None
    picked = [inner.params["indices"][i] for i in expr.params["indices"]]
    return take(inner.inputs[0], expr.params["axis"], picked)


def _crop_of_crop(expr: Expr) -> Expr | None:
    if expr.op is not CROP or expr.inputs[0].op is not CROP:
        return None
    inner, p = expr.inputs[0], expr.params
    if inner.params["axis"] != p["axis"]:
        return None
    lo = inner.params["lo"]
    return crop(inner.inputs[0], p["axis"], lo + p["lo"], lo + p["hi"])


def _crop_of_concat(expr: Expr) -> Expr | None:
    """Only the parts that the range touches are needed."""
    if expr.op is not CROP or expr.inputs[0].op is not CONCAT:
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
    if expr.op is not CONCAT:
        return None
    axis = expr.params["axis"]
    for i, (a, b) in enumerate(zip(expr.inputs, expr.inputs[1:], strict=False)):
        if a.op is CROP and b.op is CROP and a.inputs == b.inputs:
            p, q = a.params, b.params
            if p["axis"] == q["axis"] == axis and p["hi"] == q["lo"]:
                joined = crop(a.inputs[0], axis, p["lo"], q["hi"])
                return concat([*expr.inputs[:i], joined, *expr.inputs[i + 2 :]], axis)
    return None


RULES: tuple[Rule, ...] = (
    _nothing,
    _reshape_of_reshape,
    _permute_of_permute,
    _permute_of_ones,
    _cast_of_reshape,
    _take_of_take,
    _crop_of_crop,
    _crop_of_concat,
    _concat_of_crops,
)
