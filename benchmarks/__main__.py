"""One command for the measured claims: `python -m benchmarks [--gb 4] [--rounds 7] [--only WORD]`.

Prints a table and writes benchmarks/results.json. Files go to a temporary folder (`--folder` says
where, `TMPDIR` otherwise) and are removed. Needs four times `--gb` of disk, and as much memory for
the page cache: sources must stay cached.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from compileall import compile_dir
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

from .cases import CASES, MAPPINGS, Case, Contender
from .measure import ROOT, Action, Failed, Result, Run, compare, python, run

PATHS = {"src": "source", "twin": "twin", "dst": "output"}
PACKAGES = ("weightsurgeon", "numpy", "torch", "safetensors", "h5py", "ml_dtypes")


def main() -> None:
    """Run the cases whose names contain the words asked for."""
    options = _options()
    compile_dir(ROOT / "weightsurgeon", quiet=1)  # bytecode, as pip leaves it at an installation
    cases = [c for c in CASES if all(word in c.name for word in options.only)]
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="weightsurgeon-bench-") as folder:
        facts = _circumstances(Path(folder), options)
        for case in cases:
            rows = _rows(case, Path(folder), options)
            if not rows:
                continue
            _show(case, rows)
            results.append({"case": case.name, "reference": rows[0]["contender"], "rows": rows})
    text = json.dumps({**facts, "cases": results}, indent=1) + "\n"
    Path(options.out).write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--gb", type=float, default=1.0, help="size of the files (default 1)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds after one warm-up")
    parser.add_argument("--only", nargs="*", default=[], help="words that a case's name contains")
    parser.add_argument("--folder", help="where the files go; the file system that is measured")
    parser.add_argument("--out", default=str(ROOT / "benchmarks" / "results.json"))
    return parser.parse_args()


def _rows(case: Case, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is printed and published of a case."""
    if not case.live:
        return [r.facts() for r in _measured(case, folder, options)]
    if not util.find_spec("tensorflow" if case.live == "keras" else "torch"):
        return []
    argv = [
        sys.executable,
        "-m",
        "benchmarks.live",
        case.live,
        str(options.gb),
        str(options.rounds),
    ]
    done = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _measured(case: Case, folder: Path, options: argparse.Namespace) -> list[Result]:
    here = [c for c in case.contenders if not c.needs or util.find_spec(c.needs)]
    for suffix in {c.suffix for c in here}:
        _make(case, folder / f"source{suffix}", options.gb, 7)
        if case.twin:
            _make(case, folder / f"twin{suffix}", options.gb, 8)
    mapping = folder / "mapping.yaml"
    mapping.write_text(MAPPINGS.get(case.verb, ""), encoding="utf-8")
    actions: dict[str, Action] = {c.name: partial(_act, c, folder) for c in here}
    judges: dict[str, Callable[[], str]] = {
        c.name: partial(_judged, case, c, folder) for c in here if case.verb
    }
    try:
        return compare(actions, options.rounds, judges)
    finally:
        for file in folder.iterdir():
            _remove(file)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _make(case: Case, path: Path, gb: float, seed: int) -> None:
    argv = [
        sys.executable,
        "-m",
        "benchmarks.files",
        "make",
        case.kind,
        str(path),
        str(gb * case.gb),
        str(seed),
    ]
    subprocess.run(argv, cwd=ROOT, check=True)


def _act(contender: Contender, folder: Path) -> Run:
    target = folder / f"output{contender.suffix}"
    _remove(target)
    paths = {w: folder / f"{n}{contender.suffix}" for w, n in PATHS.items()}
    words = shlex.split(contender.command.format(**paths, mapping=folder / "mapping.yaml"))
    peak = folder / "peak"
    if words[0] == "python":
        words = python(peak, *words[1:])
    elif words[0] == "bare":
        words = [sys.executable, *words[1:]]
    return run(words, peak)


def _judged(case: Case, contender: Contender, folder: Path) -> str:
    """What is wrong with the output just timed; "" if it is right."""
    whats = ("source", "output", "twin") if case.twin else ("source", "output")
    paths = [str(folder / f"{what}{contender.suffix}") for what in whats]
    verb = "same" if contender.name.startswith("cp") else case.verb
    argv = [sys.executable, "-m", "benchmarks.files", "judge", verb, *paths]
    try:
        run(argv, folder / "peak")
    except Failed as failure:
        return f"WRONG OUTPUT: {failure}"
    return ""


def _circumstances(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    installed = {d.metadata["Name"].replace("-", "_") for d in metadata.distributions()}
    return {
        "gb": options.gb,
        "rounds": options.rounds,
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _said("stat", "-f", "-c", "%T", str(folder)),
        "commit": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "versions": {p: metadata.version(p) for p in PACKAGES if p in installed},
    }


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _show(case: Case, rows: list[dict[str, Any]]) -> None:
    what = "" if case.live else ": median [min–max]"
    print(f"\n{case.name}   (ratio to {rows[0]['contender']}{what})")
    for row in rows:
        if "microseconds" in row:
            took = f"{row['microseconds']:12.1f} µs, the best of {row['rounds']}"
            print(f"  {row['contender']:24} {row['ratio']:7.3f} {took}", flush=True)
            continue
        if "ratio" not in row:
            print(f"  {row['contender']:24} {row['problem']}")
            continue
        ratio = f"{row['ratio']:7.2f} [{row['ratio_min']:.2f}–{row['ratio_max']:.2f}]"
        peak = f"{row['peak_mb']:8.0f} MB" if row["peak_mb"] else " " * 11
        times = f"{row['seconds']:8.3f} s {row['cpu_seconds']:8.3f} CPU-s"
        print(f"  {row['contender']:24} {ratio:24} {times} {peak} {row['problem']}", flush=True)


if __name__ == "__main__":
    main()
