"""weightsurgeon connections FILE --tensor NAME --unit U"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..errors import SurgeryError, shown

HELP = """The strongest inputs of a unit, or where it goes: norm over space, signed by the sum,
with its share, and always the tail: how many weights hold 50, 90 and 99 % of the norm."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `connections`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--tensor", required=True, metavar="NAME", help="the kernel")
    add("--unit", type=int, required=True, metavar="U", help="the unit")
    add("--from", dest="outgoing", action="store_true", help="the unit is an input: where it goes")
    add("--top", type=int, default=10, metavar="N", help="how many (10)")
    add("--axes", metavar="AXES", help="how the kernel lies, where the file does not tell it")


def run(args: Namespace) -> int:
    """Read one kernel, tell its connections."""
    from ..inspection.connections import Connections, connections
    from ..inspection.kernel import kernel_of
    from ..opening import open_checkpoint
    from ..table import columns
    from .shared import print_json
    from .terminal import show

    with open_checkpoint(args.file) as checkpoint:
        kernel = kernel_of(checkpoint, args.tensor, args.axes)
    side = 2 if args.outgoing else 3
    if not 0 <= args.unit < kernel.shape[side]:
        word = "inputs" if args.outgoing else "units"
        last = kernel.shape[side] - 1
        raise SurgeryError(f"{shown(args.tensor)} has {word} 0..{last}, not {args.unit}")
    found: Connections = connections(kernel, args.unit, args.top, args.outgoing)
    if args.json:
        print_json(_json(args, found))
        return 0
    arrow = "→" if args.outgoing else "←"
    rows = [("channel", "weight", "share")]
    rows += [(str(c.channel), f"{c.weight:+.4g}", f"{c.share:.2%}") for c in found.top]
    tail = ", ".join(f"{level:.0%} in {count:,}" for level, count in found.holding.items())
    show(
        [
            f"{shown(args.tensor)} unit {args.unit} {arrow} {found.count:,} channels",
            *columns(rows, right=(0, 1, 2)),
            f"shown: {found.share:.1%} of ‖w‖² · {tail}"
            f" · participation {found.participation:.3g} of {found.count:,}",
        ]
    )
    return 0


def _json(args: Namespace, found: Any) -> dict[str, Any]:
    return {
        "weightsurgeon_json": 1,
        "command": "connections",
        "inputs": [{"path": args.file}],
        "tensor": args.tensor,
        "unit": args.unit,
        "direction": "outgoing" if args.outgoing else "incoming",
        "top": [c.__dict__ for c in found.top],
        "count": found.count,
        "participation": found.participation,
        "holding": {str(k): v for k, v in found.holding.items()},
    }
