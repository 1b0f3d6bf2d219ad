"""A soft update of torch tensors as a few fused calls: no loop over tensors in Python."""

from __future__ import annotations

from typing import Any, NamedTuple

from .expr import LEAF, Expr
from .ops.blending import LERP, fractions
from .plan import Plan

_FUSED = ("float16", "bfloat16", "float32", "float64")


class Group(NamedTuple):
    """Tensors of one device, dtype and tau; `onlines` are those of the same places."""

    tau: float
    targets: list[Any]
    onlines: list[Any]


class Fused:
    """The calls that a plan comes to."""

    def __init__(self, groups: list[Group], copies: Group, guards: list[Any]) -> None:
        import torch

        self._torch, self._groups, self._copies, self._guards = torch, groups, copies, guards

    @staticmethod
    def of(plan: Plan) -> Fused | None:
        """Lower a plan; None where an output is more than a fused call can do."""
        source: Any = plan.sources["target"]
        if any(s.container != "live-torch" for s in plan.sources.values()):
            return None
        groups: dict[tuple[Any, ...], Group] = {}
        copies = Group(1.0, [], [])
        for name, expr in plan.outputs.items():
            if _is_own(expr, source):
                continue
            twin = _twin(expr, source)
            if twin is None or name in source.fixed:
                return None
            here, there = source.tensors[name], twin.params["source"].tensors[twin.params["name"]]
            if here.dtype != there.dtype or here.device != there.device:
                return None
            group = copies
            if expr.op is LERP:
                key = (here.device, here.dtype, expr.params["tau"])
                group = groups.setdefault(key, Group(expr.params["tau"], [], []))
            group.targets.append(here)
            group.onlines.append(there)
        return Fused(list(groups.values()), copies, _guards(plan))

    def __call__(self, n: int) -> None:
        """Make n updates at once."""
        torch = self._torch
        with torch.no_grad():
            for tau, targets, onlines in self._groups:
                here = tau if n == 1 else many(tau, n)
                if here:
                    torch._foreach_lerp_(targets, onlines, here)
            if n and self._copies.targets:
                torch._foreach_copy_(self._copies.targets, self._copies.onlines)

    def stale(self) -> bool:
        """Whether a model got other tensors since: told by the first one of each side."""
        return any(
            owner.get(key) is not x or x.data_ptr() != at for owner, key, x, at in self._guards
        )

    def stall(self) -> dict[str, int]:
        """How many elements the next update would change, and how many that differ it would not."""
        torch = self._torch
        changed = stalled = 0
        with torch.no_grad():
            for tau, targets, onlines in self._groups:
                for t, s in zip(targets, onlines, strict=True):
                    moved = torch.lerp(t, s, tau) != t
                    changed += int(moved.sum())
                    stalled += int(((t != s) & ~moved).sum())
        return {"changed": changed, "stalled": stalled}


def many(tau: float, n: int) -> float:
    """The fraction of n updates at once."""
    from decimal import Decimal

    return fractions(Decimal(tau), n)[0]


def _is_own(expr: Expr, source: Any) -> bool:
    return expr.op is LEAF and expr.params["source"] is source


def _twin(expr: Expr, source: Any) -> Expr | None:
    """The online tensor of an output that is `lerp(target, online)`, or the online tensor."""
    if expr.op is LEAF:
        return expr
    if expr.op is not LERP or expr.spec.dtype.name not in _FUSED:
        return None
    target, online = expr.inputs
    alike = _is_own(target, source) and online.op is LEAF
    return online if alike and expr.spec.dtype == target.spec.dtype else None


def _guards(plan: Plan) -> list[Any]:
    """For the first tensor of each side: where its module holds it, and where its values are."""
    found = []
    for source in plan.sources.values():
        live: Any = source
        name, x = next(iter(live.tensors.items()))
        path, _, leaf = name.rpartition(".")
        module = live.model.get_submodule(path)
        owner = next(d for d in (module._parameters, module._buffers) if leaf in d)
        found.append((owner, leaf, x, x.data_ptr()))
    return found
