"""weightsurgeon verify A B"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import numbers, sizes, sources
from .shared import print_json, progress

HELP = """Compare B with A, seen through a mapping or as `port` would bring it: bit for bit. Exit
code 0: equal; 1: different, the worst tensors are listed first."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `verify`."""
    text = "a checkpoint; ALIAS=PATH for each where the mapping has several sources"
    parser.add_argument("a", nargs="+", metavar="A", help=text)
    parser.add_argument("b", metavar="B", help="what it should be equal to")
    parser.add_argument("--mapping", metavar="M", help="how A is brought to B's names and layouts")
    text = "largest difference that counts as equal (default 0: the same bits)"
    parser.add_argument("--atol", type=difference, default=0.0, metavar="X", help=text)
    sizes(parser)


def difference(text: str) -> float:
    """A difference that can be allowed: a number from 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def run(args: Namespace) -> int:
    """Compare and tell."""
    from pathlib import Path

    from ..api import verify

    total = Path(args.b).stat().st_size if Path(args.b).is_file() else 0
    known = numbers(args.sizes, "--set")
    with progress(total) as advance:
        found = verify(sources(args.a), args.b, args.mapping, args.atol, advance, known)
    if args.json:
        print_json(found.to_json())
    else:
        print(found)
    return 0 if found.equal else 1
