"""A set of shards appears in one moment; whatever stops it leaves the old set or the new, whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from porting import count, save
from safetensors.numpy import load_file
from strategies import Array, Memory, noise

import weightsurgeon as ws
from weightsurgeon.api import run
from weightsurgeon.errors import Interrupted, OutputError, SurgeryError
from weightsurgeon.execute import execute
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.neutral import mappings_of
from weightsurgeon.surgery import plan_reshard
from weightsurgeon.writing import write

TENSORS = {f"t{i}": noise((10 + i,), "float32", i) for i in range(6)}  # 40 to 60 bytes
INDEX = "model.safetensors.index.json"


def reshard(src: Path, out: Path, size: str | int = 100, ties: str = "store") -> None:
    with ws.open(src) as x:
        write(plan_reshard(x, out, size, ties))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def values(folder: Path) -> dict[str, bytes]:
    """What a reader of the folder finds, by our own reader."""
    with ws.open(folder) as x:
        return {name: x[name].numpy().tobytes() for name in x}


def theirs(folder: Path) -> dict[str, Array]:
    """What the index gives, by the safetensors package."""
    files = json.loads((folder / INDEX).read_text())["weight_map"]
    loaded = {file: load_file(folder / file) for file in set(files.values())}
    assert {n for x in loaded.values() for n in x} == files.keys()
    return {name: loaded[file][name] for name, file in files.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(tmp_path / "in.safetensors", TENSORS, {"author": "me", "format": "pt"})


def test_nothing_changes_but_the_files(tmp_path: Path, source: Path) -> None:
    """Answer 60: bytes equal, metadata kept."""
    out = tmp_path / "out"
    reshard(source, out)
    assert names(out) == [*(f"model-0000{i}-of-00004.safetensors" for i in (1, 2, 3, 4)), INDEX]
    found = theirs(out)
    assert {n: x.tobytes() for n, x in found.items()} == {
        n: x.tobytes() for n, x in TENSORS.items()
    }
    about = json.loads((out / INDEX).read_text())["metadata"]
    assert (about["total_size"], about["author"]) == (sum(x.nbytes for x in TENSORS.values()), "me")
    with ws.open(out) as x:
        assert x.source.remarks == []
        assert x.source.metadata["author"] == "me"
    reshard(out, tmp_path / "one.safetensors", "none")
    again = load_file(tmp_path / "one.safetensors")
    assert {n: x.tobytes() for n, x in again.items()} == values(out)


def test_everything_is_copied_and_nothing_decoded(tmp_path: Path, source: Path) -> None:
    from weightsurgeon.formats import create_sink
    from weightsurgeon.writing import order_of

    plan = plan_reshard(source, tmp_path / "out", 100)
    sink = create_sink("safetensors", plan.target.path, order_of(plan))
    facts = list(execute(plan, sink))
    sink.abort()
    assert {fact.step for fact in facts} == {"copy"}
    assert not (tmp_path / "out").exists()  # an abort takes the folder that was made for it


def test_one_shard_has_no_index(tmp_path: Path, source: Path) -> None:
    for size in ("1GB", "none"):
        reshard(source, tmp_path / "out", size)
        assert names(tmp_path / "out") == ["model.safetensors"]


def test_no_shards_of_an_older_run_are_left(tmp_path: Path, source: Path) -> None:
    """Answer 60: whatever the set replaces, only the new one is there afterwards."""
    out, wanted = tmp_path / "out", {n: x.tobytes() for n, x in TENSORS.items()}
    counts = list[int]()
    for size in (100, 60, 60, 200, "none", 100, 100, "1GB"):
        reshard(source if size == 100 else out, out, size)
        assert values(out) == wanted
        counts.append(len(names(out)))
        left = [n for n in names(out) if n.endswith(".tmp")]
        assert left == []
        if len(names(out)) > 1:
            used = set(json.loads((out / INDEX).read_text())["weight_map"].values())
            assert {*used, INDEX} == set(names(out))
    assert counts[4] == counts[7] == 1
    assert max(counts) > 4


def test_the_same_run_gives_the_same_names_and_bytes(tmp_path: Path, source: Path) -> None:
    for name in ("a", "b"):
        for size in (60, 60):  # the second is published over the first, and so has a tag
            reshard(source, tmp_path / name, size)
    a, b = tmp_path / "a", tmp_path / "b"
    assert names(a) == names(b)
    assert all((a / n).read_bytes() == (b / n).read_bytes() for n in names(a))
    assert any(len(n) == len("model-00001-of-00006-01234567.safetensors") for n in names(a))


def test_other_files_stay(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("config.json", "model-00001-of-00002.txt", "other-00001-of-00002.safetensors"):
        (out / name).write_text("mine")
    reshard(source, out)
    reshard(source, out, "none")
    assert names(out)[0] == "config.json"
    assert len(names(out)) == 4


def test_ties_are_stored_once_or_repeated(tmp_path: Path) -> None:
    memory = Memory({"tok": count(30), "head": count(30), "z": count(30)}, ties={"head": "tok"})
    state = Checkpoint(memory, {}, None, "")
    out = tmp_path / "out"
    write(plan_reshard(state, out, 130))
    about = json.loads((out / INDEX).read_text())
    assert about["metadata"]["total_size"] == 240  # the tie counts once
    assert sorted(about["weight_map"]) == ["tok", "z"]
    with ws.open(out) as x:
        assert dict(x.ties) == {"head": "tok"}
        assert x.source.remarks == []
    write(plan_reshard(state, out, 130, "repeat"))
    assert sorted(theirs(out)) == ["head", "tok", "z"]
    with ws.open(out) as x:
        assert dict(x.ties) == {}


def test_layout_and_mappings_come_through(tmp_path: Path, source: Path) -> None:
    with ws.open(source) as x:
        hashes = mappings_of(x.source)
    reshard(source, tmp_path / "out")
    with ws.open(tmp_path / "out") as x:
        assert mappings_of(x.source) == hashes
        assert x.dialect == "torch"


def test_two_writers_of_one_folder(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    fd = os.open(out, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(OutputError, match="another writer is at work"):
        reshard(source, out)
    os.close(fd)
    reshard(source, out)


def test_a_folder_that_cannot_be_made(tmp_path: Path, source: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        reshard(source, tmp_path / "no" / "such" / "model.safetensors")
    (tmp_path / "plain").write_text("x")
    with pytest.raises(OutputError, match=r"File exists|Not a directory"):
        reshard(source, tmp_path / "plain" / "model.safetensors")


def test_an_index_needs_a_size(tmp_path: Path, source: Path) -> None:
    with pytest.raises(OutputError, match="is an index of shards: say how large"):
        ws.port(source, tmp_path / INDEX)


def test_a_plan_writes_shards(tmp_path: Path, source: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "weightsurgeon: 1\nsources: {a: in.safetensors}\n"
        "output: {from: a, path: out/, shard_size: 100B, ties: repeat}\n"
    )
    run(tmp_path / "p.yaml")
    assert len(theirs(tmp_path / "out")) == 6


# -- stopped at any moment -------------------------------------------------------------------

# For each number n that it hears, a child of it writes until the n-th call that the file system
# sees, and is killed there; it says how the child ended.
VICTIM = """
import os, signal, sys
from weightsurgeon.surgery import plan_reshard
from weightsurgeon.writing import write

source, out, size = sys.argv[1:]
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
for line in sys.stdin:
    child = os.fork()
    if not child:
        for name in ("pwrite", "copy_file_range", "fsync", "replace", "unlink", "posix_fallocate"):
            guarded(name, int(line))
        write(plan_reshard(source, out, size))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def victim(*args: object) -> Iterator[Callable[[int], int]]:
    """Kill a writer at its n-th call; how it ended."""
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, *map(str, args)],
        env={"PYTHONPATH": str(here.parent), "PATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def stopped(at: int) -> int:
            print(at, file=process.stdin, flush=True)
            return int(process.stdout.readline())  # type: ignore[union-attr]

        yield stopped
        process.stdin.close()


@pytest.mark.parametrize("before", ["set", "single", "nothing"])
def test_killed_at_any_call(tmp_path: Path, source: Path, before: str) -> None:
    """Answer 61: old whole or new whole; the next run sweeps all that was left."""
    other = save(tmp_path / "old.safetensors", {n: x[::-1].copy() for n, x in TENSORS.items()})
    old, new = ({n: x.tobytes() for n, x in load_file(p).items()} for p in (other, source))
    stood, out, stop = set[str](), tmp_path / "out", 0
    with victim(source, out, "150B") as stopped:
        while True:
            stop += 1
            for path in out.iterdir() if out.exists() else ():
                path.unlink()
            if before != "nothing":
                reshard(other, out, 150 if before == "set" else "none")
            ended = stopped(stop)
            if not ended:
                break
            assert ended == -signal.SIGKILL
            there = before != "nothing" or (out / INDEX).exists()
            found = values(out) if there else old
            assert found in (old, new), stop
            stood.add("old" if found == old else "new")
            reshard(source, out, 150)  # the next run
            assert values(out) == new
            used = set(json.loads((out / INDEX).read_text())["weight_map"].values())
            assert set(names(out)) == {*used, INDEX}, stop
    assert stop > 15
    assert stood == {"old", "new"}


@pytest.mark.parametrize(
    "name", ["posix_fallocate", "pwrite", "copy_file_range", "fsync", "replace"]
)
@pytest.mark.parametrize("stop", [1, 3])  # the second fsync is that of a folder: not an error
def test_a_full_disk_leaves_the_old_set(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, name: str, stop: int
) -> None:
    other = save(tmp_path / "old.safetensors", {n: x[::-1].copy() for n, x in TENSORS.items()})
    out = tmp_path / "out"
    reshard(other, out, 150)
    before = {n: (out / n).read_bytes() for n in names(out)}
    calls, call = 0, getattr(os, name)

    def full(*a: object, **k: object) -> object:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(*a, **k)

    monkeypatch.setattr(os, name, full)
    with pytest.raises(SurgeryError, match="No space left on device"):
        reshard(source, out, 150)
    assert {n: (out / n).read_bytes() for n in names(out)} == before


@pytest.mark.parametrize("before", [150, "none"])
def test_a_signal_leaves_the_old_set_or_the_new(
    tmp_path: Path, source: Path, before: str | int
) -> None:
    """Right behind the commit point, too, where what is published already must not go again."""
    other = save(tmp_path / "old.safetensors", {n: x[::-1].copy() for n, x in TENSORS.items()})
    old, new = ({n: x.tobytes() for n, x in load_file(p).items()} for p in (other, source))
    out, stood, stop = tmp_path / "out", list[bool](), 0
    while True:
        for path in out.iterdir() if out.exists() else ():
            path.unlink()
        reshard(other, out, before)
        stop += 1
        calls = 0
        with pytest.MonkeyPatch.context() as patch:
            for name in ("pwrite", "copy_file_range", "fsync", "replace", "unlink"):
                real = getattr(os, name)

                def behind(*a: object, real: Any = real, **k: object) -> object:
                    nonlocal calls
                    calls += 1
                    found = real(*a, **k)
                    if calls == stop:  # noqa: B023
                        raise Interrupted(15)
                    return found

                patch.setattr(os, name, behind)
            with suppress(Interrupted):
                reshard(source, out, 150)
        assert values(out) in (old, new), stop
        stood.append(values(out) == new)
        used = [out / INDEX] if (out / INDEX).exists() else []
        files = {f for i in used for f in json.loads(i.read_text())["weight_map"].values()}
        assert set(names(out)) == {*files, INDEX} if used else {"model.safetensors"}, stop
        if calls < stop:
            break
    assert stood == sorted(stood)
    assert False in stood
