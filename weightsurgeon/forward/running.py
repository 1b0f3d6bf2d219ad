"""Running a live model: arrays in, arrays out, and what each layer took and gave on the way.

Which framework it is, its container tells; the module of that framework does the rest. Models are
run as they are used, not as they are trained, and nothing of them is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import FormatError, shown
from ..formats.base import Checkpoint
from ..formats.live import LiveSource

if TYPE_CHECKING:
    from ..expr import Array

MODULES = {"live-torch": ".torch_model", "live-keras": ".keras_model"}


class Call(NamedTuple):
    """A call of a layer; of layers nobody asked for, arrays are left out.

    kind     its class; of an activation layer, the name of the function
    core     what it gave before its own activation, where it has one
    leaf     whether it holds no other layer
    """

    layer: str
    kind: str
    inputs: tuple[Array, ...]
    core: tuple[Array, ...]
    outputs: tuple[Array, ...]
    leaf: bool


class Run(NamedTuple):
    """What a model gave, its calls in the order in which they ended, and why it gave nothing."""

    outputs: tuple[Array, ...]
    calls: tuple[Call, ...] = ()
    refused: FormatError | None = None


class Input(NamedTuple):
    """What a model says of one of its inputs; None where a size is free.

    entries  how many numbers an index may be, where indices are wanted
    """

    name: str
    shape: tuple[int | None, ...]
    entries: int | None = None


class Runner(Protocol):
    """What the module of a framework has."""

    def inputs_of(self, model: Any) -> Sequence[Input] | None:
        """The inputs that the model tells of; None where it does not."""

    def run(
        self,
        model: Any,
        arrays: Sequence[Array],
        names: Sequence[str],
        traced: Collection[str],
        calls: list[Call],
    ) -> tuple[Array, ...]:
        """Run it on the arrays; `calls` takes those of its layers, if any are to be traced."""


def model_of(checkpoint: Checkpoint) -> tuple[Runner, Any]:
    """The live model behind a checkpoint, and who runs it.

    Errors: FormatError where it is a file: no code is run for one.
    """
    source = checkpoint.source
    if not isinstance(source, LiveSource):
        what = "is a file: outputs are of live models, on the command line of module:callable"
        raise FormatError(checkpoint.path, "", what)
    runner: Any = import_module(MODULES[source.container], __package__)
    return runner, source.model


def run(
    checkpoint: Checkpoint,
    arrays: Sequence[Array],
    names: Sequence[str] = (),
    traced: Collection[str] = (),
) -> Run:
    """The outputs of a live model, with the calls of some of its layers as far as it came."""
    runner, model = model_of(checkpoint)
    calls: list[Call] = []
    try:
        return Run(runner.run(model, arrays, names, traced, calls), tuple(calls))
    except Refusal as error:
        shapes = ", ".join(f"{x.dtype} {x.shape}" for x in arrays)
        what = f"cannot be run on {shapes}: {shown(error, 500)}"
        refused = FormatError(checkpoint.path, "", f"{what}; give its inputs as data")
        return Run((), tuple(calls), refused)


class Refusal(Exception):
    """What the code of a model says to its input."""


@contextmanager
def asking() -> Iterator[None]:
    """Around the call of a model: it is code of the user's, its errors are no bugs of ours."""
    try:
        yield
    except Exception as error:
        raise Refusal(f"{type(error).__name__}: {error}") from error


def tensors_in(value: Any) -> Iterator[Any]:
    """The tensors of what a layer takes or gives, in order: tuples, lists and dicts are opened."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value
    elif hasattr(value, "values") and hasattr(value, "keys"):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from tensors_in(inner)
