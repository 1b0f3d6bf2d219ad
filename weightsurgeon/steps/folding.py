"""Folding masks that a framework keeps beside its weights: torch's `prune`, tfmot's wrappers.

torch: `X_orig` and `X_mask` become `X`. tfmot: under `prune_low_magnitude_L/` lie the weights of L
and, in a folder of the same name or directly, `mask`, `threshold` and `pruning_step`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import shown
from ..expr import Expr
from ..ops.masking import as_mask, masked
from ..plan import Draft, Origin, Plan
from ..tally import Tally
from .work import Work

_WRAPPED = re.compile(r"(?P<before>(?:.*/)?)prune_low_magnitude_(?P<layer>[^/]+)/(?P<rest>.*)")
_OWN = re.compile(r"(?:prune_low_magnitude_[^/]+/)?(mask|threshold|pruning_step)(:0)?")


class Fold(NamedTuple):
    """A weight, its mask, and the name of both together."""

    weight: str
    mask: str
    name: str


def halves(names: Sequence[str]) -> list[str]:
    """The names that stand for a weight and its mask apart."""
    known = set(names)
    return [
        name
        for name in names
        if _WRAPPED.fullmatch(name)
        or (name.endswith("_orig") and name.removesuffix("_orig") + "_mask" in known)
    ]


def fold(base: Plan, work: Work) -> Plan:
    """The plan in which each weight is folded with its mask, and what else pruning kept is gone.

    Errors: PlanError with every weight that lacks its mask, and every name that is taken.
    """
    draft = Draft()
    folds = [*_torch(base, work, draft), *_tfmot(base, work, draft)]
    if not folds and not draft.problems:
        text = "no masks are embedded here: neither X_orig beside X_mask nor prune_low_magnitude"
        draft.problem(work.place.refused(text, "mask"))
    draft.refuse_if_problems()
    by_weight = {f.weight: f for f in folds}
    masks = {f.mask for f in folds}
    outputs, origins, renamed = dict[str, Expr](), dict[str, Origin](), dict[str, str]()
    for name, x in base.outputs.items():
        found = by_weight.get(name)
        if found is not None:
            mask = as_mask(base.outputs[found.mask])
            outputs[found.name] = masked(x, mask, Tally()).named(x.spec.axes)
            origins[found.name] = Origin(str(work.place), (name, found.mask), action="folded")
            renamed[name] = found.name
        elif name not in masks and (new := _unwrapped(name)) is not None:
            outputs[new], renamed[name] = x, new
            origins[new] = Origin(str(work.place), (name,))
    ties = {_unwrapped(a) or a: renamed[b] for a, b in base.ties.items() if b in renamed}
    ties = {a.removesuffix("_orig") if b != a else a: b for a, b in ties.items()}
    meanings = {renamed[n]: m for n, m in base.meanings.items() if n in renamed}
    return replace(base, outputs=outputs, origins=origins, ties=ties, meanings=meanings)


def _unwrapped(name: str) -> str | None:
    """A name without the wrapper; None for what only the wrapper had."""
    found = _WRAPPED.fullmatch(name)
    if found is None:
        return name
    if _OWN.fullmatch(found["rest"]):
        return None
    return f"{found['before']}{found['layer']}/{found['rest']}"


def _torch(base: Plan, work: Work, draft: Draft) -> Iterable[Fold]:
    names = base.outputs.keys() | base.ties.keys()
    for weight in [n for n in base.outputs if n.endswith("_orig")]:
        name = weight.removesuffix("_orig")
        if name + "_mask" in base.outputs:
            if name in names:
                text = f"{shown(name)} is there beside {shown(weight)}"
                draft.problem(work.place.refused(text, id="collision", names=[name]))
            yield from _fitting(base, work, draft, Fold(weight, name + "_mask", name))
            continue
        normed = name + "_u" in names or name + "_v" in names
        why = "an old spectral_norm writes it" if normed else "old spectral_norm writes such, too"
        text = f"{shown(weight)} has no {shown(name + '_mask')}: {why}"
        draft.problem(work.place.refused(text, id="unmatched-source", names=[weight]))


def _tfmot(base: Plan, work: Work, draft: Draft) -> Iterable[Fold]:
    for mask in base.outputs:
        found = _WRAPPED.fullmatch(mask)
        own = _OWN.fullmatch(found["rest"]) if found else None
        if found is None or own is None or own[1] != "mask":
            continue
        inside = mask[: found.start("rest")]
        plain = f"{found['before']}{found['layer']}/"
        shape = base.outputs[mask].spec.shape
        weights = [
            n for n, x in base.outputs.items()
            if x.spec.shape == shape and n != mask and _unwrapped(n) is not None
            and n.startswith((inside, plain))
        ]  # fmt: skip
        if len(weights) != 1:
            told = ", ".join(map(shown, weights)) or "none"
            text = f"{shown(mask)} fits {told} of the weights of {shown(found['layer'])}"
            draft.problem(work.place.refused(text, id="unmatched-source", names=[mask]))
            continue
        yield Fold(weights[0], mask, _unwrapped(weights[0]) or weights[0])


def _fitting(base: Plan, work: Work, draft: Draft, found: Fold) -> Iterable[Fold]:
    x, mask = base.outputs[found.weight].spec, base.outputs[found.mask].spec
    if x.shape == mask.shape:
        yield found
        return
    text = f"{shown(found.mask)} {mask} does not fit {shown(found.weight)} {x}"
    draft.problem(work.place.refused(text, id="shape", names=[found.weight]))
