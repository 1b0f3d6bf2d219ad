"""Several tensors of a source as the one that they stand for, before the rules see them.

A reparametrised kernel, a quantised one: a plan makes the plain tensors where the first of their
parts stood, and the rules read its result instead of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Meaning
from ..plan import Line, Origin, Plan, Target
from .derived import Derived


class Fold(NamedTuple):
    """A tensor made of parts: what it is, the line that tells it, the class of the way back."""

    name: str
    parts: tuple[str, ...]
    expr: Expr
    line: str
    class_: str
    meaning: Meaning = UNKNOWN


def plan_of(
    source: Checkpoint, folds: Iterable[Fold], meanings: Mapping[str, Meaning] | None = None
) -> Plan:
    """Everything the source holds, with the folded tensors where the first of their parts stood.

    `meanings` are those of tensors that stay and are something else now.
    """
    folds = list(folds)
    place = {fold.parts[0]: fold for fold in folds}
    gone = {part for fold in folds for part in fold.parts}
    outputs: dict[str, Expr] = {}
    origins: dict[str, Origin] = {}
    known: dict[str, Meaning] = {}
    for name in source:
        if name in source.ties:
            continue
        if (fold := place.get(name)) is not None:
            outputs[fold.name], known[fold.name] = fold.expr, fold.meaning
            origins[fold.name] = Origin("automatic", fold.parts, fold.class_)
        elif name not in gone:
            outputs[name], origins[name] = source[name], Origin("", (name,))
            known[name] = (meanings or {}).get(name, source.meaning(name))
    return Plan(
        outputs=outputs,
        sources={"source": source.source},
        target=Target(dialect=source.dialect),
        ties={a: b for a, b in source.ties.items() if b in outputs},
        meanings={name: m for name, m in known.items() if m is not UNKNOWN},
        origins=origins,
        lines=tuple(Line("folded", fold.line, (fold.name,)) for fold in folds),
        metadata=dict(source.source.metadata),
    )


def with_folds(plan: Plan, folds: Plan | None) -> Plan:
    """The plan, its origins and lines telling of what was folded before it."""
    if folds is None:
        return plan
    origins = {name: _traced(origin, folds) for name, origin in plan.origins.items()}
    return replace(plan, origins=origins, lines=(*folds.lines, *plan.lines))


def _traced(origin: Origin, folds: Plan) -> Origin:
    before = [folds.origins[name] for name in origin.names if name in folds.origins]
    names = tuple(name for one in before for name in one.names)
    worst = next((one.class_ for one in before if one.class_ != "exact"), origin.class_)
    class_ = worst if origin.class_ == "exact" else origin.class_
    return origin._replace(names=names or origin.names, class_=class_)


def folded(folds: Plan | None, source: Checkpoint) -> Checkpoint:
    """The source as the rules see it."""
    return source if folds is None else Derived(folds)
