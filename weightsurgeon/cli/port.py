"""weightsurgeon port SRC DST"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import UsageError, numbers, planning, sizes, sources
from .shared import carry_out

HELP = """Bring the checkpoint SRC to DST: another naming, layout, container. The suffix of DST says
the container: .safetensors .pt .pth .bin .keras .weights.h5 .h5. Without a mapping, layers keep
their names and get the target's leaf names and layouts. Everything that can go wrong is found from
the headers, before a byte is written, and told at once."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `port`."""
    add = parser.add_argument
    text = "a checkpoint; ALIAS=PATH for each where the mapping has several sources"
    add("src", nargs="+", metavar="SRC", help=text)
    add("dst", metavar="DST", help="the file to make; it may be SRC")
    add("--mapping", metavar="M", help="a mapping: a YAML file, or the name of a shipped one")
    add("--template", metavar="T", help="take the target's structure from T; no values")
    add(
        "--into",
        metavar="BASE",
        help="as --template, and keep BASE's values where no rule makes any",
    )
    add("--to", metavar="DIALECT", choices=("keras", "torch", "onnx", "flax", "tf"),
        help="keras, torch, onnx, flax or tf, where the suffix of DST does not say")  # fmt: skip
    add("--policy", action="append", default=[], metavar="P",
        help="strict, transfer, audit, or id=action; repeatable")  # fmt: skip
    add("--dequantise", action="store_true",
        help="decode the int8 and int4 layers of Keras")  # fmt: skip
    add("--again", action="store_true", help="apply a mapping to a file that it made")
    text = "go on though the mapping has doubts left under `review` (else exit code 3)"
    add("--accept", action="store_true", help=text)
    sizes(parser)
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..mapping import policy
    from ..planning import plan_port

    try:
        actions = policy.read(args.policy)
    except ValueError as error:
        raise UsageError(f"--policy: {error}") from error
    known = numbers(args.sizes, "--set")
    plan = plan_port(
        sources(args.src), args.dst, args.mapping, args.template, args.into, actions, args.to,
        known, args.again, args.dequantise, args.accept,
    )  # fmt: skip
    return carry_out(plan, "port", args)
