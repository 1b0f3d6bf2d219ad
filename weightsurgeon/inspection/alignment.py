"""Which tensor of B stands for which of A, and A's seen as B names and lays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..comparison import BENIGN
from ..conventions import group_of
from ..expr import Expr
from ..formats.base import Checkpoint
from ..mapping import policy as policies
from ..mapping.auto import automatic
from ..mapping.compile import Job, compile_plan
from ..mapping.rules import Mapping as Rules
from ..plan import Line, Plan, Target
from ..reducing import run_reductions
from ..steps.sides import Openable, PathLike, opened, rules_of, stated


class Side(NamedTuple):
    """A pair of names, A's values as B lays them, B's values."""

    a: str
    b: str
    x: Expr
    y: Expr


class Aligned(NamedTuple):
    """Pairs, what only one side has, and what else the mapping left to tell."""

    pairs: tuple[Side, ...]
    a_only: tuple[str, ...]
    b_only: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    moved: bool = False  # A is seen through a mapping: its own layout is not B's


def sides(
    a: Openable, b: Openable, mapping: PathLike | Rules | None
) -> tuple[Checkpoint, Checkpoint, Rules | None]:
    """Both checkpoints opened as the mapping states them."""
    rules = rules_of(mapping)
    return opened(a, *stated(rules, "source")), opened(b, *stated(rules, "target")), rules


def aligned(a: Checkpoint, b: Checkpoint, rules: Rules | None, sizes: Mapping[str, int]) -> Aligned:
    """By equal names within a dialect; through the mapping, or as `port` would, between two.

    Errors: PlanError where the mapping, or the kinds of the layers, leave something open.
    """
    if rules is None:
        if not a.dialect or not b.dialect or a.dialect == b.dialect:
            return by_name(a, b)
        rules = automatic(a, b, a.dialect, b.dialect)
    listed = {**policies.preset("audit"), "nonfinite": "ignore"}
    sources = {"a": a.source, "b": b.source}
    target = Target(dialect=b.dialect)
    plan = compile_plan(Job(a, rules, target, sources, b, sizes=sizes, policy=listed))
    run_reductions(plan)
    return _planned(plan, b)


def by_name(a: Checkpoint, b: Checkpoint) -> Aligned:
    """Tensors of equal names."""
    both = tuple(Side(n, n, a[n], b[n]) for n in a if n in b)
    return Aligned(both, tuple(n for n in a if n not in b), tuple(n for n in b if n not in a))


def _planned(plan: Plan, b: Checkpoint) -> Aligned:
    pairs = list[Side]()
    for name, expr in plan.outputs.items():
        origin = plan.origins[name]
        if origin.action == "made" and group_of(plan.meanings[name].role) == "counter":
            continue  # it counts b's training, which a knows nothing of
        pairs.append(Side(origin.names[0] if origin.names else name, name, expr, b[name]))
    for other, name in plan.ties.items():
        origin = plan.origins[name]
        first = origin.names[0] if origin.names else name
        pairs.append(Side(first, other, plan.outputs[name], b[other]))
    only = {
        id: tuple(n for line in plan.lines if line.id == id for n in line.names)
        for id in ("unmatched-source", "unmatched-target")
    }
    rest = tuple(x for x in plan.lines if x.id not in (*BENIGN, *only))
    return Aligned(tuple(pairs), only["unmatched-source"], only["unmatched-target"], rest, True)


def names_in(found: Sequence[Side]) -> tuple[str, ...]:
    """B's names of the pairs."""
    return tuple(s.b for s in found)
