"""Killed at any moment: the old output stands or the new one, never half; the next run sweeps."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from strategies import Array, Memory, noise

from weightsurgeon.formats import open_source
from weightsurgeon.formats.base import Checkpoint, Source
from weightsurgeon.ops.movement import permute
from weightsurgeon.plan import Plan, Target
from weightsurgeon.writing import write

# Writes the same output again and again, slowly, and hears signals as the command line does.
WRITER = """
import os, sys, time
from weightsurgeon.cli import _listen
from weightsurgeon.errors import Interrupted
from weightsurgeon.writing import write
from test_crash import plan_of

source, out, warm = sys.argv[1:]
write(plan_of(source, warm))
pwrite = os.pwrite
os.pwrite = lambda *a: (time.sleep(0.002), pwrite(*a))[1]
_listen()
try:
    print("ready", flush=True)
    while True:
        write(plan_of(source, out))
except Interrupted as error:
    sys.exit(128 + error.signal)
"""
Tensors = Mapping[str, Array]


def plan_of(source: str, out: str) -> Plan:
    s = open_source(source)
    x = Checkpoint(s, {}, None, "")
    outputs = {n: permute(x[n], (1, 0)) if i % 2 else x[n] for i, n in enumerate(x)}
    return Plan(outputs, {"s": s}, Target(out, "safetensors"))


def stored(path: Path, tensors: Tensors) -> Path:
    source: Source = Memory(tensors)
    x = Checkpoint(source, {}, None, "")
    write(Plan(dict(x), {"s": source}, Target(str(path), "safetensors")))
    return path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, number: signal.Signals) -> None:
    tensors = {f"t{i}": noise((64, 40 + i), "float32", i) for i in range(12)}
    source = stored(tmp_path / "in.safetensors", tensors)
    out = tmp_path / "out" / "x.safetensors"
    out.parent.mkdir()
    stored(out, {"old": np.ones(3)})
    old = out.read_bytes()
    write(plan_of(str(source), str(tmp_path / "new.safetensors")))
    new = (tmp_path / "new.safetensors").read_bytes()
    stood, litter, dice = set[bool](), 0, random.Random(7)
    for _ in range(6):
        out.write_bytes(old)
        args = [str(source), str(out), str(tmp_path / "warm.safetensors")]
        _kill_after(dice.uniform(0, 0.08), number, args)
        content = out.read_bytes()
        assert content in (old, new)
        stood.add(content == old)
        left = [p.name for p in out.parent.iterdir() if p != out]
        assert all(name.startswith(".x.safetensors.") for name in left)
        assert len(left) <= 1  # the one before was swept
        litter += len(left)
    assert stood == {True, False}  # the dice fell on both sides of a commit
    assert (litter > 0) is (number == signal.SIGKILL)
    write(plan_of(str(source), str(out)))
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    assert out.read_bytes() == new


def _kill_after(seconds: float, number: signal.Signals, args: list[str]) -> None:
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, *args],
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        time.sleep(seconds)
        process.send_signal(number)
        errors = process.stderr.read()
        expected = -number if number == signal.SIGKILL else 128 + number
        assert process.wait() == expected, errors


SWALLOWING = """
import os, signal, sys, time
from weightsurgeon.cli import _listen
from weightsurgeon.errors import Interrupted

class Thing:
    def __del__(self):
        if left:
            os.kill(os.getpid(), left.pop())
            sum(range(10))

left = [signal.SIGTERM]
_listen()
try:
    Thing()
    for _ in range(500):
        time.sleep(0.01)
except Interrupted as error:
    sys.exit(128 + error.signal)
"""


def test_a_signal_in_a_finaliser_is_not_lost() -> None:
    """Python drops what is raised there; the writer would go on, and be deaf from then on."""
    here = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWING],
        env={"PYTHONPATH": here},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
