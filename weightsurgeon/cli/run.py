"""weightsurgeon run PLAN.yaml"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..errors import shown
from .parser import UsageError, planning
from .shared import carry_out

HELP = """Run the plan in a YAML file: sources, steps that each name a new state, one output. Paths
in the plan are relative to its file."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `run`."""
    parser.add_argument("plan", metavar="PLAN.yaml")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="a key of a step, as in tau=0.01 or smoothed.tau=0.01; repeatable")  # fmt: skip
    parser.add_argument("--step", type=int, metavar="N",
        help="the number of the training step, for schedules and random numbers")  # fmt: skip
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..planning import plan_run

    settings = dict(_setting(words) for words in args.settings)
    return carry_out(plan_run(args.plan, args.step, settings), "run", args)


def _setting(words: str) -> tuple[str, Any]:
    """A key and a value, which is read as YAML."""
    from ..mapping.yaml_data import load

    key, given, value = words.partition("=")
    if not (key and given):
        raise UsageError(f"--set wants KEY=VALUE, as in tau=0.01, not {shown(words)!r}")
    return key, load(value, f"--set {key}").value
