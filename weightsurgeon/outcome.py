"""What was done, as data: the report of every command that writes, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .copies import bytes_of
from .costs import Cost, cost_of
from .errors import shown
from .expr import Op, leaves
from .grouping import grouped
from .plan import Line, Origin, Plan
from .table import columns, html_table, human_bytes
from .tally import counted

JSON_VERSION = 1
SHOWN = 5  # names of a list that are shown unless all are asked for


class Row(NamedTuple):
    """One output: its name, where it came from, by which rule, what was done and was counted."""

    name: str
    sources: tuple[str, ...]
    rule: str
    action: str
    class_: str
    layout: str
    counts: Mapping[str, int] = {}


@dataclass(frozen=True)
class Report:
    """What a command made: rows, listed lines, notes and totals.

    `str(report)` is the text a terminal shows; `to_json()` what `--json` prints.
    """

    command: str
    inputs: tuple[str, ...]
    output: str
    container: str
    dialect: str | None
    rows: tuple[Row, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    nbytes: int
    written: bool
    cost: Cost | None = None  # of a plan that was only looked at

    def to_json(self) -> dict[str, Any]:
        """The report as data; `weightsurgeon_json` is raised when a key changes its meaning."""
        tensors = [
            {
                "name": r.name,
                "from": list(r.sources),
                "rule": r.rule,
                "action": r.action,
                "class": r.class_,
                **({"counts": dict(r.counts)} if r.counts else {}),
            }
            for r in self.rows
        ]
        return {
            "weightsurgeon_json": JSON_VERSION,
            "command": self.command,
            "inputs": [{"path": path} for path in self.inputs],
            "output": {
                "path": self.output,
                "container": self.container,
                "dialect": self.dialect,
                "tensors": len(self.rows),
                "bytes": self.nbytes,
                "written": self.written,
            },
            "tensors": tensors,
            "lines": [{"id": x.id, "names": list(x.names), "text": x.text} for x in self.lines],
            "notes": list(self.notes),
            **({"cost": self.cost._asdict()} if self.cost is not None else {}),
        }

    def __str__(self) -> str:
        return "\n".join(self.text())

    def text(self, everything: bool = False) -> Iterator[str]:
        """The report in lines: groups of tensors by what was done, lists, notes, totals."""
        yield from columns(_cells(self.rows))
        yield from self._lines(everything)
        yield self._total()

    def _lines(self, everything: bool) -> Iterator[str]:
        for line in self.lines:
            yield f"{line.id}: {_listed(line, everything)}"
        for note in self.notes:
            yield f"note: {shown(note, 2000)}"
        yield from self._counted()
        if self.cost is not None:
            yield f"cost: {self.cost}"

    def _repr_html_(self) -> str:
        """The report in a notebook: the tensors as a table, all else in lines below it."""
        from html import escape

        table = html_table(self._total(), ("tensors", "what", "axes", "rule"), _cells(self.rows))
        rest = "\n".join(self._lines(everything=False))
        return table + (f"<pre>{escape(rest)}</pre>" if rest else "")

    def _counted(self) -> Iterator[str]:
        """What was counted in all tensors: `elements: 1,024 changed, 3 stalled`."""
        total: dict[str, int] = {}
        for row in self.rows:
            for key, n in row.counts.items():
                total[key] = total.get(key, 0) + n
        if total:
            yield "elements: " + ", ".join(f"{n:,} {key}" for key, n in total.items())

    def _total(self) -> str:
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.action] = counts.get(row.action, 0) + 1
        parts = ", ".join(f"{n} {action}" for action, n in counts.items()) or "no tensors"
        size = human_bytes(self.nbytes)
        where = shown(self.output) if self.output else "nowhere"
        verb = "→" if self.written else "would go to"
        return f"{parts} · {size} {verb} {where}"


def _listed(line: Line, everything: bool) -> str:
    groups = [
        g.label + (f" ×{len(g.names)}" if len(g.names) > 1 else "") for g in grouped(line.names)
    ]
    if not groups or line.text.startswith(groups[0].split(" ×", maxsplit=1)[0]):
        return shown(line.text, 2000)
    head = groups if everything else groups[:SHOWN]
    more = f" and {len(groups) - len(head)} more (--all)" if len(head) < len(groups) else ""
    return f"{shown(line.text, 2000)}: {', '.join(head)}{more}"


def _cells(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Columns: name (grouped), action, layout, rule."""
    by_key: dict[tuple[str, str, str], list[str]] = {}
    for r in rows:
        by_key.setdefault((r.action, r.layout, r.rule), []).append(r.name)
    return [
        (g.label + (f" ×{len(g.names)}" if len(g.names) > 1 else ""), action, layout, shown(rule))
        for (action, layout, rule), names in by_key.items()
        for g in grouped(names)
    ]


def action_of(plan: Plan, name: str) -> str:
    """What happens to an output: kept, made, tied, copied, relaid, cast or computed."""
    origin = plan.origins.get(name, Origin())
    if origin.action:
        return origin.action
    expr = plan.outputs[name]
    if not any(leaves(expr)):
        return "made"
    found = _ops(bytes_of(expr))
    if not found:
        return "copied"
    if all(op.undo is not None or op.place is not None for op in found):
        return "relaid"
    return "cast" if {op.name for op in found} == {"cast"} else "computed"


def _ops(expr: Any) -> set[Op]:
    """The ops between an output and its leaves."""
    ops = {expr.op} if expr.inputs else set()
    return ops.union(*map(_ops, expr.inputs))


def report(plan: Plan, command: str, written: bool) -> Report:
    """The report of a plan that was run, or would be."""
    rows = [_row(plan, name) for name in plan.outputs]
    rows += [
        Row(other, (name,), "", "tied", "exact", f"= {name}") for other, name in plan.ties.items()
    ]
    remarks = (Line("remark", r) for source in plan.sources.values() for r in source.remarks)
    return Report(
        command,
        tuple(source.path for source in plan.sources.values()),
        plan.target.path,
        plan.target.container,
        plan.target.dialect,
        tuple(rows),
        (*plan.lines, *_found(plan), *remarks, *(_told(plan) if written else ())),
        plan.notes,
        plan.nbytes,
        written,
        None if written else cost_of(plan),
    )


def _found(plan: Plan) -> Iterator[Line]:
    """What reductions found, where they have run."""
    for source, tell in plan.findings:
        yield from tell(source.result) if source.ready else ()


def _told(plan: Plan) -> Iterator[Line]:
    """What the work itself found out."""
    for tell in plan.after:
        yield from tell()


def _row(plan: Plan, name: str) -> Row:
    origin, expr = plan.origins.get(name, Origin()), plan.outputs[name]
    action, layout = action_of(plan, name), _layout(expr)
    return Row(name, origin.names, origin.rule, action, origin.class_, layout, counted(expr))


def _layout(expr: Any) -> str:
    """How the axes lay and lie, where both are known and they differ."""
    inner = expr
    while inner.inputs:
        inner = inner.inputs[0]
    have, want = inner.spec.axes, expr.spec.axes
    if have is None or want is None or str(have) == str(want):
        return ""
    return f"{have} → {want}"
