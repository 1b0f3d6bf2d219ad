"""weightsurgeon branches FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import shown
from .parser import UsageError, numbers
from .shared import print_json

HELP = """Which rows of the layer behind a concatenation belong to which branch, and which share of
it each has. The graph of a Keras file tells; for other files declare it with --concat."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `branches`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--concat", action="append", default=[], metavar="LAYER=A:N,B:N",
        help="what a layer reads, in order, as in out=num:64,cat:64; repeatable")  # fmt: skip
    add("--input-scale", type=float, default=1.0, metavar="S",
        help="RMS of the model's inputs (default 1)")  # fmt: skip


def run(args: Namespace) -> int:
    """Look, tell."""
    from ..inspection.branches import branches
    from .terminal import show, width

    declared = dict(_declared(text) for text in args.concat)
    found = branches(args.file, declared, args.input_scale)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width()))
    return 0


def _declared(text: str) -> tuple[str, dict[str, int]]:
    layer, _, words = text.partition("=")
    try:
        parts = numbers([w.replace(":", "=") for w in words.split(",")], "--concat")
    except UsageError:
        parts = {}
    if not layer or not parts:
        wants = "--concat wants LAYER=A:N,B:N, as in out=num:64,cat:64"
        raise UsageError(f"{wants}, not {shown(text)!r}")
    return layer, parts
