"""What the opcodes of a pickle work on: a stack, marks in it, and a memo; and what names become.

A global is looked up in a table and never imported; what calling it makes is ours. One that is in
no table is noted and stands for itself to the end, so that a refusal can name them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Global(NamedTuple):
    """A name that a pickle may use, and what calling it makes; None for a plain name."""

    name: str
    make: Callable[..., Any] | None = None


class Unknown(NamedTuple):
    """A name that is in no table, and whatever was to be made with it."""

    name: str


class Ordered(dict[Any, Any]):
    """An OrderedDict, and the attributes that were set on it (`_metadata` of a state dict)."""

    state: Mapping[Any, Any] = MappingProxyType({})


class Stop(Exception):
    """The end: one value, and nothing behind it."""


class Refusal(Exception):
    """An opcode that does more than describe values."""


class Machine:
    """What the opcodes work on: a stack, the heights at which marks stand, and a memo."""

    __slots__ = (
        "data",
        "far",
        "globals",
        "marks",
        "memo",
        "persistent",
        "spend",
        "stack",
        "unknown",
    )

    def __init__(
        self, data: bytes, table: Mapping[str, Global], persistent: Callable[[Any], Any]
    ) -> None:
        self.data, self.globals, self.persistent = data, table, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []  # writers number from 0, and a list is light
        self.far: dict[int, Any] = {}  # but must not become as long as an index asks for
        self.unknown: dict[str, None] = {}
        # an opcode of one byte may make an object of a hundred: only so many of them
        self.spend = iter(range(100_000 + len(data) // 3)).__next__

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark; the mark goes too."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def put(self, index: int) -> None:
        """Remember the last value under a number."""
        if index == len(self.memo):
            self.memo.append(self.stack[-1])
        else:
            known = self.memo if index < len(self.memo) else self.far
            known[index] = self.stack[-1]

    def get(self, index: int) -> None:
        """Push what is remembered under a number."""
        self.stack.append(self.memo[index] if index < len(self.memo) else self.far[index])

    def slice(self, at: int, nbytes: int) -> bytes:
        """Exactly these bytes: the length is checked before anything is taken."""
        if at + nbytes > len(self.data):
            raise IndexError(f"{nbytes} bytes are declared, {len(self.data) - at} are left")
        return self.data[at : at + nbytes]

    def find(self, module: str, name: str) -> Global | Unknown:
        """What a global means here."""
        full = f"{module}.{name}"
        found = self.globals.get(full)
        if found is None:
            self.unknown[full] = None
            return Unknown(full)
        return found


def extend(target: Any, items: list[Any]) -> None:
    """Append to a list."""
    if type(target) is list:
        target += items
    elif type(target) is not Unknown:
        raise TypeError(f"items are appended to a {type(target).__name__}")


_KEYS = {str, int, bool, float, bytes, type(None), Global, Unknown}


def set_items(target: Any, keys: list[Any], values: list[Any]) -> None:
    """Set keys of a dict, each once."""
    if type(target) is Unknown:
        return
    if type(target) not in (dict, Ordered) or len(keys) != len(values):
        raise TypeError(f"keys are set on a {type(target).__name__}")
    if not all(type(k) in _KEYS for k in keys):
        _check_tuples(keys)
    size = len(target)
    target.update(zip(keys, values, strict=True))
    if len(target) != size + len(keys):
        raise ValueError("a key stands twice in a dict")


def _check_tuples(keys: list[Any]) -> None:
    """A key may be a tuple, but a flat one: hashing a deep one ends the process."""
    for key in keys:
        parts = key if type(key) is tuple else (key,)
        if not all(type(part) in _KEYS for part in parts):
            raise TypeError(f"a {type(key).__name__} is no key of a dict here")
