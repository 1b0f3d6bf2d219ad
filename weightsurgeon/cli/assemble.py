"""weightsurgeon assemble -o OUT --part PREFIX=FILE …"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import shown
from .parser import UsageError, planning
from .shared import carry_out

HELP = """Make one checkpoint of several: every tensor of each part, its name behind the part's
prefix. Names that meet are refused, and so are parts of several dialects unless --to brings them to
one. To choose, rename, join, stack or cut, write a plan (weightsurgeon run)."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `assemble`."""
    add = parser.add_argument
    add("-o", "--out", required=True, metavar="OUT", help="the file to make")
    add("--part", action="append", default=[], required=True, metavar="PREFIX=FILE",
        help="a part, as in vision.=a.keras; the prefix may be empty; repeatable")  # fmt: skip
    add("--tie", action="append", default=[], metavar="OTHER=NAME",
        help="OTHER is one more name of NAME; repeatable")  # fmt: skip
    add("--to", metavar="DIALECT", choices=("keras", "torch", "onnx", "flax", "tf"),
        help="bring every part to keras, torch, onnx, flax or tf")  # fmt: skip
    add("--conflicts", choices=("error", "first", "last"), default="error",
        help="which part wins a name that two have; the default refuses")  # fmt: skip
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..surgery import plan_assemble

    parts, ties = _pairs(args.part, "--part"), _pairs(args.tie, "--tie")
    plan = plan_assemble(parts, args.out, ties, args.to, args.conflicts)
    return carry_out(plan, "assemble", args)


def _pairs(words: list[str], option: str) -> dict[str, str]:
    """Names and values from words such as `vision.=a.keras`; the first `=` divides."""
    found = dict[str, str]()
    for word in words:
        name, given, value = word.partition("=")
        if not given or not value:
            raise UsageError(f"{option} wants NAME=VALUE, not {shown(word)!r}")
        if name in found:
            raise UsageError(f"{option}: {shown(name)!r} stands twice")
        found[name] = value
    return found
