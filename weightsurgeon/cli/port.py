"""weightsurgeon port SRC DST"""

from __future__ import annotations

import click

from .shared import as_json, planning, print_json, progress, read_sizes, sizes


@click.command(short_help="bring a checkpoint to another naming, layout and container")
@click.argument("src")
@click.argument("dst")
@click.option("--mapping", metavar="M", help="A mapping: a YAML file, or the name of a shipped one.")
@click.option("--template", metavar="T", help="Take the target's structure from T; no values.")
@click.option("--into", metavar="BASE", help="As --template, and keep BASE's values where no rule makes any.")
@click.option("--to", metavar="DIALECT", help="keras, torch, onnx, flax or tf; where the suffix does not say.")
@click.option("--policy", multiple=True, metavar="P", help="strict, transfer, audit, or id=action; repeatable.")
@click.option("--again", is_flag=True, help="Apply a mapping to a file that it made.")
@click.option("--all", "everything", is_flag=True, help="Show every name of a list.")
@sizes
@planning
@as_json
def command(
    src: str,
    dst: str,
    mapping: str | None,
    template: str | None,
    into: str | None,
    to: str | None,
    policy: tuple[str, ...],
    again: bool,
    everything: bool,
    sizes: tuple[str, ...],
    dry_run: bool,
    explain: bool,
    json_: bool,
) -> None:
    """Bring the checkpoint SRC to DST: another naming, layout, container.

    The suffix of DST says the container: .safetensors, .pt, .keras, .weights.h5, .h5. Without a
    mapping, layers keep their names and get the target's leaf names and layouts. Everything that
    can go wrong is found from the headers, before a byte is written, and told at once.
    """
    from ..api import plan_port, write
    from ..errors import SurgeryError
    from ..outcome import report

    try:
        plan = plan_port(
            src, dst, mapping, template, into, policy, to, read_sizes(sizes), again
        )
    except ValueError as error:  # a word of --policy
        raise click.UsageError(str(error)) from error
    except SurgeryError:
        raise
    if explain and not json_:
        print("\n".join(plan.explain()))
    if not dry_run:
        with progress(plan.nbytes) as advance:
            write(plan, advance)
    result = report(plan, "port", written=not dry_run)
    if json_:
        print_json(result.to_json() | ({"plan": plan.to_json()} if explain else {}))
    else:
        print("\n".join(result.text(everything)))
