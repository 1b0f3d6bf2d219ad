"""JSON from an untrusted file: bounded before it is parsed, one meaning only.

Brackets and commas are counted first (a few megabytes of `[],` would take hundreds of memory);
a key that stands twice, NaN, and lone surrogates are refused.
"""

from __future__ import annotations

import gc
import json
from typing import Any

from ..errors import BrokenFile, LimitExceeded
from .base import Limits


def loads(data: bytes, path: str, where: str, limits: Limits) -> Any:
    """Parse JSON bytes, or raise `BrokenFile` or `LimitExceeded` with the place."""
    opened = data.count(b"{") + data.count(b"[")
    if opened > 4 * limits.tensors or data.count(b",") > 16 * limits.tensors:
        raise LimitExceeded(
            path, where, f"more than {limits.tensors} entries; raise --limit tensors"
        )
    enabled = gc.isenabled()
    gc.disable()  # a header of 50,000 tensors parses in less than half the time
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
        if b"\\ud" in data or b"\\uD" in data:  # pairs of them are characters, a lone one is none
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise LimitExceeded(path, where, "JSON is nested too deeply") from error
    except ValueError as error:
        raise BrokenFile(path, where, f"is no sound JSON: {error}") from error
    finally:
        if enabled:
            gc.enable()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
