"""A `torch.nn.Module` run and traced by forward hooks, which are taken away again.

Values are copied as they are seen: a module may write in its input. In evaluation mode, and
without autograd; the modes are put back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import TYPE_CHECKING, Any

from .running import Call, Input, asking, tensors_in

if TYPE_CHECKING:
    from ..expr import Array


def inputs_of(module: Any) -> Sequence[Input] | None:
    """A module does not tell what it takes."""
    return None


def run(
    module: Any,
    arrays: Sequence[Array],
    names: Sequence[str],
    traced: Collection[str],
    calls: list[Call],
) -> tuple[Array, ...]:
    """The outputs of a module; arrays are named where its forward knows all of their names."""
    import torch

    given = [_given(module, x) for x in arrays]
    known = signature(module.forward).parameters
    by_name = bool(names) and all(name in known for name in names)
    named = dict(zip(names, given, strict=True)) if by_name else {}
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad(), _evaluating(module), _hooked(module, traced, calls):
        torch.backends.mha.set_fastpath_enabled(fast and not traced)  # it calls no inner module
        try:
            with asking():
                made = module(*given[: 0 if by_name else None], **named)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
    return _arrays(made)


def _given(module: Any, array: Array) -> Any:
    """An array as the module wants it: on its device, floats in its dtype, indices as int64."""
    import numpy as np
    import torch

    like = next((x for x in module.state_dict().values() if x.is_floating_point()), None)
    x = torch.from_numpy(np.ascontiguousarray(array).copy())
    if x.is_floating_point() and like is not None:
        return x.to(like.device, like.dtype)
    whole = x.to(torch.int64) if not x.is_floating_point() and x.dtype != torch.bool else x
    return whole if like is None else whole.to(like.device)


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    modes = {x: x.training for x in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for x, mode in modes.items():
            x.training = mode


@contextmanager
def _hooked(module: Any, traced: Collection[str], calls: list[Call]) -> Iterator[None]:
    """Hooks on every module, as long as this lasts, where anything is traced."""
    hooks = []
    for name, inner in module.named_modules() if traced else ():
        if "parametrizations" not in name.split("."):
            hooks += _hooks(name, inner, name in traced, calls)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(name: str, module: Any, wanted: bool, calls: list[Call]) -> list[Any]:
    taken: list[tuple[Array, ...]] = []
    leaf = not any("parametrizations" not in n for n, _ in module.named_children())

    def before(_: Any, args: Any, kwargs: Any) -> None:
        taken.append(_arrays([*args, *kwargs.values()]) if wanted else ())

    def after(_: Any, __: Any, made: Any) -> None:
        given = _arrays(made) if wanted else ()
        calls.append(Call(name, type(module).__name__, taken.pop(), (), given, leaf))

    return [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]


def _arrays(value: Any) -> tuple[Array, ...]:
    """Copies of tensors as numpy; what numpy has no float for, as float32."""
    import torch

    found = []
    for x in tensors_in(value):
        if not isinstance(x, torch.Tensor):
            continue
        small = x.is_floating_point() and x.dtype not in (torch.float32, torch.float64)
        found.append((x.float() if small else x).detach().cpu().numpy().copy())
    return tuple(found)
