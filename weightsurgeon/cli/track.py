"""weightsurgeon track C1 C2 …"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import choosing
from .shared import print_json

HELP = """How norms move over a series of checkpoints: what stands still, grows, or is no number
any more."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `track`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="checkpoints in their order")
    choosing(parser)


def run(args: Namespace) -> int:
    """Look, tell."""
    from ..inspection.track import track
    from .terminal import show, width

    found = track(args.files, args.select, args.exclude)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width()))
    return 0
