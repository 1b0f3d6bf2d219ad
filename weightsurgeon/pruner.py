"""Pruning while a model is trained: masks that grow with a schedule, held in place."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .errors import OutputError, SpecError, shown
from .expr import Expr
from .formats.live import Live, LiveSource
from .ops.masking import MASKED, chosen
from .plan import Plan
from .reducing import run_reductions
from .steps.sides import opened
from .surgery import amount_at, plan_prune

if TYPE_CHECKING:
    from .expr import Array


class Pruner:
    """Prunes a live model of torch or Keras while it is trained.

    `keys` are those of the step `prune`, with `schedule` or an amount (`sparsity=0.5`). Plain
    parameters stay what they are: the same objects, no wrapper. Call `step(n)` after the
    optimiser's; masks are made anew where n is a multiple of `every` and the amount has grown.

    Errors: PlanError with every problem of the keys and the tensors, OutputError for a tensor that
    cannot be written in place: both when it is made, before anything is changed.
    """

    def __init__(self, model: Live, every: int = 1, **keys: Any) -> None:
        if type(every) is not int or every < 1:
            raise SpecError(f"every wants a whole number from 1, not {shown(every)}")
        if keys.get("mask") is not None:
            raise SpecError("a Pruner makes its own masks: state_dict() has them")
        self._model, self._every, self._keys = model, every, keys
        self._checkpoint = opened(model)
        source = self._checkpoint.source
        if not isinstance(source, LiveSource):
            raise SpecError("a Pruner wants a live model; ws.prune prunes files")
        self._source = source
        self._amount: Fraction | None = None
        self._masks: dict[str, Array] = {}
        for name in _pruned(plan_prune(model, None, 0, **keys)):
            if name in source.fixed:
                raise OutputError(f"{shown(name)} cannot be written in place: {source.fixed[name]}")

    def step(self, n: int) -> bool:
        """Hold the masks at training step n; True if they were made anew.

        Errors: SpecError for a step before 0; PlanError where a value is not finite.
        """
        if type(n) is not int or n < 0:
            raise SpecError(f"a step is a whole number from 0, not {shown(n)}")
        made = n % self._every == 0 and self._grown(n)
        for name, mask in self._masks.items():
            values = self._checkpoint[name].numpy()
            self._source.assign(name, chosen(values, mask))
        return made

    def state_dict(self) -> dict[str, Any]:
        """How far the schedule is, and the mask of each tensor: True is kept."""
        amount = None if self._amount is None else str(self._amount)
        return {"amount": amount, "masks": {n: mask.copy() for n, mask in self._masks.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another Pruner was; SpecError for masks that do not fit."""
        import numpy as np

        masks = {name: np.asarray(mask) for name, mask in state["masks"].items()}
        for name, mask in masks.items():
            spec = self._checkpoint[name].spec
            if mask.shape != spec.shape or mask.dtype != np.bool_:
                text = f"the mask {mask.dtype} {mask.shape} does not fit {spec}"
                raise SpecError(f"{shown(name)}: {text}")
        self._masks = {name: mask.copy() for name, mask in masks.items()}
        self._amount = None if state["amount"] is None else Fraction(state["amount"])

    def _grown(self, n: int) -> bool:
        """Make new masks if step n asks for more than there was."""
        amount = amount_at(self._keys, n)
        if self._amount is not None and amount <= self._amount:
            return False
        plan = plan_prune(self._model, None, n, **self._keys)
        run_reductions(plan)
        outputs = _pruned(plan)
        self._masks = {name: x.inputs[1].numpy() for name, x in outputs.items()}
        for name, x in outputs.items():
            self._source.assign(name, x.numpy())
        self._amount = amount
        return True


def _pruned(plan: Plan) -> dict[str, Expr]:
    return {name: x for name, x in plan.outputs.items() if x.op is MASKED}
