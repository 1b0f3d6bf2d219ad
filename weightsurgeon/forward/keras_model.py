"""A Keras layer or model run and traced: its layers' `call` and `activation` are listened to.

Both are attributes of the layer object while the trace lasts. What a Dense or a convolution gives
before its own activation is seen as well: torch's layers have no activation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ..formats.live_keras import walk
from .running import Call, Input, asking, tensors_in

if TYPE_CHECKING:
    from ..expr import Array


def inputs_of(model: Any) -> Sequence[Input] | None:
    """The inputs of a model with a graph, or of a layer that was built for one input."""
    found = getattr(model, "inputs", None)
    if found:
        return [
            Input(x.name, tuple(x.shape), _entries(model, x) if _index(model, x) else None)
            for x in found
        ]
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values()), None) if len(shapes) == 1 else None
    if shape is None or not all(n is None or isinstance(n, int) for n in shape):
        return None
    return [Input("", tuple(shape), getattr(model, "input_dim", None))]


def _takers(model: Any, x: Any) -> Iterator[Any]:
    """The embeddings that an input of a model goes into."""
    for _, layer in walk(model):
        taken = (t for node in layer._inbound_nodes for t in node.input_tensors)
        if type(layer).__name__.endswith("Embedding") and any(t is x for t in taken):
            yield layer


def _index(model: Any, x: Any) -> bool:
    return "int" in str(x.dtype) or any(True for _ in _takers(model, x))


def _entries(model: Any, x: Any) -> int:
    """How many entries all embeddings have that it may go into."""
    inside = [y.input_dim for _, y in walk(model) if type(y).__name__.endswith("Embedding")]
    return int(min([y.input_dim for y in _takers(model, x)] or inside or [2]))


def run(
    model: Any,
    arrays: Sequence[Array],
    names: Sequence[str],
    traced: Collection[str],
    calls: list[Call],
) -> tuple[Array, ...]:
    """The outputs of a model; arrays are told apart by name where it has inputs of these names."""
    import keras

    inputs = [x.name for x in getattr(model, "inputs", None) or ()]
    if names and sorted(names) == sorted(inputs):
        arrays = [arrays[list(names).index(name)] for name in inputs]
    given = [keras.ops.convert_to_tensor(x) for x in arrays]
    struct = getattr(model, "_inputs_struct", None)  # of a Functional: how its inputs are held
    with _without_autograd(), _listening(model, traced, calls):
        if isinstance(struct, dict):
            made = _called(model, [dict(zip(struct, given, strict=True))])
        elif inputs and len(given) > 1:
            made = _called(model, [given])
        else:
            made = _called(model, given)
    return _arrays(made)


def _called(model: Any, given: list[Any]) -> Any:
    takes = getattr(model, "_call_has_training_arg", True)
    with asking():
        return model(*given, training=False) if takes else model(*given)


def _without_autograd() -> Any:
    import keras

    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


@contextmanager
def _listening(model: Any, traced: Collection[str], calls: list[Call]) -> Iterator[None]:
    """Every layer tells its calls, as long as this lasts, where anything is traced."""
    undo = list[Callable[[], None]]()
    try:
        for name, layer in walk(model) if traced else ():
            undo.append(_listen(name, layer, name in traced, calls))
        yield
    finally:
        for back in undo:
            back()


def _listen(name: str, layer: Any, wanted: bool, calls: list[Call]) -> Callable[[], None]:
    held, before = vars(layer), dict(vars(layer))
    call, own = layer.call, held.get("activation")
    cores: list[tuple[Array, ...]] = []
    kind = _kind(layer)

    def listened(*args: Any, **kwargs: Any) -> Any:
        taken = _arrays([*args, *kwargs.values()]) if wanted else ()
        cores.clear()
        made = call(*args, **kwargs)
        given = _arrays(made) if wanted else ()
        core = cores[-1] if cores else ()
        calls.append(Call(name, kind, taken, core, given, not layer._layers))
        return made

    def activated(x: Any, *args: Any, **kwargs: Any) -> Any:
        cores.append(_arrays(x))
        return own(x, *args, **kwargs)

    held["call"] = listened
    if wanted and callable(own):
        held["activation"] = activated

    def back() -> None:
        for key in ("call", "activation"):
            if key in before:
                held[key] = before[key]
            else:
                held.pop(key, None)

    return back


def _kind(layer: Any) -> str:
    """The class of a layer; of an Activation, its function."""
    own = getattr(layer, "activation", None)
    if type(layer).__name__ == "Activation" and own is not None:
        return str(getattr(own, "__name__", type(own).__name__))
    return type(layer).__name__


def _arrays(value: Any) -> tuple[Array, ...]:
    """Copies of tensors as numpy; what numpy has no float for, as float32."""
    import keras
    import numpy as np

    found = []
    for x in tensors_in(value):
        plain = x
        if keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16"):
            plain = keras.ops.cast(x, "float32")
        found.append(np.array(keras.ops.convert_to_numpy(plain)))
    return tuple(found)
