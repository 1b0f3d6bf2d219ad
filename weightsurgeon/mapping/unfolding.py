"""Plain tensors into a base that has them reparametrised: the way back of a weight norm.

The rules see the base with plain tensors; what they make is taken apart behind them: v = W and
g = ‖W‖, along the axis that the base's g has. What stays as the base has it keeps its own parts.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import MappingError, PlanError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..ops.arithmetic import cast
from ..ops.norms import NORMS, slices_along
from ..ops.reshape import reshape
from ..pending import Pending, pending, reduction
from ..plan import Line, Origin, Plan
from ..spec import TensorSpec, dtype_of
from .derived import Derived
from .folding import FORMS, fits, stems, weight_norm
from .folds import Fold, plan_of
from .rules import Mapping, Move

_LINE = "weight norm: v = W, g = ‖W‖"
_NO_WAY = (
    "there it is divided by its spectral norm, which this kernel need not have taken out; give a "
    "template without it"
)


def plain_base(
    base: Checkpoint | None, source: Checkpoint, rules: Mapping | None, there: str | None
) -> Plan | None:
    """The plan of the base with its weight norms folded, where the source has plain tensors.

    Errors: PlanError `kind` where it has a spectral norm.
    """
    if base is None or there != "torch" or base.dialect != "torch":
        return None
    found = list[Fold]()
    for name, ends in stems(base).items():
        form = next((f for f in FORMS if set(f.ends) == ends.keys()), None)
        parts = tuple(ends[end] for end in form.ends) if form is not None else ()
        if form is None or not set(parts).isdisjoint(source) or _aimed(rules, name, parts):
            continue
        if form.fold is not weight_norm:
            raise PlanError([MappingError("kind", f"{shown(name)}: {_NO_WAY}", names=parts)])
        expr = weight_norm([base[part] for part in parts])
        found.append(Fold(name, parts, expr, _LINE, "function"))
    return plan_of(base, found) if found else None


def _aimed(rules: Mapping | None, name: str, parts: tuple[str, ...]) -> bool:
    """Whether a rule makes the parts by their own names."""
    moves = [rule for rule in rules.rules if isinstance(rule, Move)] if rules is not None else []
    return any(
        fits(p, part) and not fits(p, name) for r in moves for p in r.targets for part in parts
    )


def seen_base(plan: Plan | None, base: Checkpoint | None) -> Checkpoint | None:
    """The base as the rules see it."""
    return base if plan is None else Derived(plan)


def unfolded(plan: Plan, folds: Plan | None, base: Checkpoint | None) -> Plan:
    """The plan with the parts of each weight norm in the place of its plain tensor."""
    if folds is None or base is None:
        return plan
    split = {line.names[0]: folds.origins[line.names[0]].names for line in folds.lines}
    outputs, origins, meanings = dict(plan.outputs), dict(plan.origins), dict(plan.meanings)
    lines = list(plan.lines)
    for name, parts in split.items():
        if name not in outputs:
            continue
        expr, origin = outputs.pop(name), origins.pop(name, Origin(""))
        meanings.pop(name, None)
        kept = origin.action == "kept"
        for part in parts:
            meanings[part] = base.meaning(part)
        if kept:
            outputs |= {part: base[part] for part in parts}
            origins |= {part: origin._replace(names=(part,), class_="exact") for part in parts}
            continue
        outputs |= zip(parts, (_length(expr, base[parts[0]].spec), expr), strict=True)
        origins |= {parts[0]: origin._replace(class_="function"), parts[1]: origin}
        lines.append(Line("folded", _LINE, (name,)))
    return replace(plan, outputs=outputs, origins=origins, meanings=meanings, lines=tuple(lines))


def _length(w: Expr, g: TensorSpec) -> Expr:
    """‖W‖ in the shape of the base's g; its longest axis says along which."""
    wide = [i for i, n in enumerate(g.shape) if n != 1]
    sizes = slices_along(w.spec.shape, wide[0] if wide else None)
    norms = Pending(reduction(NORMS, w, **sizes))
    found = pending(norms, "norms", TensorSpec(dtype_of("float64"), (sizes["count"],)))
    return cast(reshape(found, g.shape), g.dtype)
