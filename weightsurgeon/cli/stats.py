"""weightsurgeon stats FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import choosing, everything
from .shared import print_json, progress, size_of

HELP = """What the values of a checkpoint are like, in one pass: moments, quantiles, norms, zeros,
NaN and Inf, the histogram of log2|w|. Statistics are of the finite values; others are counted."""
TOP = 60  # rows on a terminal; elsewhere all


def arguments(parser: ArgumentParser) -> None:
    """The words of `stats`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    choosing(parser)
    add("--per", metavar="AXIS", help="norms along an axis too, by name or number (in --json)")
    add("--split", metavar="AXIS", help="tell the entries of an axis apart: g for gates, head")
    add("--threshold-for", metavar="S", help="the |w| that prunes this share of all, as in 0.5")
    add("--exact", action="store_true", help="exact quantiles, at the price of more passes")
    add("--spectral", action="store_true",
        help="the largest singular value and the stable rank of matrices and kernels")  # fmt: skip
    add("--sort", default="file", help="file (default), name, size, max, std, l2, zeros or bad")
    add("--top", type=int, metavar="N", help="only the first N rows")
    everything(parser)


def run(args: Namespace) -> int:
    """Read, tell."""
    from ..inspection.measuring import stats
    from ..inspection.statistics import SORTS
    from .parser import UsageError
    from .terminal import show, width

    if args.sort not in SORTS:
        raise UsageError(f"--sort wants one of {', '.join(SORTS)}, not {args.sort!r}")
    with progress(size_of(args.file)) as advance:
        found = stats(
            args.file, args.select, args.exclude, args.per, args.split,
            args.threshold_for, args.exact, advance, spectral=args.spectral,
        )  # fmt: skip
    if args.json:
        print_json(found.to_json())
        return 0
    top = None if args.everything else args.top or (TOP if width() else None)
    show([found.title, *found.text(width(), args.sort, top)])
    return 0
