"""weightsurgeon doctor FILE"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .parser import UsageError, everything
from .shared import print_json, progress, size_of

HELP = """Examine the weights: NaN, exploding or vanishing gain, dead, unused and duplicate units,
what was never trained, rank, outliers, what overflows in another dtype. Exit code 1 when a finding
reaches --fail-on."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `doctor`."""
    add = parser.add_argument
    add("file", help="a checkpoint")
    add("--target", metavar="DTYPE", help="would its values fit float16, bfloat16, float8_…?")
    add("--init", metavar="CKPT", help="what training began with: tells what did not move")
    add("--input-range", metavar="LO,HI", help="what the first layer is fed with, as in 0,1")
    add("--rules", metavar="FILE", help="YAML: `W050: {ratio: 30}` or `W050: off`")
    add("--fail-on", default="error", metavar="SEVERITY", help="error (default), warning or info")
    everything(parser)


def run(args: Namespace) -> int:
    """Examine, tell."""
    from ..inspection.doctor import doctor
    from ..inspection.health import SEVERITIES
    from .terminal import show, width

    if args.fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on wants one of {', '.join(SEVERITIES)}, not {args.fail_on!r}")
    span = _range(args.input_range)
    with progress(size_of(args.file)) as advance:
        found = doctor(args.file, args.target, args.init, span, args.rules, progress=advance)
    if args.json:
        print_json(found.to_json())
    else:
        show(found.text(width(), args.everything))
    return int(found.worst(args.fail_on))


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not float("-inf") < low <= high < float("inf"):
        raise UsageError(f"--input-range wants LO,HI as in 0,1, not {text!r}")
    return low, high
