"""A soft update of live tensors as a few fused calls: no loop over tensors in Python.

For torch, and Keras on torch, one call for each device, dtype and tau. `fused_keras` does the same
for Keras on TensorFlow. What both share is how a plan comes apart into pairs of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from operator import getitem, is_
from typing import Any, NamedTuple

from .expr import LEAF, Expr
from .ops.blending import LERP, fractions
from .plan import Plan

_FUSED = ("float16", "bfloat16", "float32", "float64")


class Pair(NamedTuple):
    """A live tensor and its online twin, as the frameworks' own objects; tau 1 is a copy."""

    tau: float
    target: Any
    online: Any


class Group(NamedTuple):
    """Tensors of one device, dtype and tau; `onlines` are those of the same places."""

    tau: float
    targets: list[Any]
    onlines: list[Any]


class Fused:
    """The calls that a plan for torch tensors comes to."""

    def __init__(self, groups: list[Group], copies: Group) -> None:
        import torch

        self._torch, self._groups, self._copies = torch, groups, copies

    @staticmethod
    def of(plan: Plan) -> Fused | None:
        """Lower a plan; None where an output is more than a fused call can do."""
        pairs = pairs_of(plan)
        if pairs is None or not all(hasattr(x, "untyped_storage") for p in pairs for x in p[1:]):
            return None
        groups: dict[tuple[Any, ...], Group] = {}
        copies = Group(1.0, [], [])
        for tau, here, there in pairs:
            if here.device != there.device:
                return None
            group = copies
            if tau != 1:
                group = groups.setdefault((here.device, here.dtype, tau), Group(tau, [], []))
            group.targets.append(here)
            group.onlines.append(there)
        return Fused(list(groups.values()), copies)

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
    return fractions(Decimal(tau), n)[0]


# -- a plan comes apart ----------------------------------------------------------------------


def pairs_of(plan: Plan) -> list[Pair] | None:
    """Every output that moves; None where one is more than a step towards a tensor of its dtype."""
    source: Any = plan.sources["target"]
    found = []
    for name, expr in plan.outputs.items():
        if _is_own(expr, source):
            continue
        twin = _twin(expr, source)
        if twin is None or name in source.fixed or not hasattr(twin.params["source"], "tensors"):
            return None
        here, there = (
            _value(source, name),
            _value(twin.params["source"], twin.params["name"]),
        )
        if here.dtype != there.dtype:
            return None
        found.append(Pair(expr.params["tau"] if expr.op is LERP else 1.0, here, there))
    return found


def _value(source: Any, name: str) -> Any:
    """What the framework computes with: of a Keras variable, that of its backend."""
    x = source.tensors[name]
    return x.value if source.container == "live-keras" else x


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


# -- and holds as long as the models keep their tensors --------------------------------------


class Guards:
    """Where the models of a plan hold their tensors, and where the values of these lie.

    `broken` is asked at every step, so it asks all of them from C.
    """

    def __init__(self, plan: Plan) -> None:
        live = [s for s in plan.sources.values() if hasattr(s, "tensors")]
        found = [x for source in live for x in _held(source)]
        self._owners = [owner for owner, _ in found]
        self._keys = [key for _, key in found]
        self._tensors = [owner[key] for owner, key in found]
        torches = [x for x in self._tensors if hasattr(x, "data_ptr")]
        self._asks = [x.data_ptr for x in torches]
        self._places = [ask() for ask in self._asks]

    def broken(self) -> bool:
        """Whether a tensor is another object now, or lies elsewhere."""
        try:
            same = all(map(is_, map(getitem, self._owners, self._keys), self._tensors))
        except KeyError:
            return True
        return not same or [ask() for ask in self._asks] != self._places


def _held(source: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The dictionary and the key of each tensor of a live model; those that a hook of the module
    renamed have none, and are not asked for."""
    if source.container == "live-keras":
        yield from ((x.__dict__, "_value") for x in source.tensors.values())
        return
    modules = dict(source.model.named_modules())
    for name in source.tensors:
        path, _, leaf = name.rpartition(".")
        if path in modules:
            module = modules[path]
            yield from ((d, leaf) for d in (module._parameters, module._buffers) if leaf in d)
