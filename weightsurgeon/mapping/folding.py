"""Reparametrised layers of torch as the plain ones that they compute.

A weight norm keeps a direction `v` and a length `g`, a spectral norm the kernel and two vectors by
which it is divided. Between dialects, and into a base that has the plain tensor, each is folded
into one tensor under the plain name; a mapping that names the parts gets them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from ..errors import MappingError, PlanError, SpecError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..ops.arithmetic import cast
from ..ops.broadcasting import product, quotient
from ..ops.norms import INNER, NORMS, slices_along
from ..ops.reshape import reshape
from ..pending import Pending, pending, reduction
from ..plan import Plan
from ..spec import TensorSpec, dtype_of
from .claim import split
from .dequantising import dequantised
from .folds import Fold, plan_of
from .logical import neutral
from .names import NameError_, Pattern
from .rules import Drop, Layer, Mapping, Move
from .several import Joined

_PARAMETRIZED = re.compile(r"(.*\.|)parametrizations\.([^.]+)\.(.+)")
_BY_COLUMNS = "conv_transpose"  # its outputs are axis 1, and torch takes those as rows
_FLOAT = dtype_of("float64")


class Form(NamedTuple):
    """A reparametrisation: its parts by their ends, what it computes, the class of folding it."""

    ends: tuple[str, ...]
    line: str
    class_: str
    fold: Callable[[list[Expr], int], Expr]


def weight_norm(parts: list[Expr], axis: int = 0) -> Expr:
    """W = g·v/‖v‖, with a norm for each entry of the axis that g has; one for all if it has none.

    Shapes: those of v; the dtype is v's, computed in float64, rounded once.
    Source: Salimans and Kingma 2016, arXiv:1602.07868.

    >>> from weightsurgeon.expr import array
    >>> weight_norm([array([[10.0]]), array([[3.0, 4.0]])]).spec.shape
    (1, 2)
    """
    g, v = parts
    rank = len(v.spec.shape)
    wide = [i for i, n in enumerate(g.spec.shape) if n != 1]
    along = wide[0] if wide else None
    shape = [1] * rank
    if along is not None:
        shape[along] = g.spec.shape[along]
    if len(wide) > 1 or (along is not None and (len(g.spec.shape) != rank)):
        raise SpecError(f"{g.spec} is no length of {v.spec}")
    sizes = slices_along(v.spec.shape, along)
    norms = Pending(reduction(NORMS, v, **sizes))
    norm = pending(norms, "norms", TensorSpec(_FLOAT, (sizes["count"],)))
    long = product(v, reshape(g, shape))
    return cast(quotient(long, reshape(norm, shape)), v.spec.dtype)


def spectral_norm(parts: list[Expr], axis: int = 0) -> Expr:
    """W / (uᵀ·W·v), with W as a matrix whose rows are the entries of `axis`, as torch divides it.

    Source: Miyato et al. 2018, arXiv:1802.05957.
    """
    kernel, u, v = parts
    sizes = kernel.spec.shape
    rows = [n if i == axis else 1 for i, n in enumerate(sizes)]
    columns = [1 if i == axis else n for i, n in enumerate(sizes)]
    outer = product(reshape(u, rows), reshape(v, columns))
    inner = Pending(reduction(INNER, kernel, outer))
    sigma = pending(inner, "value", TensorSpec(_FLOAT, ()))
    return cast(quotient(kernel, reshape(sigma, [1] * len(sizes))), kernel.spec.dtype)


_WEIGHT = "weight norm: W = g·v/‖v‖"
_SPECTRAL = "spectral norm: W / (uᵀ·W·v)"
FORMS = (
    Form(("original0", "original1"), _WEIGHT, "function", weight_norm),
    Form(("original", "0._u", "0._v"), _SPECTRAL, "lossy", spectral_norm),
    Form(("_g", "_v"), _WEIGHT, "function", weight_norm),
    Form(("_orig", "_u", "_v"), _SPECTRAL, "lossy", spectral_norm),
)


def plain(
    source: Checkpoint,
    base: Checkpoint | None,
    rules: Mapping | None,
    there: str | None,
    dequantise: bool = False,
) -> Plan | None:
    """The plan of the source with its reparametrised tensors folded; None if none are to be.

    With `dequantise`, or where the rules say so, its quantised ones are decoded.

    Errors: PlanError `kind` for parametrisations that only the module itself can compute.
    """
    if isinstance(source, Joined):
        if dequantise or (rules is not None and rules.dequantise):
            text = "dequantise is for one source; port the quantised one to a file before"
            raise PlanError([MappingError("schema", text, rules.file if rules else "")])
        return None
    if dequantise or (rules is not None and rules.dequantise):
        return dequantised(source)
    if source.dialect != "torch" or (there == "torch" and base is None):
        return None
    kinds = partial(_kinds, base, rules)
    found = [
        _made(source, name, form, parts, kinds)
        for name, form, parts in _parametrised(source, rules)
        if there != "torch" or (base is not None and name in base)
    ]
    return plan_of(source, found) if found else None


def _named(rules: Mapping | None, source: Checkpoint, name: str, parts: Iterable[str]) -> bool:
    """Whether a rule speaks of the parts of a tensor, and not of all names alike."""
    for rule in rules.rules if rules is not None else ():
        for part in parts:
            if isinstance(rule, Move):
                if any(fits(p, part) and not fits(p, name) for p in rule.sources):
                    return True
            elif isinstance(rule, Drop):
                facts = source.source.specs[part], source.meaning(part)
                if rule.select(part, *facts) and not rule.select(name, *facts):
                    return True
    return False


def fits(pattern: Pattern, name: str) -> bool:
    """Whether a name is one of a pattern, in one way."""
    with suppress(NameError_):
        return pattern.match(name) is not None
    return True


def stems(source: Iterable[str]) -> dict[str, dict[str, str]]:
    """Plain name → end → name, of all names that may be parts of a reparametrised tensor.

    >>> stems(["fc.weight_g", "fc.weight_v", "fc.bias"])
    {'fc.weight': {'_g': 'fc.weight_g', '_v': 'fc.weight_v'}}
    """
    found: dict[str, dict[str, str]] = {}
    for name in source:
        if at := _PARAMETRIZED.fullmatch(name):
            found.setdefault(at[1] + at[2], {})[at[3]] = name
        elif at := re.fullmatch(r"(.*[^.])(_g|_v|_u|_orig)", name):
            found.setdefault(at[1], {})[at[2]] = name
    return found


def _parametrised(
    source: Checkpoint, rules: Mapping | None
) -> Iterator[tuple[str, Form, tuple[str, ...]]]:
    """Each reparametrised tensor: its plain name, the form, the names of its parts."""
    for stem, ends in stems(source).items():
        if _named(rules, source, stem, ends.values()):
            continue
        form = next((f for f in FORMS if set(f.ends) == ends.keys()), None)
        if form is not None:
            yield stem, form, tuple(ends[end] for end in form.ends)
        elif any(not end.startswith("_") for end in ends):
            text = f"{shown(stem)}: how {', '.join(sorted(ends))} make it, only its module knows"
            remedy = "remove_parametrizations before saving"
            raise PlanError([MappingError("kind", f"{text}; {remedy}", names=tuple(ends.values()))])


def _made(
    source: Checkpoint,
    name: str,
    form: Form,
    parts: tuple[str, ...],
    kinds: Callable[[str], set[str]],
) -> Fold:
    tensors = [source[part] for part in parts]
    axis = 0 if form.fold is weight_norm else _axis(name, tensors, kinds)
    return Fold(name, parts, form.fold(tensors, axis), form.line, form.class_)


def _axis(name: str, parts: list[Expr], kinds: Callable[[str], set[str]]) -> int:
    """The axis of a kernel that is as long as `u`; where two are, the kind of the layer decides.

    Errors: PlanError `kind` where none tells it.
    """
    kernel, u = (x.spec for x in parts[:2])
    fits = [i for i, n in enumerate(kernel.shape[:2]) if (n,) == u.shape]
    known = kinds(split(name)[0])
    if len(fits) == 2 and len(kernel.shape) > 2 and not known:
        text = f"{shown(name)} {kernel}: a convolution or a transposed one, which are divided"
        remedy = "otherwise; give a template, or a layer rule with its kind"
        raise PlanError([MappingError("kind", f"{text} {remedy}", names=(name,))])
    return 1 if fits == [1] or (len(fits) == 2 and _BY_COLUMNS in known) else 0


def _kinds(base: Checkpoint | None, rules: Mapping | None, layer: str) -> set[str]:
    """What the rules and the base call a layer."""
    stated = base.meanings.values() if base is not None else ()
    found = {m.kind for m in stated if m.kind and neutral(m.layer) == neutral(layer)}
    for rule in rules.rules if rules is not None else ():
        if isinstance(rule, Layer) and rule.kind != "auto":
            found |= {rule.kind for p in rule.sources if p.match(layer) is not None}
    return found
