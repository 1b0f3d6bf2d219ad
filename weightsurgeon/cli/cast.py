"""weightsurgeon cast IN -o OUT --dtype bfloat16"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import planning
from .shared import carry_out

HELP = """Round the floats of the checkpoint IN to another float dtype, to nearest even. Integers
and what is not selected are copied as they are. A finite value that has no place in the dtype is an
error unless --overflow says what becomes of it; what becomes zero is counted."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `cast`."""
    add = parser.add_argument
    add("src", metavar="IN", help="a checkpoint")
    add("-o", "--out", required=True, metavar="OUT", help="the file to make; it may be IN")
    add("--dtype", required=True, metavar="D", help="as in bfloat16, float16, float8_e4m3fn")
    add("--select", action="append", metavar="GLOB", help="these tensors only; repeatable")
    add("--exclude", action="append", metavar="GLOB", help="not these; repeatable")
    add("--overflow", choices=("error", "inf", "clamp"), default="error",
        help="inf: as the rounding gives; clamp: the largest finite value")  # fmt: skip
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..surgery import plan_cast

    plan = plan_cast(args.src, args.out, args.dtype, args.select, args.exclude, args.overflow)
    return carry_out(plan, "cast", args)
