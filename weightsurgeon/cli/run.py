"""weightsurgeon run PLAN.yaml"""

from __future__ import annotations

import click

from .shared import as_json, planning, print_json, progress


@click.command(short_help="run a plan: sources, steps, output, from a YAML file")
@click.argument("plan_file", metavar="PLAN.yaml")
@click.option("--all", "everything", is_flag=True, help="Show every name of a list.")
@planning
@as_json
def command(plan_file: str, everything: bool, dry_run: bool, explain: bool, json_: bool) -> None:
    """Run the plan in a YAML file: sources, steps that each name a new state, one output.

    Paths in the plan are relative to its file.
    """
    from ..api import plan_run, write
    from ..outcome import report

    plan = plan_run(plan_file)
    if explain and not json_:
        print("\n".join(plan.explain()))
    if not dry_run:
        with progress(plan.nbytes) as advance:
            write(plan, advance)
    result = report(plan, "run", written=not dry_run)
    if json_:
        print_json(result.to_json() | ({"plan": plan.to_json()} if explain else {}))
    else:
        print("\n".join(result.text(everything)))
