"""weightsurgeon match A B"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .shared import print_json

HELP = """Which tensors of B may be those of A, whatever they are called: by the same bits, by
slices in another order, by units that point the same way. Nothing is bound by it."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `match`."""
    parser.add_argument("a", help="a checkpoint")
    parser.add_argument("b", help="another")


def run(args: Namespace) -> int:
    """Look, tell."""
    from ..inspection.match import match
    from .terminal import show, width

    found = match(args.a, args.b)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width()))
    return 0
