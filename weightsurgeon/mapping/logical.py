"""Names as a mapping sees them: what wrappers put in front of them or between taken off."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from ..formats.base import Checkpoint


@dataclass
class Names:
    """A checkpoint's names as a mapping sees them: an optional prefix taken off, once a file."""

    checkpoint: Checkpoint
    logical: dict[str, str] = field(default_factory=dict)  # as the mapping sees it → as it stands
    prefix: str = ""
    clashes: list[tuple[str, str]] = field(default_factory=list)  # names that would be one

    @cached_property
    def neutral(self) -> dict[str, str]:
        """The names without regard to separators → as they stand."""
        return {neutral(name): real for name, real in self.logical.items()}

    @cached_property
    def seen(self) -> dict[str, str]:
        """As a name stands → as the mapping sees it."""
        return {real: name for name, real in self.logical.items()}

    def find(self, name: str) -> str | None:
        """As the tensor that a mapping calls by this name stands in the file, if it is there."""
        return self.logical.get(name) or self.neutral.get(neutral(name))


def neutral(name: str) -> str:
    """A name in which `/` and `.` are the same."""
    return name.replace("/", ".")


def names_of(
    checkpoint: Checkpoint, prefixes: tuple[str, ...], segments: tuple[str, ...] = ()
) -> Names:
    """Take the first optional prefix that any name has off those that have it, segments off all.

    Where two names become one, the second keeps its prefix and both are among the clashes.
    """
    prefix = next((p for p in prefixes if any(_starts(n, p) for n in checkpoint)), "")
    found = Names(checkpoint, prefix=prefix)
    whole = set(checkpoint) if prefix or segments else set()
    for name in checkpoint:
        logical = name[len(prefix) :] if prefix and _starts(name, prefix) else name
        logical = without(logical, segments)
        if logical != name and (logical in whole or logical in found.logical):
            found.clashes.append((name, logical))
            logical = name
        found.logical[logical] = name
    return found


def without(name: str, segments: tuple[str, ...]) -> str:
    """A name without these segments, wherever they stand.

    >>> without("0._orig_mod.weight", ("_orig_mod",))
    '0.weight'
    """
    for segment in segments:
        kept = re.sub(rf"(^|(?<=[./])){re.escape(segment)}[./]", "", name)
        name = kept if kept else name
    return name


def _starts(name: str, prefix: str) -> bool:
    return neutral(name).startswith(neutral(prefix)) and len(name) > len(prefix)
