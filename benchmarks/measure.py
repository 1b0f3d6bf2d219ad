"""Time whole processes honestly on a noisy machine.

All contenders run in every round, in an order that rotates; outputs are unlinked between runs, so
that their dirty pages burden nobody. What counts is the median of per-round ratios to the
reference of the same round: a ratio of numbers from two different minutes says nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CORE_TYPE_VARIABLES = {"OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS"}


class Run(NamedTuple):
    """What one process took: seconds on the wall and of CPU, and its own peak memory."""

    seconds: float
    cpu: float
    peak_mb: float | None


class Failed(Exception):
    """A contender that did not end well; the text is the last thing it said."""


def run(argv: Sequence[str], peak_file: Path) -> Run:
    """Run a process to its end. Errors: Failed if it ends with anything but 0."""
    peak_file.unlink(missing_ok=True)
    env = {k: v for k, v in os.environ.items() if k not in CORE_TYPE_VARIABLES}
    began = time.perf_counter()
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Failed(f"exit {process.returncode}: {lines[-1][:160]}")
    peak = int(peak_file.read_text()) / 1000 if peak_file.exists() else None
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)


class Result(NamedTuple):
    """A contender's rounds; `problem` says why there are none, or that its output is wrong."""

    name: str
    runs: list[Run]
    ratios: list[float]
    problem: str = ""

    def facts(self) -> dict[str, Any]:
        """The figures as they are published."""
        if not self.runs:
            return {"contender": self.name, "problem": self.problem}
        return {
            "contender": self.name,
            "problem": self.problem,
            "ratio": round(median(self.ratios), 3),
            "ratio_min": round(min(self.ratios), 3),
            "ratio_max": round(max(self.ratios), 3),
            "seconds": round(median(r.seconds for r in self.runs), 4),
            "cpu_seconds": round(median(r.cpu for r in self.runs), 4),
            "peak_mb": max((r.peak_mb for r in self.runs if r.peak_mb), default=None),
            "rounds": len(self.runs),
        }


Action = Callable[[], Run]


def compare(
    actions: dict[str, Action], rounds: int, finish: dict[str, Callable[[], str]]
) -> list[Result]:
    """Alternate the actions for some rounds after a warm-up; the first is the reference.

    `finish` is called right after a contender's last run and returns what is wrong with its output.
    """
    runs: dict[str, list[Run]] = {name: [] for name in actions}
    problems: dict[str, str] = {}
    for number, names in enumerate(_orders(list(actions), rounds + 1)):
        for name in names:
            if name in problems:
                continue
            try:
                taken = actions[name]()
            except Failed as failure:
                problems[name] = str(failure)
                continue
            if number:  # the first round warms the cache
                runs[name].append(taken)
            if number == rounds and name in finish:
                problems[name] = finish[name]()
    reference = next(iter(actions))
    return [_result(name, runs[name], runs[reference], problems.get(name, "")) for name in actions]


def _orders(names: list[str], rounds: int) -> Iterator[list[str]]:
    for turn in range(rounds):
        at = turn % len(names)
        yield names[at:] + names[:at]


def _result(name: str, runs: list[Run], reference: list[Run], problem: str) -> Result:
    complete = len(runs) == len(reference)
    ratios = (
        [a.seconds / b.seconds for a, b in zip(runs, reference, strict=True)] if complete else []
    )
    return Result(name, runs if complete else [], ratios, problem)


def python(peak_file: Path, module: str, *arguments: object) -> list[str]:
    """The command that runs a module and notes its peak memory."""
    child = str(ROOT / "benchmarks" / "child.py")
    return [sys.executable, child, str(peak_file), module, *map(str, arguments)]
