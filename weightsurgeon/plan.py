"""A plan is a value: what will be made, from what, and where it goes.

`outputs` binds names to expressions; nothing has been read but headers. A plan can be printed,
hashed, refused, stored as JSON and read back. `Draft` collects every problem before it refuses.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from .encoding import decoded, encoded
from .errors import PlanError, SurgeryError, shown
from .expr import Expr, show
from .formats.base import Meaning, Source
from .grouping import grouped
from .pending import Pending, Reduction, waves
from .spec import TensorSpec

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
    """Where the outputs go; no path means that nothing is written.

    shard_bytes: how large a file of a set may get; 0 for one file in the place of a set
    """

    path: str = ""
    container: str = ""
    dialect: str | None = None
    template: Source | None = None
    shard_bytes: int | None = None


class Check(NamedTuple):
    """A reduction whose result must count nothing before anything is written, and the error it is
    otherwise."""

    reduction: Reduction
    refused: Callable[[Any], SurgeryError]


class Finding(NamedTuple):
    """What the result of a reduction says in the report, once it is known."""

    source: Pending
    tell: Callable[[Any], Iterable[Line]]


@dataclass(frozen=True)
class Plan:
    """What will be made: names bound to expressions, in order, and where they go.

    outputs    name → expression, simplified
    ties       other name → output name: one tensor under two names
    meanings   what each output is, for the metadata
    origins    which rule made it, from what
    beside     other files, each published before this one
    checks     reductions of which the result must be "no difference"
    findings   reductions of which the result stands in the report
    lines      what is listed instead of refused; `notes` are printed as they stand
    after      lines that only the work itself can tell, asked for when it is done
    metadata   foreign strings carried through; `mappings` hashes of the mappings used
    """

    outputs: Mapping[str, Expr]
    sources: Mapping[str, Source]
    target: Target = field(default_factory=Target)
    ties: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    beside: tuple[Plan, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    after: tuple[Callable[[], Iterable[Line]], ...] = ()
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

    @property
    def reductions(self) -> list[Reduction]:
        """What must run though no output waits for it: checks and findings."""
        checked = [check.reduction for check in self.checks]
        return checked + [finding.source.reduction for finding in self.findings]

    def hash(self) -> str:
        """SHA-256 of what the plan does: expressions and aliases, no paths and no data."""
        tensors, reductions = encoded(self.outputs, self.sources)
        canonical: dict[str, Any] = {"tensors": tensors, "ties": dict(sorted(self.ties.items()))}
        canonical |= {"reductions": reductions} if reductions else {}
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The plan as data; `from_json` reads it back beside the same sources."""
        tensors, reductions = encoded(self.outputs, self.sources)
        return {
            "weightsurgeon_plan": 1,
            "hash": self.hash(),
            "sources": {alias: source.path for alias, source in self.sources.items()},
            "output": {k: v for k, v in self.target._asdict().items() if k != "template"},
            "tensors": tensors,
            "reductions": reductions,
            "ties": dict(self.ties),
            "lines": [line._asdict() for line in self.lines],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], sources: Mapping[str, Source]) -> Plan:
        """Rebuild a plan; every spec is inferred anew and compared with the stored one."""
        outputs = decoded(data["tensors"], data.get("reductions", ()), sources)
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
        for i, wave in enumerate(waves(self.outputs.values())):
            yield from (f"pass {i + 1}  {one}" for one in wave)


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
