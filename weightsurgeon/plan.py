"""A plan is a value: what will be made, from what, and where it goes.

`outputs` binds names to expressions; nothing has been read but headers. A plan can be printed,
hashed, refused, stored as JSON and read back. `Draft` collects every problem before it refuses.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from .errors import FormatError, PlanError, SurgeryError, shown
from .expr import LEAF, Expr, Reduce, apply, leaf, show
from .formats.base import Meaning, Source
from .grouping import grouped
from .notation import parse
from .ops import OPS
from .ops.movement import reshape
from .simplify import simplify
from .spec import Axes, DType, TensorSpec, dtype_of

T = TypeVar("T")
_NUMBER = re.compile(r"\d+")


class Origin(NamedTuple):
    """Why an output is made: the rule (`file:line`), the source names, the class of the rule."""

    rule: str = ""
    names: tuple[str, ...] = ()
    class_: str = "exact"
    action: str = ""  # what the plan alone knows: kept, made, tied; else the step tells


class Line(NamedTuple):
    """Something that is not silent: listed in the report under the id of its refusal."""

    id: str
    text: str
    names: tuple[str, ...] = ()


class Target(NamedTuple):
    """Where the outputs go; no path means that nothing is written."""

    path: str = ""
    container: str = ""
    dialect: str | None = None
    template: Source | None = None


class Reduction(NamedTuple):
    """A reduction row applied to flat expressions; the plan runs it before any step."""

    row: Reduce
    inputs: tuple[Expr, ...]
    params: Mapping[str, Any] = {}


def reduction(row: Reduce, *inputs: Expr, **params: Any) -> Reduction:
    """Apply a reduction: its static rule agrees or says why not; the inputs are seen flat."""
    row.infer(tuple(x.spec for x in inputs), **params)
    flat = tuple(simplify(reshape(x, (x.spec.size,))) for x in inputs)
    return Reduction(row, flat, params)


class Check(NamedTuple):
    """A difference that must be none before anything is written, and the error it is otherwise."""

    reduction: Reduction
    refused: Callable[[Any], SurgeryError]


@dataclass(frozen=True)
class Plan:
    """What will be made: names bound to expressions, in order, and where they go.

    outputs    name → expression, simplified
    ties       other name → output name: one tensor under two names
    meanings   what each output is, for the metadata
    origins    which rule made it, from what
    checks     reductions of which the result must be "no difference"
    lines      what is listed instead of refused; `notes` are printed as they stand
    metadata   foreign strings carried through; `mappings` hashes of the mappings used
    """

    outputs: Mapping[str, Expr]
    sources: Mapping[str, Source]
    target: Target = field(default_factory=Target)
    ties: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    mappings: tuple[str, ...] = ()

    @property
    def specs(self) -> dict[str, TensorSpec]:
        """The spec of every output."""
        return {name: expr.spec for name, expr in self.outputs.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all outputs; a tied tensor counts once."""
        return sum(expr.spec.nbytes for expr in self.outputs.values())

    def hash(self) -> str:
        """SHA-256 of what the plan does: expressions and aliases, no paths and no data."""
        canonical = {"tensors": self._tensors(), "ties": dict(sorted(self.ties.items()))}
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The plan as data; `from_json` reads it back beside the same sources."""
        return {
            "weightsurgeon_plan": 1,
            "hash": self.hash(),
            "sources": {alias: source.path for alias, source in self.sources.items()},
            "output": {k: v for k, v in self.target._asdict().items() if k != "template"},
            "tensors": self._tensors(),
            "ties": dict(self.ties),
            "lines": [line._asdict() for line in self.lines],
        }

    def _tensors(self) -> dict[str, Any]:
        aliases = {id(source): alias for alias, source in self.sources.items()}
        return {name: _encode(expr, aliases) for name, expr in self.outputs.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any], sources: Mapping[str, Source]) -> Plan:
        """Rebuild a plan; every spec is inferred anew and compared with the stored one."""
        outputs = {name: _decode(entry, sources) for name, entry in data["tensors"].items()}
        lines = tuple(Line(x["id"], x["text"], tuple(x["names"])) for x in data["lines"])
        return Plan(outputs, sources, Target(**data["output"]), data["ties"], lines=lines)

    def __str__(self) -> str:
        return "\n".join(self.explain())

    def explain(self) -> Iterator[str]:
        """A line for each group of outputs: name, spec, expression, rule."""
        alike: dict[tuple[object, ...], list[str]] = {}
        for name, expr in self.outputs.items():
            origin = self.origins.get(name, Origin())
            form = _NUMBER.sub("#", show(expr))  # names may differ in a number, nothing else
            alike.setdefault((form, str(expr.spec), origin.rule, origin.class_), []).append(name)
        for (_, spec, rule, class_), names in alike.items():
            why = f"  ({shown(rule)}, {class_})" if rule else ""
            for group in grouped(names):
                times = f" ×{len(group.names)}" if len(group.names) > 1 else ""
                yield f"{group.label}{times}  {spec}  ← {show(self.outputs[group.names[0]])}{why}"
        for other, name in self.ties.items():
            yield f"{shown(other)}  = {shown(name)} (tied)"


# -- JSON ------------------------------------------------------------------------------------


def _encode(expr: Expr, aliases: Mapping[int, str]) -> Any:
    spec = [expr.spec.dtype.name, list(expr.spec.shape), _text(expr.spec.axes)]
    if expr.op is LEAF:
        return {"leaf": [aliases[id(expr.params["source"])], expr.params["name"]], "spec": spec}
    params = {key: _plain(value) for key, value in expr.params.items() if value is not None}
    inputs = [_encode(x, aliases) for x in expr.inputs]
    return {"op": expr.op.name, "in": inputs, "params": params, "spec": spec}


def _text(axes: Axes | None) -> str | None:
    return None if axes is None else str(axes)


def _plain(value: Any) -> Any:
    return (
        value.name
        if isinstance(value, DType)
        else _text(value)
        if isinstance(value, Axes)
        else value
    )


def _decode(entry: Mapping[str, Any], sources: Mapping[str, Source]) -> Expr:
    dtype, shape, text = entry["spec"]
    axes = None if text is None else parse(text)
    if "leaf" in entry:
        alias, name = entry["leaf"]
        if alias not in sources or name not in sources[alias].specs:
            what = shown(f"tensor {name}" if alias in sources else f"source {alias}")
            raise PlanError([SurgeryError(f"the plan wants {shown(alias)}: no {what}")])
        expr = leaf(sources[alias], name, sources[alias].specs[name]._replace(axes=axes))
    else:
        inputs = [_decode(x, sources) for x in entry["in"]]
        params = {key: _live(key, value) for key, value in entry["params"].items()}
        expr = apply(OPS[entry["op"]], *inputs, **params).named(axes)
    if (expr.spec.dtype.name, list(expr.spec.shape)) != (dtype, shape):
        raise PlanError([FormatError("plan", show(expr), f"is {expr.spec} here, {shape} there")])
    return expr


def _live(key: str, value: Any) -> Any:
    if key == "dtype":
        return dtype_of(value)
    if key == "axes":
        return parse(value)
    return tuple(value) if isinstance(value, list) else value


# -- drafting --------------------------------------------------------------------------------


class Draft:
    """Collects problems, so that a plan is refused once, with every reason."""

    def __init__(self) -> None:
        self.problems: list[SurgeryError] = []
        self.lines: list[Line] = []

    def problem(self, error: SurgeryError) -> None:
        """Remember a reason to refuse; those of a `PlanError` one by one."""
        self.problems += error.problems if isinstance(error, PlanError) else [error]

    def attempt(self, work: Callable[[], T]) -> T | None:
        """What the work gives, or None with its problems remembered."""
        try:
            return work()
        except SurgeryError as error:
            self.problem(error)
            return None

    def line(self, id: str, text: str, names: tuple[str, ...] = ()) -> None:
        """Remember what is listed in the report."""
        self.lines.append(Line(id, text, names))

    def refuse_if_problems(self) -> None:
        """Raise one `PlanError` with all of them."""
        if self.problems:
            raise PlanError(self.problems)
