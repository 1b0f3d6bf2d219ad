"""weightsurgeon soft-update ONLINE TARGET"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import UsageError, decimal, planning
from .shared import carry_out

HELP = """Move the tensors of TARGET towards those of ONLINE: target + tau·(online - target).
Parameters move, running statistics and counters are copied, random states are kept; a plan
(weightsurgeon run) can say otherwise. Without -o, TARGET is replaced."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `soft-update`."""
    add = parser.add_argument
    add("online", help="a checkpoint")
    add("target", help="a checkpoint with the same names and shapes")
    add("-o", "--out", metavar="OUT", help="the file to make")
    add("--tau", metavar="T", help="the fraction of the way, from 0 to 1")
    add("--decay", metavar="D", help="1 - tau")
    add("--average", metavar="K", help="as the mean of K states so far and this one")
    add("--steps", metavar="N", help="N updates at once against this ONLINE")
    add("--storage", choices=("keep", "float32"), help="the dtype of what moved")
    add("--seed", metavar="N", help="round up or down at random, with --step")
    add("--step", type=int, metavar="N", help="the number of the update, for random numbers")
    add("--match", choices=("strict", "intersection"),
        help="names on one side only are refused, or skipped and listed")  # fmt: skip
    add("--mapping", metavar="M", help="a mapping that brings ONLINE into TARGET's layout")
    add("--nonfinite", choices=("error", "propagate"), help="NaN and Inf are refused, or computed")
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..surgery import plan_soft_update

    keys = {key: getattr(args, key) for key in ("storage", "match", "mapping", "nonfinite")}
    keys |= {k: decimal(getattr(args, k), k) for k in ("tau", "decay", "average", "steps")}
    if args.seed is not None:
        if args.storage:
            raise UsageError("--seed rounds at random into the target's dtype: leave out --storage")
        keys["storage"] = {"stochastic": {"seed": decimal(args.seed, "seed")}}
    plan = plan_soft_update(args.online, args.target, args.out, args.step, **keys)
    return carry_out(plan, "soft-update", args)
