"""weightsurgeon merge METHOD INPUT=WEIGHT … -o OUT"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..errors import shown
from .parser import UsageError, decimal, planning
from .shared import carry_out

HELP = """Merge checkpoints of the same names: linear (the sum of weight·x), average, task (base +
the sum of weight·(x - base)), ties (the largest differences, where their signs agree), dare (task
vectors thinned out at random), slerp (two inputs, --t), lora (adapters into their --base).
Rules and ramps over layers are for plans (weightsurgeon run)."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `merge`."""
    add = parser.add_argument
    add("method", choices=("linear", "average", "task", "ties", "dare", "slerp", "lora"))
    add("inputs", nargs="+", metavar="INPUT[=WEIGHT]", help="checkpoints; the weight is 1 if none")
    add("-o", "--out", required=True, metavar="OUT", help="the file to make")
    add("--base", metavar="BASE", help="the checkpoint from which differences are taken")
    add("--normalize", action="store_true", help="divide by the sum of the weights")
    add("--scale", metavar="S", help="of the sum of differences")
    add("--density", metavar="D", help="ties, dare: the share of differences that is kept")
    add("--seed", metavar="N", help="dare: which ones are kept")
    add("--elect", action="store_true", help="dare: only differences of the elected sign")
    add("--t", metavar="T", help="slerp: from 0, the first input, to 1")
    add("--match", choices=("strict", "intersection"),
        help="names that an input lacks are refused, or skipped and listed")  # fmt: skip
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..surgery import plan_merge

    how = {k: decimal(getattr(args, k), k) for k in ("scale", "density", "seed", "t")}
    how |= {"elect": True} if args.elect else {}
    keys = {"normalize": args.normalize or None, "match": args.match}
    inputs = [_weighed(words) for words in args.inputs]
    plan = plan_merge(args.method, inputs, args.out, args.base, how=how, **keys)
    return carry_out(plan, "merge", args)


def _weighed(words: str) -> tuple[str, Any]:
    """A path and its weight: what stands behind the last `=`."""
    path, given, weight = words.rpartition("=")
    if not given:
        return words, None
    try:
        return path, decimal(weight, "weight")
    except UsageError:
        text = f"merge: {shown(words)}: behind the last = stands the weight, a number"
        raise UsageError(f"{text}; a name with = in it wants one too, as in a=b.pt=1") from None
