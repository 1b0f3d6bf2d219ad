"""weightsurgeon prune IN -o OUT"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from decimal import Decimal, InvalidOperation
from typing import Any

from ..errors import shown
from .parser import UsageError, planning
from .shared import carry_out

HELP = """Set the smallest weights to zero: exactly as many as asked for, ties in the order of names
and positions. Kernels, unless --include says otherwise."""


def number(text: str) -> Decimal:
    """A decimal number as it is written."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise UsageError(f"wants a number, not {shown(text)!r}") from None


def arguments(parser: ArgumentParser) -> None:
    """The words of `prune`."""
    add = parser.add_argument
    add("input", metavar="IN")
    add("-o", "--output", required=True, metavar="OUT")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--sparsity", type=number, metavar="S", help="this share of the weights")
    how.add_argument("--count", type=int, metavar="N", help="so many weights")
    how.add_argument("--keep", type=int, metavar="N", help="all but so many")
    how.add_argument("--below", type=number, metavar="X", help="all with a magnitude below X")
    how.add_argument("--nm", metavar="N:M", help="all but N in every M along --axis")
    how.add_argument("--schedule", metavar="FINAL:BEGIN:END[:POWER]",
        help="the share at --step N: from 0 at BEGIN to FINAL at END; power 3")  # fmt: skip
    how.add_argument("--apply-mask", metavar="M", help="what the masks in M do not keep")
    how.add_argument("--fold", action="store_true", help="fold the masks that a framework embedded")
    add("--axis", metavar="AXIS", help="the axis of --nm, as in --axis in")
    add("--scope", metavar="SCOPE", help="global (default), tensor, or axis=out: ranked in each")
    add("--step", type=int, metavar="N", help="the training step of --schedule and --random")
    add("--units", metavar="AXIS[:NORM]",
        help="whole entries of an axis, by a norm: l2 (default), l1, linf, mean, rms")  # fmt: skip
    add("--of", choices=["all", "remaining"], default="all",
        help="count zeros that are there (default), or only what remains")  # fmt: skip
    add("--include", action="append", default=[], metavar="GLOB", help="these tensors; repeatable")
    add("--exclude", action="append", default=[], metavar="GLOB", help="not these; repeatable")
    add("--nonfinite", choices=["error", "keep", "zero"], default="error",
        help="what to do about NaN and infinity (default: refuse)")  # fmt: skip
    add("--ragged", choices=["error", "keep"], default="error",
        help="what to do about a tail that fills no group")  # fmt: skip
    add("--random", type=int, metavar="SEED", help="random weights instead of the smallest")
    add("--scores", metavar="FILE", help="those with the lowest scores in FILE")
    add("--write-mask", metavar="FILE", help="write the masks too, packed into bits")
    planning(parser)


def run(args: Namespace) -> int:
    """Plan, write, report."""
    from ..planning import plan_step

    keys, aliases = keys_of(args), {"input": args.input}
    for alias, path in (("masks", args.apply_mask), ("scores", args.scores)):
        aliases |= {alias: path} if path else {}
    plan = plan_step("prune", keys, args.output, aliases, args.step)
    return carry_out(plan, "prune", args)


def schedule(text: str) -> dict[str, Any]:
    """A polynomial schedule as it is written: `0.9:0:10000`, `0.9:0:10000:2`."""
    final, *rest = text.split(":")
    if len(rest) not in (2, 3) or not all(x.isascii() and x.isdigit() for x in rest):
        raise UsageError(f"--schedule wants FINAL:BEGIN:END[:POWER], not {shown(text)!r}")
    keys = dict(zip(("begin", "end", "power"), map(int, rest), strict=False))
    return {"kind": "polynomial", "final": number(final), **keys}


def keys_of(args: Namespace) -> dict[str, Any]:
    """The keys of the step that the words stand for."""
    words = ("sparsity", "count", "keep", "below", "nm", "axis")
    amount = {word: value for word in words if (value := getattr(args, word)) is not None}
    keys: dict[str, Any] = {"from": "input", "of": args.of, "nonfinite": args.nonfinite}
    keys |= {"ragged": args.ragged, "exclude": args.exclude or None}
    keys |= {"amount": amount} if amount else {}
    keys |= {"select": args.include} if args.include else {}
    if args.schedule is not None:
        keys["schedule"] = schedule(args.schedule)
    if args.units is not None:
        axis, _, norm = args.units.partition(":")
        keys["granularity"] = {"axis": axis, **({"norm": norm} if norm else {})}
    if args.scope is not None:
        word, given, axis = args.scope.partition("=")
        keys["scope"] = {word: axis} if given else word
    if args.apply_mask or args.fold:
        keys["mask"] = {"apply": "masks" if args.apply_mask else "embedded"}
    elif args.write_mask:
        keys["mask"] = {"write": args.write_mask}
    if args.random is not None:
        keys["score"] = {"random": {"seed": args.random}}
    elif args.scores:
        keys["score"] = {"from": "scores"}
    return keys
