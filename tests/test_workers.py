"""Workers do every task, stop at the first error, and hand out memory that is theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from weightsurgeon import workers
from weightsurgeon.errors import Interrupted, SpecError
from weightsurgeon.spec import DTYPES, TensorSpec
from weightsurgeon.workers import LINE, Workspace, in_parallel

F4 = TensorSpec(DTYPES["float32"], (100,))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_every_task_is_done_once(number: int) -> None:
    done, spaces, lock = list[int](), set[int](), threading.Lock()

    def work(task: int, space: Workspace) -> None:
        with lock:
            done.append(task)
            spaces.add(id(space))

    in_parallel(work, iter(range(200)), number)
    assert sorted(done) == list(range(200))
    assert len(spaces) <= number
    in_parallel(work, [], number)


def test_the_first_error_stops_the_rest() -> None:
    done = list[int]()

    def work(task: int, space: Workspace) -> None:
        done.append(task)
        if task == 3:
            raise SpecError("three", "size")
        time.sleep(0.001)

    with pytest.raises(SpecError, match="three"):
        in_parallel(work, range(10_000), 2)
    assert len(done) < 100


def test_an_error_of_the_tasks_themselves_is_raised() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise SpecError("no more")

    with pytest.raises(SpecError, match="no more"):
        in_parallel(lambda task, space: None, tasks(), 2)


def test_a_signal_waits_for_the_workers_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    running, started = set[int](), threading.Event()

    def work(task: int, space: Workspace) -> None:
        running.add(task)
        started.set()
        time.sleep(0.02)
        running.discard(task)

    join = threading.Thread.join

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        if timeout is not None and started.is_set():
            raise Interrupted(15)
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(Interrupted, match="signal 15"):
        in_parallel(work, range(10_000), 2)
    assert not running


def test_scratch_is_given_out_once_until_it_is_reset() -> None:
    space = Workspace(1024)
    a, b = space(F4, ((0, 10),)), space(F4, ((0, 10),))
    assert not np.shares_memory(a, b)
    assert all(x.ctypes.data % LINE == 0 for x in (a, b))
    big = space(F4, ((0, 100),))[:]
    again = space(F4, ((0, 100),))
    third = space(F4, ((0, 100),))
    assert not np.shares_memory(big, again)
    assert not np.shares_memory(again, third)
    assert third.shape == (100,)  # beyond the end: fresh
    space.reset()
    assert np.shares_memory(space(F4, ((0, 10),)), a)
    assert space(F4._replace(shape=()), ()).shape == ()


def test_a_piece_lies_in_its_line_as_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PIECE_BYTES", 256)
    space = Workspace(64)
    for offset in (0, 4, 60, 64, 4100):
        piece = space.piece(F4, ((0, 64),), offset)
        assert piece.ctypes.data % LINE == offset % LINE
        assert np.shares_memory(piece, space._piece)
    for unfit in (space.piece(F4, ((0, 65),), 0), space.piece(F4, ((0, 4),), 2)):
        assert not np.shares_memory(unfit, space._piece)
