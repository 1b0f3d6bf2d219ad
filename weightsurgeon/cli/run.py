"""weightsurgeon run PLAN.yaml"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import planning
from .shared import carry_out

HELP = """Run the plan in a YAML file: sources, steps that each name a new state, one output. Paths
in the plan are relative to its file."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `run`."""
    parser.add_argument("plan", metavar="PLAN.yaml")
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..planning import plan_run

    return carry_out(plan_run(args.plan), "run", args)
