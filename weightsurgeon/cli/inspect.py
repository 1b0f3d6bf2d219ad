"""weightsurgeon inspect FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from .parser import UsageError, everything, numbers
from .shared import print_json

if TYPE_CHECKING:
    from ..formats.base import Checkpoint


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
    from ..formats.listing import text
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
            print("\n".join(text(checkpoint, names, args.everything)))
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
    from ..formats.listing import totals

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
        "totals": totals(checkpoint, names),
        "metadata": sorted(source.metadata),
        "remarks": source.remarks,
    }
