"""Live soft updates of low-precision targets that keep more than the target has room for.

A step of a bfloat16 target that is under half an ulp is lost, every time. `float32` keeps a copy
that is not rounded, `compensated` what rounding cut off; both are numpy arrays by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import OutputError, shown
from .expr import Expr, apply, array
from .ops.arithmetic import cast
from .ops.blending import LERP
from .ops.compensating import compensated
from .plan import Plan
from .spec import dtype_of
from .writing import write_in_place

if TYPE_CHECKING:
    from .expr import Array

MODES = ("float32", "compensated")


class Stored:
    """What is kept beside a live target, and updates that use it."""

    def __init__(self, mode: str, plan: Plan) -> None:
        self.mode = mode
        self.kept: dict[str, Array] = {}
        for name, expr in plan.outputs.items():
            if _is_small(expr):
                target = expr.inputs[0]
                wide = dtype_of("float32") if mode == "float32" else target.spec.dtype
                self.kept[name] = (
                    cast(target, wide).numpy()
                    if mode == "float32"
                    else _zeros(target.spec.shape, wide)
                )

    def __call__(self, plan: Plan) -> None:
        """Update the live target of a plan, and what is kept of it.

        Errors: SpecError of a tensor; those before it are updated already.
        """
        source: Any = plan.sources["target"]
        rest = {n: x for n, x in plan.outputs.items() if n not in self.kept}
        for name, kept in self.kept.items():
            value, kept_next = self._next(plan.outputs[name], kept)
            source.assign(name, value)
            self.kept[name] = kept_next
        if rest:
            write_in_place(replace(plan, outputs=rest), source)

    def _next(self, expr: Expr, kept: Array) -> tuple[Array, Array]:
        target, online = expr.inputs
        if self.mode == "float32":
            wide = {**expr.params, "dtype": dtype_of("float32"), "tally": None}
            made = apply(LERP, array(kept), online, **wide).numpy()
            return cast(array(made), expr.spec.dtype, overflow="inf").numpy(), made
        values = array(target.numpy()), array(kept), array(online.numpy())
        tau, nonfinite = expr.params["tau"], expr.params["nonfinite"]
        value, residual = (
            compensated(*values, tau, part, nonfinite).numpy() for part in ("value", "residual")
        )
        return value, residual

    def fits(self, state: Mapping[str, Array]) -> bool:
        """Whether arrays are of the same names, shapes and dtypes as those that are kept."""
        return _facts(state) == _facts(self.kept)

    def load(self, state: Mapping[str, Array]) -> None:
        """Take what another one kept.

        Errors: OutputError if it is not of these tensors.
        """
        if not self.fits(state):
            odd = dict({*_facts(state).items()} ^ {*_facts(self.kept).items()})
            raise OutputError(f"the state does not fit the target: {', '.join(map(shown, odd))}")
        self.kept = {name: state[name].copy() for name in self.kept}


def _facts(state: Mapping[str, Array]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (values.shape, values.dtype.name) for name, values in state.items()}


def _is_small(expr: Expr) -> bool:
    return expr.op is LERP and expr.spec.dtype.kind == "float" and expr.spec.dtype.bits < 32


def _zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    import numpy as np

    return np.zeros(shape, dtype.numpy())
