"""What several commands show: JSON on stdout, a progress bar on stderr, the report of a plan."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace

    from ..errors import SurgeryError
    from ..inspection.drawing import Drawing
    from ..plan import Plan

PICTURES = (".png", ".svg")
PATIENCE = 1.0  # seconds before a progress bar is worth its line


def print_json(value: Mapping[str, Any]) -> None:
    """One object, plain ASCII, so that no name can drive a terminal."""
    import json

    print(json.dumps(value))


def write_picture(path: str, drawing: Drawing) -> None:
    """Write a drawing as its suffix says, whole or not at all."""
    from ..formats.commit import write_bytes, write_text

    if path.endswith(".png"):
        write_bytes(path, drawing.png())
    else:
        write_text(path, drawing.svg())


def problem(error: SurgeryError) -> dict[str, Any]:
    """A reason to refuse, as data; what has no id in the language is an `input`."""
    return {
        "id": getattr(error, "id", "input"),
        "file": getattr(error, "file", "") or getattr(error, "path", ""),
        "line": getattr(error, "line", 0),
        "names": list(getattr(error, "names", ())),
        "text": str(error),
    }


def carry_out(plan: Plan, command: str, args: Namespace) -> int:
    """Explain, write and report a plan, as the words ask."""
    from ..outcome import report
    from ..writing import write

    if args.explain and not args.json:
        print("\n".join(plan.explain()))
    writes = bool(plan.target.path) and not args.dry_run  # an audit has no path
    if writes:
        with progress(plan.nbytes) as advance:
            write(plan, advance, args.durable)
    result = report(plan, command, written=writes)
    if args.json:
        print_json(result.to_json() | ({"plan": plan.to_json()} if args.explain else {}))
    else:
        print("\n".join(result.text(args.everything)))
    return 0 if plan.target.path else audited(plan)


def audited(plan: Plan) -> int:
    """The exit code of an audit: 1 if anything was listed that `strict` would refuse."""
    from ..mapping.policy import STRICT

    return int(any(line.id.replace("-", "_") in (*STRICT, "no_such_target") for line in plan.lines))


def size_of(path: str) -> int:
    """Bytes of a file, as far as a progress bar wants to know."""
    from pathlib import Path

    return Path(path).stat().st_size if Path(path).is_file() else 0


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
