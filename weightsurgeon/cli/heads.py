"""weightsurgeon heads FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .shared import print_json

HELP = """What the outputs of a model share and what belongs to one of them, from the saved graph;
how alike the heads read what they share."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `heads`."""
    parser.add_argument("file", help="a Keras file")


def run(args: Namespace) -> int:
    """Look, tell."""
    from ..inspection.heads import heads
    from .terminal import show, width

    found = heads(args.file)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width()))
    return 0
