"""What every verb promises: one set of bytes, and no moment without a whole file.

A reader of the folder sees the old output or the new one, whatever stops the writer and when.
"""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import verbs
from porting import hashes

from weightsurgeon import execute as engine
from weightsurgeon import reducing, writing
from weightsurgeon.errors import Interrupted, SurgeryError

SYSTEM = ("pwrite", "copy_file_range", "fsync", "replace", "unlink", "posix_fallocate")
KILLED = ["assemble", "merge linear", "prune global", "soft update"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    verbs.files(tmp_path)
    return tmp_path


def written(verb: str, folder: Path, name: str) -> str:
    """The hashes of all that a verb wrote, its name apart."""
    out = folder / name
    out.mkdir()
    writing.write(verbs.plan_of(verb, folder, out / "out.safetensors"), durable=False)
    return str(hashes(out))


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_blocks_and_threads_do_not_show(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = written(verb, folder, "plain")
    execute, run = engine.execute, reducing.run_reductions
    for scratch, threads in ((1, 1), (100, 2), (700, 5), (2**20, 1)):
        monkeypatch.setattr(engine, "SCRATCH_BYTES", scratch)
        monkeypatch.setattr(reducing, "SCRATCH_BYTES", scratch)
        monkeypatch.setattr(writing, "execute", functools.partial(execute, workers=threads))
        seen = list[int]()

        def ran(*a: Any, seen: list[int] = seen, **k: Any) -> None:
            seen.append(k["workers"])
            run(*a, **k)

        monkeypatch.setattr(engine, "run_reductions", ran)
        assert written(verb, folder, f"{scratch}") == expected
        assert set(seen) == {threads}


SEEDED = """
import sys
from pathlib import Path
import verbs
from weightsurgeon.writing import write
folder, out = map(Path, sys.argv[1:])
for i, verb in enumerate(verbs.VERBS):
    (out / str(i)).mkdir(parents=True)
    write(verbs.plan_of(verb, folder, out / str(i) / "out.safetensors"), durable=False)
"""


def python(code: str, *args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": "", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_any_hash_seed_gives_the_same_bytes(folder: Path) -> None:
    """Answer 65, for every verb."""
    found = list[list[bytes]]()
    for seed in ("0", "1"):
        done = python(SEEDED, folder, folder / seed, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        outputs = sorted(p for p in (folder / seed).rglob("*") if p.is_file())
        assert len(outputs) >= len(verbs.VERBS)
        found.append([p.read_bytes() for p in outputs])
    assert found[0] == found[1]


# -- stopped at any moment -------------------------------------------------------------------


class Stop:
    """Counts calls of the system, and at one of them raises: instead of it, or behind it."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, error: BaseException, behind: bool):
        self.calls, self.at, self.error, self.behind = 0, at, error, behind
        for name in SYSTEM:
            patch.setattr(os, name, functools.partial(self.call, getattr(os, name)))

    def call(self, real: Any, *args: Any, **keys: Any) -> Any:
        self.calls += 1
        if self.calls != self.at:
            return real(*args, **keys)
        if self.behind:
            real(*args, **keys)
        raise self.error


def stopped(verb: str, folder: Path, error: BaseException, behind: bool) -> Iterator[bytes]:
    """What stands in the place of b, which a verb replaces, stopped at its 1st, 2nd, … call."""
    path, at = folder / "b.safetensors", 0
    old = path.read_bytes()
    while True:
        at += 1
        path.write_bytes(old)
        plan = verbs.plan_of(verb, folder, path)
        with pytest.MonkeyPatch.context() as patch:
            stop = Stop(patch, at, error, behind)
            with suppress(SurgeryError, Interrupted):
                writing.write(plan)
        assert sorted(p.name for p in folder.iterdir()) == ["a.safetensors", "b.safetensors"]
        yield path.read_bytes()
        if stop.calls < at:
            return


@pytest.mark.parametrize("verb", KILLED)
def test_a_full_disk_leaves_the_old_file(verb: str, folder: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    old = (folder / "b.safetensors").read_bytes()
    *found, new = stopped(verb, folder, error, behind=False)
    assert len(found) > 3
    assert new != old
    assert set(found[:-1]) == {old}  # the last is that of the folder, published before it
    assert found[-1] == new


@pytest.mark.parametrize("verb", KILLED)
def test_a_signal_leaves_the_old_file_or_the_new(verb: str, folder: Path) -> None:
    old = (folder / "b.safetensors").read_bytes()
    *found, new = stopped(verb, folder, Interrupted(15), behind=True)
    assert set(found) == {old, new}
    assert found == sorted(found, key=lambda x: x == new)  # once it is new it stays new


# For each number that it hears, a child of it replaces b, and is killed at its n-th call.
VICTIM = """
import os, signal, sys
from pathlib import Path
import verbs
from weightsurgeon.writing import write

verb, folder, system = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split()
import numpy, ml_dtypes
calls = 0
def guarded(name, stop):
    call = getattr(os, name)
    def counted(*a, **k):
        global calls
        calls += 1
        if calls == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*a, **k)
    setattr(os, name, counted)
for stop in range(1, 100):
    child = os.fork()
    if not child:
        path = folder / str(stop) / "b.safetensors"
        plan = verbs.plan_of(verb, folder, path)
        for name in system:
            guarded(name, stop)
        write(plan)
        os._exit(0)
    if not os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(stop)
"""


@pytest.mark.parametrize("verb", KILLED)
def test_a_kill_leaves_the_old_file_or_the_new(verb: str, folder: Path) -> None:
    """Answer 61, and the next run sweeps what was left."""
    old = (folder / "b.safetensors").read_bytes()
    for i in range(1, 100):
        (folder / str(i)).mkdir()
        (folder / str(i) / "b.safetensors").write_bytes(old)
    done = python(VICTIM, verb, folder, " ".join(SYSTEM))
    last = done.returncode
    assert 3 < last < 99, done.stderr
    new = (folder / str(last) / "b.safetensors").read_bytes()
    found = [(folder / str(i) / "b.safetensors").read_bytes() for i in range(1, last)]
    assert set(found) == {old, new}
    for i in range(1, last):
        out = folder / str(i) / "b.safetensors"
        writing.write(verbs.plan_of(verb, folder, out), durable=False)
        assert [p.name for p in out.parent.iterdir()] == [out.name]
        assert out.read_bytes() == new
