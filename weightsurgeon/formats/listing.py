"""What a checkpoint holds, for people: a head and rows of tensors, alike ones joined.

The same rows are printed by the command `inspect`, by a Python prompt, and shown in a notebook.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import shown
from ..grouping import grouped
from ..table import columns, html_table, human_bytes, human_count

if TYPE_CHECKING:
    from ..spec import Axes, TensorSpec
    from .base import Checkpoint

HEAD = ("name", "", "shape", "dtype", "params", "bytes", "is", "axes", "")
RIGHT = (2, 4, 5)
MOST = 40  # rows at a prompt; in a notebook all of them


def plain(checkpoint: Checkpoint) -> str:
    """The listing at a prompt: the first rows, and how many more there are."""
    names = list(checkpoint)
    lines = list(columns(rows(checkpoint, names, apart=False), right=RIGHT))
    more = [f"… and {len(lines) - MOST} more rows"] if len(lines) > MOST else []
    return "\n".join([head(checkpoint, names), *lines[:MOST], *more])


def html(checkpoint: Checkpoint) -> str:
    """The listing in a notebook."""
    names = list(checkpoint)
    listed = rows(checkpoint, names, apart=False)
    return html_table(head(checkpoint, names), HEAD, listed, RIGHT)


def totals(checkpoint: Checkpoint, names: list[str]) -> dict[str, Any]:
    """Parameters and bytes; tied tensors count once."""
    source = checkpoint.source
    specs = [source.specs[n] for n in names if n not in source.ties]
    dtypes: dict[str, int] = {}
    for spec in specs:
        dtypes[spec.dtype.name] = dtypes.get(spec.dtype.name, 0) + spec.nbytes
    return {
        "tensors": len(names),
        "parameters": sum(spec.size for spec in specs),
        "bytes": sum(spec.nbytes for spec in specs),
        "bytes_by_dtype": dtypes,
    }


def text(checkpoint: Checkpoint, names: list[str], apart: bool) -> Iterator[str]:
    """The listing in lines: a head, the tensors, ties, remarks, foreign metadata."""
    yield head(checkpoint, names)
    yield from columns(rows(checkpoint, names, apart), right=RIGHT)
    source = checkpoint.source
    for other, stored in ((n, source.ties[n]) for n in names if n in source.ties):
        yield f"  tied: {shown(other)} = {shown(stored)} (same bytes, counted once)"
    for remark in source.remarks:
        yield f"  remark: {shown(remark, 500)}"
    foreign = [key for key in source.metadata if not key.startswith("weightsurgeon.")]
    if foreign:
        yield f"  metadata: {', '.join(shown(key) for key in sorted(foreign))}"


def head(checkpoint: Checkpoint, names: list[str]) -> str:
    """Path, container, dialect and totals in a line."""
    source, total = checkpoint.source, totals(checkpoint, names)
    dialect = f"dialect {checkpoint.dialect or 'unknown'}"
    if checkpoint.dialect_ground in ("inferred", "stated"):
        dialect += f" ({checkpoint.dialect_ground})"
    bytes_, dtypes = total["bytes"], total["bytes_by_dtype"]
    shares = " ".join(f"{d} {100 * n / max(1, bytes_):.3g} %" for d, n in dtypes.items())
    return " · ".join(
        [
            f"{shown(checkpoint.path)}   {source.container}",
            dialect,
            f"{total['tensors']:,} tensors",
            f"{human_count(total['parameters'])} params",
            human_bytes(bytes_),
            shares or "no data",
        ]
    )


def rows(checkpoint: Checkpoint, names: list[str], apart: bool) -> list[tuple[str, ...]]:
    """Name, how many, shape, dtype, params, bytes, kind and role, axes, ground; alike joined."""
    specs, alike = checkpoint.source.specs, dict[Any, list[str]]()
    for name in names:
        m = checkpoint.meaning(name)
        alike.setdefault((specs[name], m.kind, m.role, m.axes, m.ground), []).append(name)
    place = {name: i for i, name in enumerate(names)}
    found = list[tuple[int, tuple[str, ...]]]()
    for key, members in alike.items():
        groups = [(shown(n), (n,)) for n in members] if apart else grouped(members)
        found += ((place[inside[0]], _row(label, len(inside), *key)) for label, inside in groups)
    return [row for _, row in sorted(found)]


def _row(
    label: str,
    count: int,
    spec: TensorSpec,
    kind: str | None,
    role: str | None,
    axes: Axes | None,
    ground: str,
) -> tuple[str, ...]:
    return (
        label,
        f"×{count}" if count > 1 else "",
        "×".join(map(str, spec.shape)) or "scalar",
        spec.dtype.name,
        human_count(count * spec.size),
        human_bytes(count * spec.nbytes),
        " ".join(word for word in (kind, role) if word),
        "" if axes is None else str(axes),
        "" if ground == "file" else ground,
    )
