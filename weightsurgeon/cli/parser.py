"""The words of a command: what all commands share, and our own errors for the rest."""

from __future__ import annotations

import argparse
import os
import re
from functools import partial
from typing import Any, NoReturn

from ..errors import SurgeryError, shown

_ALIAS = re.compile(r"[A-Za-z_]\w*=.")


def invoke(module: Any, args: list[str]) -> int:
    """Parse the words of a command and run it; usage errors are one line."""
    parser = Parser(
        prog=f"weightsurgeon {args[0]}",
        description=module.HELP,
        allow_abbrev=False,
        formatter_class=partial(argparse.HelpFormatter, width=_width()),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    module.arguments(parser)
    try:
        words = parser.parse_args(args[1:])
    except SystemExit:  # after --help
        return 0
    code: int = module.run(words)
    return code


def _width() -> int:
    """The columns of the terminal, as argparse would find them by an import of two milliseconds."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns) - 2
    except (ValueError, OSError, AttributeError):
        return 78


class Parser(argparse.ArgumentParser):
    """argparse, with its errors in our tree."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words in one line."""
        raise UsageError(f"{self.prog}: {shown(message, 500)}; --help tells more")


class UsageError(SurgeryError):
    """Words on the command line that make no sense."""


def sizes(parser: argparse.ArgumentParser) -> None:
    """`--set axis=n`, as often as needed."""
    text = "size of an axis that no shape tells, as in h=12; repeatable"
    parser.add_argument(
        "--set", dest="sizes", action="append", default=[], metavar="AXIS=N", help=text
    )


def planning(parser: argparse.ArgumentParser) -> None:
    """`--dry-run`, `--explain` and `--all` of commands that write."""
    parser.add_argument("--dry-run", action="store_true", help="plan and report, write nothing")
    parser.add_argument(
        "--explain", action="store_true", help="print every expression and its rule"
    )
    text = "do not wait for the disk, as cp does not; only a power loss can take the file then"
    parser.add_argument("--no-fsync", dest="durable", action="store_false", help=text)
    everything(parser)


def choosing(parser: argparse.ArgumentParser) -> None:
    """`--select` and `--exclude`."""
    add = parser.add_argument
    add("--select", action="append", default=[], metavar="GLOB",
        help="only tensors whose whole name fits; repeatable")  # fmt: skip
    add("--exclude", action="append", default=[], metavar="GLOB",
        help="not those whose whole name fits; repeatable")  # fmt: skip


def everything(parser: argparse.ArgumentParser) -> None:
    """`--all`."""
    parser.add_argument("--all", dest="everything", action="store_true", help="show every name")


def numbers(words: list[str], option: str) -> dict[str, int]:
    """Whole numbers from words such as `h=12`."""
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if not (name and given and value.isascii() and value.isdigit() and len(value) < 20):
            raise UsageError(f"{option} wants NAME=N, as in h=12, not {shown(word)!r}")
        found[name] = int(value)
    return found


def sources(words: list[str]) -> str | dict[str, str]:
    """One path as it stands; `alias=path` of several sources, or of one that is no file.

    >>> sources(["a=x.pt", "b=y.pt"])
    {'a': 'x.pt', 'b': 'y.pt'}
    """
    if len(words) == 1 and (not _ALIAS.match(words[0]) or os.path.exists(words[0])):  # noqa: PTH110
        return words[0]
    found: dict[str, str] = {}
    for word in words:
        alias, _, path = word.partition("=")
        if not _ALIAS.match(word) or alias in found:
            what = "once for each alias" if alias in found else "for each of several sources"
            raise UsageError(f"write ALIAS=PATH {what}, not {shown(word)!r}")
        found[alias] = path
    return found


def decimal(words: str | None, option: str) -> Any:
    """A number as it is written, a decimal exactly; what is none is refused."""
    from decimal import Decimal, InvalidOperation

    if words is None:
        return None
    try:
        return int(words) if words.lstrip("-").isdecimal() else Decimal(words)
    except InvalidOperation:
        raise UsageError(f"--{option} wants a number, not {shown(words)!r}") from None
