"""Expressions as data and back: what `--json --explain` prints, and what a plan's hash is of.

A leaf is its source's alias and its name, or the number of the reduction that it waits for.
Reductions are listed once, each after those that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import FormatError, PlanError, SurgeryError, shown
from .expr import LEAF, Expr, apply, leaf, show
from .formats.base import Source
from .notation import parse
from .pending import Pending, Reduction, pending
from .spec import Axes, DType, TensorSpec, dtype_of


def encoded(
    outputs: Mapping[str, Expr], sources: Mapping[str, Source]
) -> tuple[dict[str, Any], list[Any]]:
    """Expressions by name, and the reductions that they wait for, as data."""
    encoder = _Encoder(sources)
    return {name: encoder.expr(expr) for name, expr in outputs.items()}, encoder.reductions


def decoded(
    tensors: Mapping[str, Any], reductions: Iterable[Any], sources: Mapping[str, Source]
) -> dict[str, Expr]:
    """The expressions again; every spec is inferred anew and compared with the stored one."""
    decoder = _Decoder(sources)
    for entry in reductions:
        decoder.pending.append(Pending(decoder.reduction(entry)))
    return {name: decoder.expr(entry) for name, entry in tensors.items()}


class _Encoder:
    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.aliases = {id(source): alias for alias, source in sources.items()}
        self.reductions = list[Any]()
        self.numbers = dict[int, int]()

    def expr(self, expr: Expr) -> Any:
        spec = [expr.spec.dtype.name, list(expr.spec.shape), _text(expr.spec.axes)]
        if expr.op is LEAF:
            source, name = expr.params["source"], expr.params["name"]
            if isinstance(source, Pending):
                return {"pending": [self.number(source.reduction), name], "spec": spec}
            return {"leaf": [self.aliases[id(source)], name], "spec": spec}
        inputs = [self.expr(x) for x in expr.inputs]
        return {"op": expr.op.name, "in": inputs, "params": _params(expr.params), "spec": spec}

    def number(self, one: Reduction) -> int:
        """Its place in the list, where it is put when it is first met."""
        if id(one) not in self.numbers:
            parts = [[self.expr(x) for x in part] for part in one.parts]
            self.numbers[id(one)] = len(self.reductions)
            entry = {"reduce": one.row.name, "parts": parts, "params": _params(one.params)}
            self.reductions.append(entry)
        return self.numbers[id(one)]


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in params.items() if value is not None and key != "tally"}
    return {key: _plain(value) for key, value in said.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, DType):
        return value.name
    return str(value) if isinstance(value, Axes) else value


def _text(axes: Axes | None) -> str | None:
    return None if axes is None else str(axes)


class _Decoder:
    def __init__(self, sources: Mapping[str, Source]) -> None:
        from .ops.table import OPS, REDUCTIONS  # only a plan that is read back needs them all

        self.ops, self.rows = OPS, REDUCTIONS
        self.sources = sources
        self.pending = list[Pending]()

    def expr(self, entry: Mapping[str, Any]) -> Expr:
        dtype, shape, text = entry["spec"]
        axes = None if text is None else parse(text)
        if "leaf" in entry:
            alias, name = entry["leaf"]
            expr = self.leaf(alias, name, axes)
        elif "pending" in entry:
            number, name = entry["pending"]
            return pending(self.pending[number], name, _spec(dtype, shape, axes))
        else:
            inputs = [self.expr(x) for x in entry["in"]]
            expr = apply(self.ops[entry["op"]], *inputs, **_live(entry["params"])).named(axes)
        if (expr.spec.dtype.name, list(expr.spec.shape)) != (dtype, shape):
            raise PlanError(
                [FormatError("plan", show(expr), f"is {expr.spec} here, {shape} there")]
            )
        return expr

    def leaf(self, alias: str, name: str, axes: Axes | None) -> Expr:
        if alias not in self.sources or name not in self.sources[alias].specs:
            what = shown(f"tensor {name}" if alias in self.sources else f"source {alias}")
            raise PlanError([SurgeryError(f"the plan wants {shown(alias)}: no {what}")])
        spec = self.sources[alias].specs[name]._replace(axes=axes)
        return leaf(self.sources[alias], name, spec)

    def reduction(self, entry: Mapping[str, Any]) -> Reduction:
        parts = [tuple(self.expr(x) for x in part) for part in entry["parts"]]
        return Reduction(self.rows[entry["reduce"]], tuple(parts), _live(entry["params"]))


def _spec(dtype: str, shape: Iterable[int], axes: Axes | None) -> TensorSpec:
    return TensorSpec(dtype_of(dtype), tuple(shape), axes)


def _live(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _lively(key, value) for key, value in params.items()}


def _lively(key: str, value: Any) -> Any:
    if key == "dtype":
        return dtype_of(value)
    if key == "axes":
        return parse(value)
    return tuple(value) if isinstance(value, list) else value
