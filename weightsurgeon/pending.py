"""Reductions as inputs: a leaf whose values are known only when a reduction has run.

A `Reduction` is a row applied to tensors; `pending` makes an expression of a part of its result,
which other expressions and other reductions take as input. `waves` says in which order they run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import SpecError, shown
from .expr import Block, Expr, Reduce, leaf, leaves, show, slices
from .ops.movement import reshape
from .simplify import simplify
from .spec import TensorSpec

if TYPE_CHECKING:
    from .expr import Array


class Reduction(NamedTuple):
    """A reduction row applied to tensors; the executor runs it before any step.

    parts  folded one after the other, the flat index running on: each is a tuple of flat
           expressions of one size, which are seen in lockstep

    Two are the same only if they are one object.
    """

    row: Reduce
    parts: tuple[tuple[Expr, ...], ...]
    params: Mapping[str, Any] = {}

    def __str__(self) -> str:
        names = [", ".join(show(x) for x in part) for part in self.parts]
        more = f" and {len(names) - 3} more" if len(names) > 4 else ""
        words = [" · ".join(names[:3] if more else names) + more]
        words += [f"{k}={shown(v)}" for k, v in self.params.items() if v is not None]
        return f"{self.row.name}({', '.join(words)})"


def reduction(row: Reduce, *inputs: Expr, **params: Any) -> Reduction:
    """Apply a reduction to tensors in lockstep: its static rule agrees or says why not."""
    return reduction_over(row, [inputs], **params)


def reduction_over(row: Reduce, parts: Iterable[Sequence[Expr]], **params: Any) -> Reduction:
    """Apply a reduction to many tensors (or tuples of them), as if they were one long tensor."""
    flat = []
    for part in parts:
        row.infer(tuple(x.spec for x in part), **params)
        flat.append(tuple(simplify(reshape(x, (x.spec.size,))) for x in part))
    return Reduction(row, tuple(flat), params)


class Pending:
    """The result of a reduction as a source of tensors, which can be read once it has run."""

    def __init__(self, reduction: Reduction) -> None:
        self.reduction = reduction
        self.result: Any = None  # the only thing here that changes, and only `settle` does it
        self.ready = False

    def settle(self, result: Any) -> None:
        """The reduction has run."""
        self.result, self.ready = result, True

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """A field of the result (all of it if the name is empty), or a block of that."""
        import numpy as np

        from .kernels import copy

        if not self.ready:
            raise SpecError(f"{shown(name)} is not known before the reductions of the plan ran")
        values = np.asarray(getattr(self.result, name) if name else self.result)
        where: tuple[Any, ...] = (*slices(block), ...)  # with ... a number stays an array
        part: Array = values[where]
        if out is None:
            return part
        copy(out, part.astype(out.dtype, copy=False))
        return out


def pending(source: Pending, name: str, spec: TensorSpec) -> Expr:
    """The field `name` of a reduction's result as a tensor of that spec."""
    return leaf(source, name, spec)


def pendings(exprs: Iterable[Expr]) -> Iterator[Pending]:
    """The pending reductions that expressions read, each as often as they do."""
    for expr in exprs:
        for x in leaves(expr):
            if isinstance(source := x.params["source"], Pending):
                yield source


def sources_of(exprs: Iterable[Expr], reductions: Iterable[Reduction] = ()) -> list[Pending]:
    """Every pending leaf's source that must be settled, those behind others too, each once."""
    found: dict[int, Pending] = {}

    def visit(exprs: Iterable[Expr]) -> None:
        for source in pendings(exprs):
            if id(source) not in found:
                found[id(source)] = source
                visit(x for part in source.reduction.parts for x in part)

    visit(exprs)
    visit(x for r in reductions for part in r.parts for x in part)
    return list(found.values())


def waves(exprs: Iterable[Expr], reductions: Iterable[Reduction] = ()) -> list[list[Reduction]]:
    """The reductions that expressions wait for (and others), those first that wait for none.

    Those of a wave share one pass over what they read.
    """
    depths: dict[int, int] = {}
    found: list[list[Reduction]] = []

    def depth(one: Reduction) -> int:
        if id(one) not in depths:
            below = pendings(x for part in one.parts for x in part)
            mine = depths[id(one)] = 1 + max((depth(p.reduction) for p in below), default=-1)
            found.extend([] for _ in range(mine + 1 - len(found)))
            found[mine].append(one)
        return depths[id(one)]

    for one in reductions:
        depth(one)
    for source in pendings(exprs):
        depth(source.reduction)
    return found
