"""The verb `verify`: values of two checkpoints, or outputs of two live models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, overload

from .comparison import Verification, compare
from .errors import OutputError
from .forward import Forward
from .forward import forward as run_both
from .mapping.rules import Mapping as Rules
from .reducing import Progress
from .steps.sides import Openable, PathLike, Sources, opened, rules_of, source_of, stated


@overload
def verify(
    a: Sources,
    b: Openable,
    mapping: PathLike | Rules | None = None,
    atol: float | None = None,
    progress: Progress | None = None,
    sizes: Mapping[str, int] | None = None,
    forward: Literal[False] = False,
    data: None = None,
) -> Verification: ...


@overload
def verify(
    a: Openable,
    b: Openable,
    mapping: PathLike | Rules | None = None,
    atol: float | None = None,
    progress: Progress | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    forward: Literal[True],
    data: Any = None,
) -> Forward: ...


def verify(
    a: Sources,
    b: Openable,
    mapping: PathLike | Rules | None = None,
    atol: float | None = None,
    progress: Progress | None = None,
    sizes: Mapping[str, int] | None = None,
    forward: bool = False,
    data: Any = None,
) -> Verification | Forward:
    """Compare the values of two checkpoints, the first seen through a mapping.

    Of a mapping with several sources `a` is a dict by alias, as for `port`.
    `atol` is the largest difference that still counts as equal; 0, the default, asks for the same
    bits. With `forward` the outputs of two live models for the same input are compared, to 1e-5
    unless `atol` says otherwise; if they differ, the first layers that part are named, with what
    explains it. `data` is that input as `a` takes it: an array, several, a dict, an .npz.
    Returns a `Verification` or `Forward`; its `equal` says whether everything agrees.
    """
    rules = rules_of(mapping, accept=True)  # nothing is written; it may settle a doubt
    here = source_of(a, rules)
    there = opened(b, *stated(rules, "target"))
    if forward:
        return run_both(here, there, rules, data, atol, sizes or {})
    if data is not None:
        raise OutputError("data: is the input of two live models: give forward=True as well")
    return compare(here, there, rules, atol or 0.0, progress, sizes or {})
