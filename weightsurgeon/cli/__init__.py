"""The command line: a table of commands, each a small module that is imported when it is called.

`--help` is answered from the table, so that it costs no import. All errors of our tree become
one line a problem and exit code 2; a bug of ours is 70; a signal is 128 + its number.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import Interrupted, SurgeryError, shown

COMMANDS = {
    "assemble": "make one checkpoint of several, each under its prefix",
    "branches": "which rows behind a concatenation belong to which branch, and their shares",
    "cast": "round the floats of a checkpoint to another dtype",
    "coef": "the weights of a Dense layer by feature names, linear stacks as one",
    "connections": "the strongest inputs of a unit, or where it goes, and the tail",
    "diff": "what a checkpoint is of another: identical, transposed, rounded, scaled, changed",
    "doctor": "what is wrong with the weights: NaN, gain, dead units, untrained, overflow",
    "embeddings": "norms, neighbours, equal and never trained rows of an embedding",
    "expand": "weights from one layer to another, multiplied through what lies between",
    "heads": "what the outputs of a model share, what belongs to one",
    "inspect": "what a checkpoint holds: names, shapes, dtypes, axes, roles, ties",
    "invert": "write the way back of a mapping, as a mapping",
    "match": "which tensors of another checkpoint may be these, whatever their names",
    "merge": "one checkpoint of several of the same names: sums, means, task vectors",
    "plot": "draw kernels, factors, maps, bands, histograms, norms as PNG or SVG",
    "port": "bring a checkpoint to another naming, layout and container",
    "prune": "set the smallest weights to zero: by share, count, threshold, N:M, masks",
    "report": "one self-contained HTML file: findings, statistics, histograms, pictures",
    "reshard": "divide a checkpoint into files of a size, or join it into one",
    "run": "run a plan: sources, steps, output, from a YAML file",
    "soft-update": "move a target a little towards its online twin: Polyak, EMA",
    "stats": "what the values are like: moments, quantiles, norms, NaN, histograms",
    "track": "how norms move over a series of checkpoints",
    "verify": "compare the values of two checkpoints, through a mapping",
}
OK, DIFFERENT, BAD_INPUT, NEEDS_REVIEW, BUG = 0, 1, 2, 3, 70
DEBUG = "--debug"
MOST = 50  # problems that are shown unless all are asked for


def usage() -> str:
    """The help of the whole tool, without importing anything."""
    wide = max(map(len, COMMANDS))
    rows = [f"  {name:<{wide}} {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "weightsurgeon: operates on weights of neural networks, whatever framework wrote them",
            "",
            "usage: weightsurgeon COMMAND ... [--json] [--debug]",
            "",
            *rows,
            "",
            "weightsurgeon COMMAND --help tells more. Exit codes: 0 done, 1 differences found,",
            "2 bad usage or input, 3 needs review, 70 a bug of ours, 128+n on a signal; nothing is",
            "half-written.",
        ]
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    gc.disable()  # the process is short and makes no cycles to speak of: a fifth of the time
    args = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a closed one is None
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_guarded(args))


def _guarded(args: list[str]) -> int:
    try:
        code = _dispatch(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SurgeryError as error:
        _trace(args)
        return _bad_input(error, args)
    except BrokenPipeError:
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _trace(args)
        _discard_output()
        place = f"{shown(error.filename)}: " if error.filename else ""
        print(f"weightsurgeon: {place}{error.strerror or shown(error)}", file=sys.stderr)
        return BAD_INPUT
    except Interrupted as error:
        print(f"weightsurgeon: {error}; nothing was written", file=sys.stderr)
        return 128 + error.signal
    except Exception as error:  # noqa: BLE001  # the last resort says that the bug is ours
        _trace(args)
        what = shown(f"{type(error).__name__}: {error}")
        print(f"weightsurgeon: a bug of ours: {what}; please report, with {DEBUG}", file=sys.stderr)
        return BUG
    return code


def _trace(args: list[str]) -> None:
    """`--debug` shows where an error comes from; it changes nothing else."""
    if DEBUG in args:
        import traceback

        for line in traceback.format_exc().splitlines():
            print(shown(line, 1000), file=sys.stderr)  # names in it may be hostile


def _discard_output() -> None:
    """What stdout still holds has nowhere to go; let there be no complaint about it at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bad_input(error: SurgeryError, args: list[str]) -> int:
    """One line a problem on stderr; with `--json` the same as data on stdout."""
    problems = getattr(error, "problems", None) or [error]
    lines = [str(p) for p in problems]
    if len(lines) > MOST and "--all" not in args:
        lines[MOST:] = [f"… and {len(lines) - MOST} more (--all)"]
    if len(problems) > 1:
        lines.append(f"{len(problems)} problems; nothing was written")
    print("\n".join(lines), file=sys.stderr)
    if "--json" in args:
        from .shared import print_json, problem

        rows = [problem(p) for p in problems]
        print_json({"weightsurgeon_json": 1, "command": args[0], "problems": rows})
    doubts = all(getattr(p, "id", "") == "review" for p in problems)
    return NEEDS_REVIEW if doubts else BAD_INPUT


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if args else BAD_INPUT
    if args[0] == "--version":
        print(__version__)
        return OK
    if args[0] not in COMMANDS:
        print(f"weightsurgeon: {_no_command(args[0])}", file=sys.stderr)
        return BAD_INPUT
    _listen()
    from .parser import invoke

    return invoke(import_module(f".{args[0].replace('-', '_')}", __name__), args)


def _no_command(word: str) -> str:
    if word.startswith("-"):
        return f"options stand behind a command, not before: {shown(word)}; --help tells more"
    from difflib import get_close_matches

    near = get_close_matches(word.replace("_", "-"), COMMANDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(COMMANDS)}"
    return f"no command {shown(word)!r}; {hint}"


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _listen() -> None:
    """Signals become an exception, so that unfinished outputs are removed on the way out."""

    def interrupt(number: int, frame: object) -> None:
        for known in SIGNALS:
            signal.signal(known, signal.SIG_IGN)  # clean up once, undisturbed
        raise Interrupted(number)

    def swallowed(found: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised in a `__del__` or a callback: then the signal comes again."""
        if not isinstance(found.exc_value, Interrupted):
            sys.__unraisablehook__(found)
            return
        number = found.exc_value.signal
        signal.signal(signal.SIGALRM, lambda _, frame: interrupt(number, frame))
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    for number in SIGNALS:
        signal.signal(number, interrupt)
    sys.unraisablehook = swallowed
