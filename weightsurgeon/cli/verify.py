"""weightsurgeon verify A B"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..errors import SurgeryError
from .parser import UsageError, numbers, sizes, sources
from .shared import print_json, problem, progress, size_of

if TYPE_CHECKING:
    from ..comparison import Verification
    from ..forward import Forward

HELP = """Compare B with A, seen through a mapping or as `port` would bring it: bit for bit. Exit
code 0: equal; 1: different, the worst tensors are listed first. With --forward A and B are
`module:callable`: the module is imported from the current folder and the callable called without
arguments, so your own code is run; the two live models it gives are run on one input, and if their
outputs differ, the first layers that part are named, with what explains it. With --nm, A alone:
whether its kernels have an N:M pattern along --axis, and which group breaks it first."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `verify`."""
    add = parser.add_argument
    text = "a checkpoint; ALIAS=PATH for each where the mapping has several sources; with --forward"
    add("a", nargs="+", metavar="A", help=f"{text} a module:callable that makes a live model")
    add("b", nargs="?", metavar="B", help="what it should be equal to; not with --nm")
    add("--mapping", metavar="M", help="how A is brought to B's names and layouts")
    text = "largest difference that counts as equal (default 0: the same bits; of outputs 1e-5)"
    add("--atol", type=difference, default=None, metavar="X", help=text)
    text = "run both models, which runs your code, and compare outputs"
    add("--forward", action="store_true", help=text)
    text = "their input as A takes it (default: random numbers of A's input shape)"
    add("--data", metavar="X.npz", help=text)
    text = "at most N values other than zero in every M neighbours along --axis"
    add("--nm", metavar="N:M", help=text)
    add("--axis", metavar="AXIS", help="the axis of --nm, as in --axis in")
    text = "these tensors, not all kernels; repeatable"
    add("--include", action="append", metavar="GLOB", help=f"with --nm: {text}")
    sizes(parser)


def difference(text: str) -> float:
    """A difference that can be allowed: a number from 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def run(args: Namespace) -> int:
    """Compare and tell."""
    if args.nm is not None:
        return pattern(args)
    if args.b is None and len(args.a) > 1:
        args.b = args.a.pop()  # which the many of A swallow
    if args.b is None:
        raise UsageError("verify wants A and B, or A with --nm and --axis")
    from ..api import verify

    known = numbers(args.sizes, "--set")
    found: Verification | Forward
    if args.forward:
        from .factory import made

        if len(args.a) > 1:
            raise UsageError("--forward: runs one model and one other: give A and B")
        a, b = made(args.a[0]), made(args.b)
        how = (args.mapping, args.atol, None, known)
        found = verify(a, b, *how, forward=True, data=args.data)
    elif args.data is not None:
        raise UsageError("--data: is the input of live models: say --forward as well")
    else:
        with progress(size_of(args.b)) as advance:
            found = verify(sources(args.a), args.b, args.mapping, args.atol, advance, known)
    if args.json:
        print_json(found.to_json())
    else:
        print(found)
    return 0 if found.equal else 1


def pattern(args: Namespace) -> int:
    """Whether the kernels of one checkpoint have an N:M pattern."""
    from ..errors import PlanError
    from ..planning import plan_run
    from ..reducing import run_reductions

    if args.b is not None or len(args.a) > 1 or args.axis is None or args.mapping is not None:
        raise UsageError("--nm looks at one checkpoint, along --axis")
    keys = {"from": "input", "nm": args.nm, "axis": args.axis}
    keys |= {"select": args.include} if args.include else {}
    output = {"from": "input", "path": "nowhere.safetensors"}  # which is never written
    steps = {"weightsurgeon": 1, "steps": [{"verify": keys}], "output": output}
    plan = plan_run(steps, aliases={"input": args.a[0]})
    broken = list[SurgeryError]()
    try:
        run_reductions(plan)
    except PlanError as error:
        broken = error.problems
        if any(getattr(e, "id", "") != "pattern" for e in broken):
            raise
    if args.json:
        names = [name for line in plan.lines for name in line.names]
        rows = [problem(error) for error in broken]
        found = {"equal": not broken, "tensors": names, "problems": rows}
        print_json({"weightsurgeon_json": 1, "command": "verify", **found})
    else:
        said = [str(error) for error in broken]
        said = said or [f"{line.text}: {len(line.names)} tensors" for line in plan.lines]
        print("\n".join(said))
    return 1 if broken else 0
