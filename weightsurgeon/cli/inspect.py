"""weightsurgeon inspect FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .parser import UsageError, everything, numbers
from .shared import print_json

if TYPE_CHECKING:
    from ..formats.base import Checkpoint
    from ..spec import Axes, TensorSpec


HELP = (
    """Show what a checkpoint holds, from its headers: no value is read, no framework imported."""
)


def arguments(parser: ArgumentParser) -> None:
    """The words of `inspect`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--select", action="append", default=[], metavar="GLOB",
        help="only tensors whose whole name fits; repeatable")  # fmt: skip
    add("--exclude", action="append", default=[], metavar="GLOB",
        help="not those whose whole name fits; repeatable")  # fmt: skip
    add("--limit", action="append", default=[], metavar="NAME=N",
        help="raise a limit on what a file may ask for; repeatable")  # fmt: skip
    everything(parser)


def run(args: Namespace) -> int:
    """Open, group, print."""
    from ..formats.base import Limits
    from ..opening import open_checkpoint

    limits = Limits()
    for name, value in numbers(args.limit, "--limit").items():
        try:
            limits = limits.with_(name, value)
        except KeyError:
            raise UsageError(f"--limit: there is no limit {name!r}") from None
    with open_checkpoint(args.file, limits=limits) as checkpoint:
        names = _selected(checkpoint, args.select, args.exclude)
        if args.json:
            print_json(_data(checkpoint, names))
        else:
            print("\n".join(_text(checkpoint, names, args.everything)))
    return 0


def _selected(checkpoint: Checkpoint, select: list[str], exclude: list[str]) -> list[str]:
    if not select and not exclude:
        return list(checkpoint)
    from ..errors import shown
    from ..mapping.select import glob

    for pattern in (*select, *exclude):
        if not any(glob(pattern, name) for name in checkpoint):
            raise UsageError(f"{shown(checkpoint.path)}: no tensor fits {shown(pattern)!r}")
    return [
        name
        for name in checkpoint
        if (not select or any(glob(g, name) for g in select))
        and not any(glob(g, name) for g in exclude)
    ]


def _data(checkpoint: Checkpoint, names: list[str]) -> dict[str, Any]:
    source = checkpoint.source
    tensors = []
    for name in names:
        spec, meaning = source.specs[name], checkpoint.meaning(name)
        tensors.append(
            {
                "name": name,
                "shape": list(spec.shape),
                "dtype": spec.dtype.name,
                "axes": str(meaning.axes) if meaning.axes is not None else None,
                "role": meaning.role,
                "kind": meaning.kind,
                "ground": meaning.ground or None,
                "tied_to": source.ties.get(name),
            }
        )
    head = {
        "path": checkpoint.path,
        "format": source.container,
        "dialect": checkpoint.dialect,
        "dialect_ground": checkpoint.dialect_ground or None,
    }
    return {
        "weightsurgeon_json": 1,
        "command": "inspect",
        "inputs": [head],
        "tensors": tensors,
        "totals": _totals(checkpoint, names),
        "metadata": sorted(source.metadata),
        "remarks": source.remarks,
    }


def _totals(checkpoint: Checkpoint, names: list[str]) -> dict[str, Any]:
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


def _text(checkpoint: Checkpoint, names: list[str], apart: bool) -> Iterator[str]:
    from ..errors import shown
    from ..table import columns, human_bytes, human_count

    source, totals = checkpoint.source, _totals(checkpoint, names)
    dialect = f"dialect {checkpoint.dialect or 'unknown'}"
    if checkpoint.dialect_ground in ("inferred", "stated"):
        dialect += f" ({checkpoint.dialect_ground})"
    bytes_, dtypes = totals["bytes"], totals["bytes_by_dtype"]
    shares = " ".join(f"{d} {100 * n / max(1, bytes_):.3g} %" for d, n in dtypes.items())
    yield " · ".join(
        [
            f"{shown(checkpoint.path)}   {source.container}",
            dialect,
            f"{totals['tensors']:,} tensors",
            f"{human_count(totals['parameters'])} params",
            human_bytes(bytes_),
            shares or "no data",
        ]
    )
    yield from columns(_rows(checkpoint, names, apart), right=(2, 4, 5))
    for other, stored in ((n, source.ties[n]) for n in names if n in source.ties):
        yield f"  tied: {shown(other)} = {shown(stored)} (same bytes, counted once)"
    for remark in source.remarks:
        yield f"  remark: {shown(remark, 500)}"
    foreign = [key for key in source.metadata if not key.startswith("weightsurgeon.")]
    if foreign:
        yield f"  metadata: {', '.join(shown(key) for key in sorted(foreign))}"


def _rows(checkpoint: Checkpoint, names: list[str], apart: bool) -> list[tuple[str, ...]]:
    """Name, how many, shape, dtype, params, bytes, kind and role, axes, ground; alike joined."""
    from ..errors import shown
    from ..grouping import grouped

    specs, alike = checkpoint.source.specs, dict[Any, list[str]]()
    for name in names:
        m = checkpoint.meaning(name)
        alike.setdefault((specs[name], m.kind, m.role, m.axes, m.ground), []).append(name)
    place = {name: i for i, name in enumerate(names)}
    rows = list[tuple[int, tuple[str, ...]]]()
    for key, members in alike.items():
        groups = [(shown(n), (n,)) for n in members] if apart else grouped(members)
        rows += ((place[inside[0]], _row(label, len(inside), *key)) for label, inside in groups)
    return [row for _, row in sorted(rows)]


def _row(
    label: str,
    count: int,
    spec: TensorSpec,
    kind: str | None,
    role: str | None,
    axes: Axes | None,
    ground: str,
) -> tuple[str, ...]:
    from ..table import human_bytes, human_count

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
