"""weightsurgeon report FILE -o OUT.html"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import shown
from .shared import print_json, progress, size_of

HELP = """One self-contained HTML file about a checkpoint: findings, every tensor with its
statistics and histogram, pictures of kernels, and what differs from another file."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `report`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--against", metavar="FILE", help="another one, to tell what differs")
    add("-o", dest="output", required=True, metavar="OUT", help="a .html or .htm")


def run(args: Namespace) -> int:
    """Measure, write, tell."""
    from ..inspection.report import report
    from ..table import human_bytes

    with progress(size_of(args.file)) as advance:
        page = report(args.file, args.against, args.output, advance)
    if args.json:
        print_json(page.to_json() | {"output": {"path": args.output}})
    else:
        size = human_bytes(len(page.html.encode()))
        print(f"{page.data['totals']['tensors']:,} tensors · {size} → {shown(args.output)}")
    return 0
