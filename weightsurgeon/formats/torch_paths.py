"""The names of what was saved: paths through dicts, lists and tuples, joined by dots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import LimitExceeded, UnsupportedFile
from .base import Limits
from .torch_objects import Tensor

ALONE = "tensor"  # the name of a tensor that was saved without one


def leaves(value: Any, limits: Limits, path: str) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything inside that is no dict, list or tuple, in order.

    Errors: LimitExceeded for what is nested too deeply (or in itself) or never ends;
    UnsupportedFile for a tensor under a key that makes no name.
    """
    left = 4 * limits.tensors
    stack = [("", iter([(ALONE, value)]) if not _is_folder(value) else _children(value, "", path))]
    while stack:
        prefix, children = stack[-1]
        for key, child in children:
            name = f"{prefix}.{key}" if len(stack) > 1 else key
            left -= 1
            if left < 0 or len(stack) > limits.depth:
                what = "is nested too deeply or holds too many values"
                raise LimitExceeded(path, name, f"{what}; raise --limit depth or tensors")
            if _is_folder(child):
                stack.append((name, _children(child, name, path)))
                break
            yield name, child
        else:
            stack.pop()


def _is_folder(value: Any) -> bool:
    return isinstance(value, dict) or type(value) in (list, tuple)


def _children(value: Any, name: str, path: str) -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in pairs:
        if type(key) not in (str, int) and (type(child) is Tensor or _is_folder(child)):
            what = f"a {type(key).__name__} is a key here; tensors have keys of text or numbers"
            raise UnsupportedFile(path, name, what)
        yield str(key), child
