"""What several commands take: options, JSON on stdout, a progress bar on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
PATIENCE = 1.0  # seconds before a progress bar is worth its line


def as_json(function: F) -> F:
    """`--json`: one object on stdout instead of text."""
    return click.option("--json", "json_", is_flag=True, help="Print one JSON object.")(function)


def sizes(function: F) -> F:
    """`--set axis=n`, as often as needed."""
    text = "Size of an axis that no shape tells, as in h=12; repeatable."
    return click.option("--set", "sizes", multiple=True, metavar="AXIS=N", help=text)(function)


def planning(function: F) -> F:
    """`--dry-run` and `--explain` of commands that write."""
    explain = click.option("--explain", is_flag=True, help="Print every expression and its rule.")
    dry = click.option("--dry-run", is_flag=True, help="Plan and report, write nothing.")
    return dry(explain(function))


def read_sizes(words: tuple[str, ...]) -> dict[str, int]:
    """Sizes from words such as `h=12`."""
    found = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given or not value.isdigit():
            raise click.UsageError(f"--set wants AXIS=N, as in h=12, not {word!r}")
        found[name] = int(value)
    return found


def print_json(value: Mapping[str, Any]) -> None:
    """One object, plain ASCII, so that no name can drive a terminal."""
    import json

    print(json.dumps(value))


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, only on a terminal and only for work that takes over a second."""
    if not sys.stderr.isatty():
        yield lambda nbytes: None
        return
    bar, start, done = _Bar(total), time.monotonic(), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if time.monotonic() - start > PATIENCE:
            bar.show(done)

    try:
        yield advance
    finally:
        bar.close()


class _Bar:
    """Rich's bar, imported when it is first shown."""

    def __init__(self, total: int) -> None:
        self.total, self.bar, self.task = total, None, None

    def show(self, done: int) -> None:
        if self.bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

            columns = (BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)  # type: ignore[assignment]
            self.task = self.bar.add_task("", total=self.total)  # type: ignore[attr-defined]
            self.bar.start()  # type: ignore[attr-defined]
        self.bar.update(self.task, completed=done)  # type: ignore[attr-defined]

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
