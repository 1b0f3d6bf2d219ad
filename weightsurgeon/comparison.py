"""Two checkpoints compared value by value, the first seen through a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from . import sanity
from .conventions import group_of
from .errors import shown
from .expr import Expr
from .formats.base import Checkpoint
from .grouping import grouped
from .mapping import policy as policies
from .mapping.auto import automatic
from .mapping.compile import Job, compile_plan
from .mapping.rules import Mapping as Rules
from .mapping.several import sources_of
from .ops.reduction import DIFFER, Difference
from .outcome import JSON_VERSION
from .pending import reduction
from .plan import Line, Plan, Target
from .reducing import Progress, reduce, run_reductions

# what a mapping does because it was asked to, or is told for information: no difference
BENIGN = ("lossy-cast", "optimizer", "made", "dropped", "prefix", "folded", "eps", "sum", "tied")


class Pair(NamedTuple):
    """Two tensors that should be equal: a name on each side, and how far they are apart."""

    a: str
    b: str
    shape: tuple[int, ...]
    difference: Difference


@dataclass(frozen=True)
class Verification:
    """What a comparison found: pairs, what only one side has, and whether all is equal."""

    inputs: tuple[str, str]
    pairs: tuple[Pair, ...]
    lines: tuple[Line, ...]
    atol: float
    rounded: tuple[
        Line, ...
    ] = ()  # compared after the one rounding that the narrower dtype asks for
    findings: tuple[Line, ...] = ()  # what b should not hold, whatever a does

    @property
    def differing(self) -> tuple[Pair, ...]:
        """The pairs that are not equal, the worst first."""
        found = [p for p in self.pairs if not self._agrees(p.difference)]
        return tuple(sorted(found, key=lambda p: -p.difference.worst))

    def _agrees(self, d: Difference) -> bool:
        return d.count == 0 or (self.atol > 0 and d.worst <= self.atol)

    @property
    def equal(self) -> bool:
        """Whether every tensor has its counterpart and agrees with it."""
        return not self.lines and not self.differing

    @property
    def values(self) -> int:
        """How many values were compared."""
        return sum(prod(p.shape) for p in self.pairs)

    def to_json(self) -> dict[str, Any]:
        """The comparison as data."""
        return {
            "weightsurgeon_json": JSON_VERSION,
            "command": "verify",
            "inputs": [{"path": path} for path in self.inputs],
            "equal": self.equal,
            "atol": self.atol,
            "tensors": len(self.pairs),
            "values": self.values,
            "differing": sum(p.difference.count for p in self.pairs),
            "pairs": [_pair(p) for p in self.differing],
            "rounded": [{"names": list(x.names), "text": x.text} for x in self.rounded],
            "findings": [{"id": x.id, "text": x.text} for x in self.findings],
            "lines": [{"id": x.id, "names": list(x.names), "text": x.text} for x in self.lines],
        }

    def __str__(self) -> str:
        rows = [f"rounded: {_listed(line)}" for line in self.rounded]
        rows += [f"{line.id}: {shown(line.text, 2000)}" for line in self.lines]
        rows += [f"finding: {line.id}: {shown(line.text, 2000)}" for line in self.findings]
        rows += [sentence(p) for p in self.differing[:10]]
        if len(self.differing) > 10:
            rows.append(f"… and {len(self.differing) - 10} more")
        count = sum(p.difference.count for p in self.pairs)
        total = f"{len(self.pairs)} tensors, {self.values:,} values compared: {count:,} differ"
        if self.equal and count:
            total += f", none by more than {self.atol:g}"
        return "\n".join([*rows, f"{'equal' if self.equal else 'different'}: {total}"])


def _listed(line: Line) -> str:
    names = ", ".join(group.label for group in grouped(line.names))
    return shown(f"{names}: {line.text}, and compared after that", 2000)


def _index(flat: int | None, shape: tuple[int, ...]) -> list[int]:
    index, rest = list[int](), flat or 0
    for n in reversed(shape):
        index.append(rest % n)
        rest //= n
    return index[::-1]


def sentence(p: Pair) -> str:
    """How two tensors differ, in a line."""
    d = p.difference
    name = shown(p.a) if p.a == p.b else f"{shown(p.a)} → {shown(p.b)}"
    where = _index(d.at, p.shape)
    return f"{name}: {d.count:,} of {prod(p.shape):,} differ, worst |Δ| {d.worst:.3g} at {where}"


def _pair(p: Pair) -> dict[str, Any]:
    d = p.difference
    worst: float | str = d.worst if d.worst != float("inf") else "inf"
    return {
        "a": p.a,
        "b": p.b,
        "count": d.count,
        "first": _index(d.first, p.shape),
        "max_abs": worst,
        "at": _index(d.at, p.shape),
    }


def expectation(
    a: Checkpoint, b: Checkpoint, rules: Rules | None, sizes: Mapping[str, int]
) -> tuple[Plan, dict[str, tuple[str, Expr]]]:
    """What b should hold, seen from a: the plan, and name → the tensor of a it is from, values."""
    if rules is None:
        both_known = a.dialect and b.dialect  # else names and layouts are taken as they are
        rules = automatic(a, b, a.dialect, b.dialect if both_known else a.dialect)
    sources = {**sources_of(a, "a"), "base": b.source}
    listed = {**policies.preset("audit"), "nonfinite": "ignore"}
    job = Job(a, rules, Target(dialect=b.dialect), sources, b, sizes=sizes, policy=listed)
    plan = compile_plan(job)
    run_reductions(plan)
    return plan, dict(_expected(plan))


def compare(
    a: Checkpoint,
    b: Checkpoint,
    rules: Rules | None,
    atol: float,
    progress: Progress | None,
    sizes: Mapping[str, int],
) -> Verification:
    """Compare the values of b with those of a, seen through a mapping or as `port` would."""
    plan, expected = expectation(a, b, rules, sizes)
    looks = sanity.looked_at(b, expected)
    wave = {f"= {name}": reduction(DIFFER, x, b[name]) for name, (_, x) in expected.items()}
    found = reduce(wave | {f"< {name}": look for name, look in looks.items()}, progress)
    for source in plan.sources.values():
        source.check_unchanged()  # else two states of a file would have been compared
    pairs = tuple(Pair(x, n, expr.spec.shape, found[f"= {n}"]) for n, (x, expr) in expected.items())
    lines = tuple(line for line in plan.lines if line.id not in BENIGN)
    rounded = tuple(line for line in plan.lines if line.id == "lossy-cast")
    odd = tuple(sanity.findings(plan, b, {name: found[f"< {name}"] for name in looks}))
    return Verification((a.path, b.path), pairs, lines, atol, rounded, odd)


def _expected(plan: Plan) -> Iterator[tuple[str, tuple[str, Expr]]]:
    """What b should hold: name, the tensor of a it comes from, values; tied names too."""
    for name, expr in plan.outputs.items():
        origin = plan.origins[name]
        if origin.action == "made" and group_of(plan.meanings[name].role) == "counter":
            continue  # it counts b's training, which a knows nothing of
        yield name, (origin.names[0] if origin.names else name, expr)
    for other, name in plan.ties.items():
        origin = plan.origins[name]
        yield other, (origin.names[0] if origin.names else name, plan.outputs[name])
