"""Workers: a few threads, each with memory of its own that is used again for every block.

Fresh pages cost as much as the copy into them, and what is never allocated anew cannot grow with
the checkpoint. Threads pay because numpy's copies release the interpreter's lock.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

from .expr import Block, block_shape, fresh
from .spec import TensorSpec

if TYPE_CHECKING:
    from .expr import Array

WORKERS = min(2, os.cpu_count() or 1)
SCRATCH_BYTES = 17 * 2**20  # a 2048×2048 float32 kernel is read whole; see benchmarks
PIECE_BYTES = 2**21  # what is written at once: stays in the cache between the two copies
LINE = 64  # a write is fastest where memory and file agree modulo a cache line


class Workspace:
    """One worker's buffers: scratch for what is read, a piece for what is about to be written."""

    def __init__(self, scratch_bytes: int = SCRATCH_BYTES) -> None:
        import numpy as np

        self._memory = np.frombuffer(mmap.mmap(-1, scratch_bytes), np.uint8)
        self._piece = np.frombuffer(mmap.mmap(-1, PIECE_BYTES + LINE), np.uint8)
        self._used = 0

    def reset(self) -> None:
        """All arrays handed out since the last reset are done with."""
        self._used = 0

    def __call__(self, spec: TensorSpec, block: Block) -> Array:
        """An array from the scratch; beyond its end, a fresh one."""
        shape = block_shape(block)
        nbytes = prod(shape) * spec.dtype.itemsize
        start, end = self._used, self._used + nbytes
        if end > len(self._memory):
            return fresh(spec, block)
        self._used = -(-end // LINE) * LINE
        return self._memory[start:end].view(spec.dtype.numpy()).reshape(shape)

    def piece(self, spec: TensorSpec, block: Block, offset: int) -> Array:
        """An array of at most `PIECE_BYTES`, placed in its line as it will lie in the file."""
        shape = block_shape(block)
        nbytes = prod(shape) * spec.dtype.itemsize
        start = offset % LINE
        if nbytes > PIECE_BYTES or start % spec.dtype.itemsize:
            return fresh(spec, block)
        part = self._piece[start : start + nbytes]
        return part.view(spec.dtype.numpy()).reshape(shape)


def in_parallel(
    work: Callable[[Any, Workspace], None], tasks: Iterable[Any], workers: int = WORKERS
) -> None:
    """Do all tasks on a few threads; the first error stops the rest and is raised here."""
    queue, lock = iter(tasks), threading.Lock()
    errors: list[BaseException] = []

    def serve() -> None:
        space = None
        while not errors:
            with lock:
                task = next(queue, None)
            if task is None:
                return
            space = space or Workspace()  # no task, no numpy
            work(task, space)

    def guarded() -> None:
        try:
            serve()
        except BaseException as error:  # noqa: BLE001  # carried to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # a join without timeout would not hear a signal
                thread.join(0.05)
    except BaseException as error:
        errors.append(error)  # the workers see it and stop before their next task
        for thread in threads:
            with suppress(RuntimeError):  # it was not started
                thread.join()
        raise
    if errors:
        raise errors[0]
