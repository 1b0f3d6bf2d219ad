"""A plan becomes a file: the sink is laid out, filled by the executor, and committed."""

from __future__ import annotations

from pathlib import Path

from .copies import align
from .execute import execute
from .formats import create_sink
from .formats.base import Order
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
    sink = create_sink(plan.target.container, plan.target.path, order_of(plan))
    sink.durable = durable
    try:
        for _ in execute(plan, sink, progress):
            pass
        sink.commit()
    finally:
        sink.abort()  # nothing, after a commit


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
