"""weightsurgeon expand FILE A:B [--unit U] [-o OUT.png]"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import shown

HELP = """The expanded weights from the input of layer A to the output of layer B: their kernels
multiplied through the graph, what is not linear on the way dropped and named. Net weights stand
beside gross ones, because signs cancel."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `expand`."""
    add = parser.add_argument
    add("file", help="a checkpoint that tells its graph: .keras, a whole-model .h5")
    add("layers", metavar="A:B", help="two layers, the second behind the first")
    add("--unit", dest="units", type=int, action="append", metavar="U",
        help="only this output unit; repeatable")  # fmt: skip
    add("--top", type=int, default=8, metavar="N", help="input maps to draw for each unit (8)")
    add("--zoom", type=int, default=8, metavar="N", help="pixels a weight (8)")
    add("-o", dest="output", metavar="OUT", help="draw the net kernel: a .png or a .svg")


def run(args: Namespace) -> int:
    """Multiply, tell, draw."""
    from ..formats.commit import demand_suffix
    from ..inspection.expansion import expand
    from ..inspection.filters import small_multiples
    from ..opening import open_checkpoint
    from .parser import UsageError
    from .shared import PICTURES, print_json, write_picture
    from .terminal import show

    start, colon, end = args.layers.partition(":")
    if not (start and colon and end):
        raise UsageError(f"expand wants two layers, as in conv1:conv2, not {shown(args.layers)!r}")
    if args.output:
        demand_suffix(args.output, "a picture", PICTURES)
    with open_checkpoint(args.file) as checkpoint:
        found = expand(checkpoint, start, end, args.units)
    if args.output:
        title = f"{shown(start)} → {shown(end)}"
        drawing = small_multiples(found.cancellation.net, title, top=args.top, zoom=args.zoom)
        write_picture(args.output, drawing)
    if args.json:
        print_json(found.to_json() | {"inputs": [{"path": args.file}]})
    else:
        show(list(found.text()))
    return 0
