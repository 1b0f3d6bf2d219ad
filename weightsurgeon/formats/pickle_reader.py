"""A pickle read as data, by our own interpreter.

Python's unpickler runs what a file names, can be made to take any memory by nine bytes, and is
not safe behind a list of allowed names either. This one makes plain values and our own records;
what the opcodes may do is in `pickle_opcodes`, what names may mean is in the caller's table.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import BrokenFile, LimitExceeded, RefusedFile, shown
from .pickle_machine import Global, Machine, Ordered, Refusal, Stop
from .pickle_opcodes import BINGET, BININT1, BINUNICODE, LONG_BINPUT, MARK, ROWS, TUPLE

__all__ = ["Global", "Ordered", "load", "paused_gc"]

MAX_MARKS = 1000  # open at once: values are nested, but not endlessly
_DAMAGE = (IndexError, KeyError, TypeError, ValueError, struct.error)


def load(
    data: bytes,
    table: Mapping[str, Global],
    persistent: Callable[[Any], Any],
    path: str = "",
    where: str = "",
) -> Any:
    """The value a pickle describes: plain values, and what `table` and `persistent` make of names.

    Errors: RefusedFile names every global that is not in the table, or an opcode that does more
    than describe values; BrokenFile for bytes that are no pickle; LimitExceeded.

    >>> load(b"\\x80\\x02}(X\\x01\\x00\\x00\\x00aK\\x01u.", {}, id)
    {'a': 1}
    """
    machine = Machine(data, table, persistent)
    with paused_gc():
        at, problem = _run(machine)
    if machine.unknown:
        names = _names(machine.unknown)
        what = f"asks for code, which is not run: {names}; save a plain state_dict instead"
        raise RefusedFile(path, where, what) from problem
    if isinstance(problem, Refusal):
        what = f"opcode {problem} at byte {at} does more than describe values"
        raise RefusedFile(path, where, what) from problem
    if isinstance(problem, StopIteration):
        raise LimitExceeded(path, where, f"declares too many objects for {len(data)} bytes")
    if problem is not None:
        raise BrokenFile(path, where, f"is no sound pickle at byte {at}: {_reason(problem)}")
    return machine.stack[0]


@contextmanager
def paused_gc() -> Iterator[None]:
    """No garbage collection: hundreds of thousands of fresh tuples, and none of them garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _run(m: Machine) -> tuple[int, Exception | None]:
    """Follow the opcodes to the end; the position of the last one, and what stopped it."""
    at, data, stack, memo, marks = 0, m.data, m.stack, m.memo, m.marks
    u32, rows = struct.Struct("<I").unpack_from, ROWS
    try:
        while True:  # not `while at >= 0`: CPython 3.11 would not specialise a loop that runs once
            code = data[at]
            if code == LONG_BINPUT:
                index = u32(data, at + 1)[0]
                memo.append(stack[-1]) if index == len(memo) else m.put(index)
                at += 5
            elif code == BININT1:
                stack.append(data[at + 1])
                at += 2
            elif code == BINGET:
                index = data[at + 1]
                stack.append(memo[index]) if index < len(memo) else m.get(index)
                at += 2
            elif code == BINUNICODE:
                end = at + 5 + u32(data, at + 1)[0]
                if end > len(data):
                    raise IndexError(f"a string would end at byte {end} of {len(data)}")
                stack.append(data[at + 5 : end].decode("utf-8", "surrogatepass"))
                at = end
            elif code == MARK:
                if len(marks) > MAX_MARKS:
                    raise StopIteration
                marks.append(len(stack))
                at += 1
            elif code == TUPLE:
                start = marks.pop()
                items = tuple(stack[start:])
                del stack[start:]
                stack.append(items)
                at += 1
            else:
                at = rows[code](m, at + 1)
    except Stop:
        return at, None
    except (Refusal, StopIteration, *_DAMAGE) as problem:
        return at, problem


def _names(unknown: Iterable[str]) -> str:
    names = [shown(name, 60) for name in unknown]
    more = f" and {len(names) - 5} more" if len(names) > 6 else ""
    return ", ".join(names[:5] if more else names) + more


def _reason(problem: Exception) -> str:
    return f"nothing is kept under {problem}" if isinstance(problem, KeyError) else str(problem)
