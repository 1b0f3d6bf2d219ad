"""A plan becomes a file, or new values of a live model: a sink is laid out, filled, committed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from .copies import align, bytes_of
from .errors import OutputError
from .execute import execute
from .expr import LEAF, Expr, leaves
from .formats import create_sink
from .formats.base import Order
from .formats.live import LiveSink, LiveSource
from .grouping import grouped
from .neutral import encode
from .plan import Plan
from .reducing import Progress


def write(plan: Plan, progress: Progress | None = None, durable: bool = True) -> None:
    """Execute a plan into its target file, which appears only when it is whole.

    Where it need not be `durable`, nobody waits for the disk: as after `cp`, the file is whole for
    every reader, whatever becomes of this process, but a power loss may take it.
    """
    for other in plan.beside:
        write(other, progress, durable)
    if isinstance(plan.target.template, LiveSource):
        write_in_place(plan, plan.target.template, progress)
        return
    sink = create_sink(plan.target.container, plan.target.path, order_of(plan))
    sink.durable = durable
    try:
        for _ in execute(plan, sink, progress):
            pass
        sink.commit()
    finally:
        sink.abort()  # nothing, after a commit


def write_in_place(plan: Plan, model: LiveSource, progress: Progress | None = None) -> None:
    """Execute a plan into a live model: each tensor is written whole, what is kept is not touched.

    Errors: OutputError that names the tensors already written; all others are as they were.
    """
    outputs = {name: x for name, x in plan.outputs.items() if not _is_itself(x, name, model)}
    changing = replace(plan, outputs=outputs)
    sink = LiveSink(model, changing.specs, read_by_others(changing, model))
    try:
        for _ in execute(changing, sink, progress):
            pass
        sink.commit()
    except Exception as error:
        if not sink.changed:
            raise
        names = ", ".join(g.label for g in grouped(sink.changed)[:8])
        text = f"{error}; written already: {names}, all others are as they were"
        raise OutputError(text) from error
    finally:
        sink.abort()


def _is_itself(expr: Expr, name: str, model: LiveSource) -> bool:
    """Is this output the very tensor that it would be written to?"""
    expr = bytes_of(expr)
    source = expr.params["source"] if expr.op is LEAF else None
    same = isinstance(source, LiveSource) and source.tensors[expr.params["name"]]
    return same is model.tensors[name]


def read_by_others(plan: Plan, model: LiveSource) -> frozenset[str]:
    """Outputs whose memory other outputs are computed from, perhaps through another model."""
    readers: dict[Hashable, set[str]] = {}
    for name, expr in plan.outputs.items():
        for x in leaves(expr):
            source = x.params["source"]
            if isinstance(source, LiveSource):
                readers.setdefault(source.memory(x.params["name"]), set()).add(name)
    return frozenset(n for n in plan.outputs if readers.get(model.memory(n), set()) - {n})


def order_of(plan: Plan) -> Order:
    """What the sink is asked to make."""
    origins = [
        {"container": source.container, "file": Path(source.path).name}
        for source in plan.sources.values()
    ]
    metadata = encode(
        plan.meanings,
        plan.ties,
        plan.target.dialect,
        origins,
        plan.hash(),
        list(plan.mappings),
        plan.metadata,
    )
    target = plan.target
    return Order(plan.specs, plan.ties, metadata, target.template, align(plan), target.shard_bytes)
