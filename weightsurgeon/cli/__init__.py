"""The command line: a table of commands, each a small module that is imported when it is called.

`--help` is answered from the table, so that it costs no import. All errors of our tree become
one line a problem and exit code 2; a bug of ours is 70; a signal is 128 + its number.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

from .. import __version__
from ..errors import Interrupted, SurgeryError, shown

COMMANDS = {
    "inspect": "what a checkpoint holds: names, shapes, dtypes, axes, roles, ties",
    "port": "bring a checkpoint to another naming, layout and container",
    "run": "run a plan: sources, steps, output, from a YAML file",
    "verify": "compare the values of two checkpoints, through a mapping",
}
OK, DIFFERENT, BAD_INPUT, BUG = 0, 1, 2, 70
DEBUG = "--debug"


def usage() -> str:
    """The help of the whole tool, without importing anything."""
    rows = [f"  {name:<9} {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "weightsurgeon: operate on the weights of neural networks, whatever framework wrote them",
            "",
            "usage: weightsurgeon COMMAND ... [--json] [--debug]",
            "",
            *rows,
            "",
            "weightsurgeon COMMAND --help tells more. Exit codes: 0 done, 1 differences found,",
            "2 bad usage or input, 70 a bug of ours, 128+n on a signal; nothing is half-written.",
        ]
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    gc.disable()  # the process is short and makes no cycles to speak of: a fifth of the time
    args = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(_guarded(args))


def _guarded(args: list[str]) -> int:
    try:
        code = _dispatch(args)
        sys.stdout.flush()
    except SurgeryError as error:
        if DEBUG in args:
            raise
        print(_lines(error), file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no complaint at exit
        return 128 + signal.SIGPIPE
    except Interrupted as error:
        print(f"weightsurgeon: {error}; nothing was written", file=sys.stderr)
        return 128 + error.signal
    except Exception as error:  # noqa: BLE001  # the last resort says that the bug is ours
        if DEBUG in args:
            raise
        what = shown(f"{type(error).__name__}: {error}")
        print(f"weightsurgeon: a bug of ours: {what}; please report, with {DEBUG}", file=sys.stderr)
        return BUG
    return code


def _lines(error: SurgeryError) -> str:
    """One line a problem; many are counted."""
    lines = str(error).split("\n")
    if len(lines) > 1:
        lines.append(f"{len(lines)} problems; nothing was written")
    return "\n".join(lines)


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return OK if args else BAD_INPUT
    if args[0] == "--version":
        print(__version__)
        return OK
    if args[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"weightsurgeon: no command {shown(args[0])!r}; known: {known}", file=sys.stderr)
        return BAD_INPUT
    _listen()
    from .parser import invoke

    return invoke(import_module(f".{args[0]}", __name__), args)


def _listen() -> None:
    """Signals become an exception, so that unfinished outputs are removed on the way out."""

    def interrupt(number: int, frame: object) -> None:
        for known in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(known, signal.SIG_IGN)  # clean up once, undisturbed
        raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
