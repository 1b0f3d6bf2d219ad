"""Quantised layers of Keras as the plain ones that they stand for, where that is asked for.

An int8 kernel is divided by its scale; one of 4 bits is unpacked, and `(q − zero)·scale` of its
block, or divided where there are no blocks. What comes out has the dtype of the scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from ..conventions import axes_of
from ..errors import MappingError, PlanError, shown
from ..expr import Expr
from ..formats.base import Checkpoint, Meaning
from ..ops.arithmetic import cast
from ..ops.decoding import divided, nibbles, scaled_back
from ..ops.reshape import reshape
from ..plan import Plan
from .folds import Fold, plan_of

_STORED = ("quantized", "int4", "output_dim", "output_shape")  # options of how it is stored
_PARTS = {  # role → roles of its scale, zeros and blocks
    "kernel": ("kernel_scale", "kernel_zero", "g_idx"),
    "embedding": ("kernel_scale", "kernel_zero", "g_idx"),
    "output_embedding": ("output_scale", "output_zero", "g_idx"),
}


def dequantised(source: Checkpoint) -> Plan:
    """The plan of the source with its quantised layers decoded.

    Errors: PlanError `dead-rule` where none is quantised, `kind` where one is stored in a way that
    is not known, or whose shape nothing tells.
    """
    layers = dict[str, dict[str, str]]()  # layer → role → name
    for name, m in source.meanings.items():
        if m.options.get("quantized"):
            layers.setdefault(m.layer, {})[m.role or name] = name
    if not layers:
        text = f"dequantise: {shown(source.path)} holds no layer that is known to be quantised"
        raise PlanError([MappingError("dead-rule", text)])
    found, problems = list[Fold](), list[MappingError]()
    for layer, roles in layers.items():
        try:
            found += _folds(source, roles)
        except _Unknown as error:
            text = f"{shown(layer)} cannot be dequantised: {error}"
            problems.append(MappingError("kind", text, names=tuple(roles.values())))
    if problems:
        raise PlanError(problems)
    names = [name for roles in layers.values() for name in roles.values()]
    shared = {n for fold in found for n in fold.parts[1:]}
    plain = {n: _plain(source.meaning(n)) for n in names if n not in shared}
    return plan_of(source, found, plain)


class _Unknown(ValueError):
    """How a layer is stored, or the shape that it had, is not known."""


def _plain(meaning: Meaning) -> Meaning:
    """What the tensor is once its layer is a plain one."""
    options = {k: v for k, v in meaning.options.items() if k not in _STORED}
    return replace(meaning, options=options)


def _folds(source: Checkpoint, roles: Mapping[str, str]) -> Iterator[Fold]:
    kept = [role for role in roles if role in _PARTS]
    if not kept or any(role not in roles for role in ("kernel_scale",)):
        raise _Unknown("which of its tensors is what, no row says")
    for role in kept:
        others = [roles[r] for r in _PARTS[role] if r in roles]
        parts = [roles[role], *others]
        meaning = _plain(source.meaning(roles[role]))
        bias = source[roles["bias"]].spec.shape if "bias" in roles else None
        exprs = {r: source[roles[r]] for r in (role, *_PARTS[role]) if r in roles}
        expr, line = _decoded(role, exprs, source.meaning(roles[role]).options, bias)
        axes = axes_of(meaning.kind or "", role, "keras", len(expr.spec.shape), meaning.options)
        expr = expr.named(axes)
        yield Fold(roles[role], tuple(parts), expr, line, "function", replace(meaning, axes=axes))


def _decoded(
    role: str, exprs: Mapping[str, Expr], options: Mapping[str, Any], bias: tuple[int, ...] | None
) -> tuple[Expr, str]:
    """The numbers that a kernel stands for, in the dtype of its scale; and how they are told."""
    scale_role, zero_role, blocks_role = _PARTS[role]
    q, scale = exprs[role], exprs[scale_role]
    dtype = scale.spec.dtype
    along = -2 if role == "embedding" else -1  # the axis with a scale for each entry
    if not options.get("int4"):
        wide = _spread(scale, len(q.spec.shape), along, options, q.spec.shape)
        return cast(divided(q, wide), dtype), "dequantised: w = q / scale"
    axis = 0 if role == "output_embedding" else 1  # that bytes are packed along
    q = nibbles(q, axis, _packed_size(role, exprs, options))
    if zero_role in exprs:
        blocks = 1 if role == "embedding" else 0
        w = scaled_back(q, scale, exprs[zero_role], exprs[blocks_role], blocks)
        line = "dequantised: w = (q − zero)·scale of its block"
    else:
        w = divided(q, _spread(scale, 2, along, {}, q.spec.shape))
        line = "dequantised: w = q / scale"
    w = cast(w, dtype)
    if options.get("equation"):
        w = reshape(w, _kernel_shape(options, w.spec.shape, bias))
    return w, line


def _spread(
    scale: Expr, rank: int, along: int, options: Mapping[str, Any], shape: tuple[int, ...]
) -> Expr:
    """The scale with the rank of the kernel: size 1 where it holds for all entries of an axis."""
    if options.get("equation"):
        operands, _, result = str(options["equation"]).replace("...", "").partition("->")
        letters = operands.partition(",")[2]
        sizes = [n if c in result else 1 for c, n in zip(letters, shape, strict=False)]
        if len(letters) != rank or prod(sizes) != scale.spec.size:
            raise _Unknown(f"{scale.spec} is no scale of {shape} in {options['equation']}")
        if [c for c in result if c in letters] != [c for c in letters if c in result]:
            raise _Unknown(f"the scale of {options['equation']} has its axes in another order")
        return reshape(scale, sizes)
    sizes = [1] * rank
    sizes[along] = scale.spec.size
    return reshape(scale, sizes)


def _packed_size(role: str, exprs: Mapping[str, Expr], options: Mapping[str, Any]) -> int:
    """How many entries there are along the packed axis: half a byte may be left over."""
    scale_role, _, blocks_role = _PARTS[role]
    if role == "kernel":
        return exprs[scale_role].spec.shape[-1]
    size = exprs[blocks_role].spec.size if blocks_role in exprs else options.get("output_dim")
    if not isinstance(size, int):
        raise _Unknown("its config does not tell output_dim")
    return size


def _kernel_shape(
    options: Mapping[str, Any], matrix: tuple[int, ...], bias: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape of an EinsumDense's kernel, which 4 bits are stored without: inputs × outputs."""
    operands, _, result = str(options["equation"]).replace("...", "").partition("->")
    first, _, letters = operands.partition(",")
    ins = [c for c in letters if c not in result]
    outs = [c for c in letters if c in result and c not in first]
    shapes = options.get("output_shape")
    shapes = shapes if isinstance(shapes, list | tuple) else [shapes]
    told = dict(zip(reversed(result), reversed(shapes), strict=False))
    if bias is not None and len(bias) == len(outs):
        told |= dict(zip([c for c in result if c in outs], bias, strict=True))
    sizes: dict[str, Any] = {c: told[c] for c in outs if told.get(c)}
    for group, size in ((ins, matrix[0]), (outs, matrix[1])):
        if len(group) == 2 and group[0] not in sizes and options.get("heads"):
            sizes[group[0]] = options["heads"]
        missing = [c for c in group if c not in sizes]
        known = prod(sizes[c] for c in group if c in sizes)
        if len(missing) == 1 and known and size % known == 0:
            sizes[missing[0]] = size // known
    shape = tuple(sizes.get(c, 0) for c in letters)
    if len(ins) + len(outs) != len(letters) or prod(shape) != prod(matrix):
        raise _Unknown(f"{options['equation']}: the shape of its kernel is told by nothing")
    return shape
