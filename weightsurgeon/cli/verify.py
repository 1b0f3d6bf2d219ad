"""weightsurgeon verify A B"""

from __future__ import annotations

import click

from . import DIFFERENT, OK
from .shared import as_json, print_json, progress, read_sizes, sizes


@click.command(short_help="compare the values of two checkpoints, through a mapping")
@click.argument("a")
@click.argument("b")
@click.option("--mapping", metavar="M", help="How A is brought to B's names and layouts.")
@click.option("--atol", type=float, default=0.0, help="Largest difference that counts as equal.")
@sizes
@as_json
def command(
    a: str, b: str, mapping: str | None, atol: float, sizes: tuple[str, ...], json_: bool
) -> int:
    """Compare B with A, seen through a mapping or as `port` would bring it: bit for bit.

    Exit code 0: equal; 1: different, the worst tensors are listed.
    """
    import os

    from ..api import verify

    total = os.path.getsize(b) if os.path.isfile(b) else 0
    with progress(total) as advance:
        found = verify(a, b, mapping, atol, advance, read_sizes(sizes))
    if json_:
        print_json(found.to_json())
    else:
        print(found)
    return OK if found.equal else DIFFERENT
