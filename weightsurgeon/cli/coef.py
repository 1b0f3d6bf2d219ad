"""weightsurgeon coef FILE --layer L"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import UsageError, everything
from .shared import print_json

HELP = """The weights of a Dense layer by the names of its features; of a stack without
non-linearities (--to) as if it were one layer; un-standardised by --scaler."""
TOP = 40


def arguments(parser: ArgumentParser) -> None:
    """The words of `coef`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--layer", required=True, metavar="L", help="a Dense layer")
    add("--to", metavar="L", help="the last layer of a linear stack that begins with --layer")
    add("--features", metavar="FILE", help="names of the features, one a line")
    add("--scaler", metavar="FILE", help="mean,scale of each feature, one a line")
    add("--csv", action="store_true", help="print CSV: feature, unit, weight")
    everything(parser)


def run(args: Namespace) -> int:
    """Read, tell."""
    from ..inspection.coefficients import coef
    from .terminal import show, width

    names = None if args.features is None else lines(args.features)
    scaler = None if args.scaler is None else [_pair(line) for line in lines(args.scaler)]
    found = coef(args.file, args.layer, args.to, names, scaler)
    if args.json:
        print_json(found.to_json())
    elif args.csv:
        show(found.csv())
    else:
        show(found.text(width(), None if args.everything else TOP))
    return 0


def lines(path: str) -> list[str]:
    """The lines of a text that are not blank."""
    from pathlib import Path

    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no text in UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _pair(line: str) -> tuple[float, float]:
    try:
        mean, scale = (float(word) for word in line.split(","))
    except ValueError:
        raise UsageError(f"--scaler wants mean,scale in every line, not {line[:80]!r}") from None
    return mean, scale
