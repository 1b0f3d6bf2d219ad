"""weightsurgeon diff A B"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import choosing, everything, numbers, sizes
from .shared import print_json, progress, size_of
from .verify import difference

HELP = """Compare two checkpoints value by value and say, where they differ, what B is of A:
transposed, rounded, permuted, scaled, soft-updated, changed. Keras and torch compare directly.
Exit code 0: every tensor is identical or equal; 1: some differ."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `diff`."""
    add = parser.add_argument
    add("a", help="a checkpoint")
    add("b", help="the one it is compared with")
    add("--mapping", metavar="M", help="how A is brought to B's names and layouts")
    add("--toward", metavar="ONLINE", help="was A moved towards this one to become B? by which τ")
    add("--atol", type=difference, default=0.0, metavar="X",
        help="largest |Δ| that counts as equal (default 0)")  # fmt: skip
    add("--assert", dest="allowed", default="", metavar="CLASS,…",
        help="classes that count as equal too, as in transposed,dtype-rounded")  # fmt: skip
    choosing(parser)
    sizes(parser)
    everything(parser)


def run(args: Namespace) -> int:
    """Compare, tell."""
    from ..inspection.diff import diff
    from .terminal import show, width

    allowed = [word.strip() for word in args.allowed.split(",") if word.strip()]
    known = numbers(args.sizes, "--set")
    with progress(size_of(args.b)) as advance:
        found = diff(
            args.a, args.b, args.mapping, args.toward, args.atol, allowed,
            args.select, args.exclude, known, advance,
        )  # fmt: skip
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width(), args.everything))
    return 0 if found.equal else 1
