"""weightsurgeon reshard IN -o OUT --shard-size 5GB"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import planning
from .shared import carry_out

HELP = """Divide the checkpoint IN into safetensors files of at most --shard-size with an index, or
join it into one (none). OUT is a folder (DIR/ makes it; the files are called model…) or the name of
the file or index. The set appears in one moment, with its index; what it replaces goes after that.
Tensors are copied as they are."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `reshard`."""
    add = parser.add_argument
    add("src", metavar="IN", help="a checkpoint: a file, an index of shards, or a folder")
    add("-o", "--out", required=True, metavar="OUT", help="a folder, a file or an index; may be IN")
    add("--shard-size", required=True, metavar="SIZE", help="as in 5GB or 500MiB, or none")
    add("--ties", choices=("store", "repeat"), default="store",
        help="repeat: write tied tensors under each of their names")  # fmt: skip
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..surgery import plan_reshard

    size = args.shard_size
    plan = plan_reshard(args.src, args.out, int(size) if size.isdecimal() else size, args.ties)
    return carry_out(plan, "reshard", args)
