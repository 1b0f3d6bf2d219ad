"""The names of what was saved: paths through dicts, lists and tuples, joined by dots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import LimitExceeded, UnsupportedFile
from .pickle_machine import Ordered
from .torch_objects import Tensor

ALONE = "tensor"  # the name of a tensor that was saved without one


def leaves(value: Any, most: int, depth: int, path: str) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything inside that is no dict, list or tuple, in order.

    Errors: LimitExceeded beyond `depth` (as what holds itself is) or `most` characters of all names
    together; UnsupportedFile for a tensor under a key that makes no name.
    """
    stack = [("", iter([(ALONE, value)]) if not _is_folder(value) else _children(value, "", path))]
    while stack:
        prefix, children = stack[-1]
        for key, child in children:
            name = f"{prefix}.{key}" if len(stack) > 1 else key
            most -= 1 + len(name)
            if most < 0 or len(stack) > depth:
                what = "is nested too deeply; raise --limit depth"
                if most < 0:
                    what = "repeats itself or its names without end"
                raise LimitExceeded(path, name, what)
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


def versions(value: Any) -> dict[str, dict[str, int]]:
    """`_metadata` of a state dict, {module: {"version": n}}, as far as it is of that form."""
    found = value.state.get("_metadata") if isinstance(value, Ordered) else None
    if not isinstance(found, dict):
        return {}
    return {
        module: {"version": about["version"]}
        for module, about in found.items()
        if type(module) is str and type(about) is dict and type(about.get("version")) is int
    }
