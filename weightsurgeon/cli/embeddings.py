"""weightsurgeon embeddings FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .shared import print_json

HELP = """An embedding, row by row: norms, rows of zeros, equal rows, rows that training never
touched (--init), and the nearest of a row by cosine (--row)."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `embeddings`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--tensor", metavar="NAME", help="the embedding, where the file has several or knows none")
    add("--row", action="append", default=[], metavar="R",
        help="a row, by number or name, whose nearest are asked for; repeatable")  # fmt: skip
    add("--top", type=int, default=5, metavar="N", help="how many of the nearest (5)")
    add("--names", metavar="FILE", help="the vocabulary: names of the rows, one a line")
    add("--init", metavar="CKPT", help="what training began with: tells what it never touched")


def run(args: Namespace) -> int:
    """Look, tell."""
    from ..inspection.embeddings import embeddings
    from .coef import lines
    from .terminal import show, width

    names = [] if args.names is None else lines(args.names)
    found = embeddings(args.file, args.tensor, args.row, args.top, names, args.init)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width()))
    return 0
