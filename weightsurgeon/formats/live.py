"""Live models: found without importing a framework, read as a Source, written in place by a Sink.

An object of a class that stems from torch's Module or Keras' Layer proves that the framework is
loaded already, and its class says so by the name of its module. Everything else is not a model.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from ..errors import FormatError, OutputError, shown
from ..expr import Block, fresh, slices, whole
from ..spec import TensorSpec
from .base import Shape, Source

if TYPE_CHECKING:
    from ..expr import Array


class TorchModule(Protocol):
    """Any `torch.nn.Module`."""

    @property
    def state_dict(self) -> Any:
        """Its tensors by name."""


class KerasLayer(Protocol):
    """Any layer or model of Keras 3."""

    @property
    def get_weights(self) -> Any:
        """The values of its variables."""


Live = TorchModule | KerasLayer

# container → the module that reads and writes it, and the class that its models stem from; Keras
# first, as with its torch backend a layer is a torch module as well
LIVE = {
    "live-keras": (".live_keras", "keras.src.layers.layer", "Layer"),
    "live-torch": (".live_torch", "torch.nn.modules.module", "Module"),
}


def container_of(model: object) -> str | None:
    """The row of `LIVE` that an object belongs to; None if it is no live model.

    >>> container_of("model.pt") is None
    True
    """
    stems = {(c.__module__, c.__name__) for c in type(model).__mro__}
    return next((name for name, (_, *stem) in LIVE.items() if tuple(stem) in stems), None)


def is_live(model: object) -> TypeGuard[Live]:
    """Is this a model of a framework, and not a path?"""
    return container_of(model) is not None


def module_of(container: str) -> Any:
    """The module that reads and writes such models; its framework is there already."""
    return import_module(LIVE[container][0], __package__)


def open_live(model: Live) -> LiveSource:
    """The tensors of a live model, in its own names.

    Errors: FormatError if it is no model, has no values yet, or tensors that are no plain arrays.
    """
    container = container_of(model)
    if container is None:
        what = "is neither a path nor a live model (a torch.nn.Module, or a layer of Keras 3)"
        raise FormatError(f"a {type(model).__name__}", "", what)
    source: LiveSource = module_of(container).open(model)
    return source


class LiveSource(Source):
    """A live model: `tensors` are its own objects, by name, so that they can be written in place.

    tensors  name → the framework's Parameter, tensor or Variable; tied names are left out
    fixed    name → why it cannot be written in place
    """

    def __init__(self, model: Any, path: str, container: str, dialect: str) -> None:
        super().__init__(path, container, dialect)
        self.model = model
        self.tensors: dict[str, Any] = {}
        self.fixed: dict[str, str] = {}

    def memory(self, name: str) -> Hashable:
        """What two tensors have in common if one is changed by writing the other."""
        raise NotImplementedError

    def assign(self, name: str, values: Array) -> None:
        """Give a tensor new values: the same object, dtype and device, and no autograd."""
        raise NotImplementedError


class LiveSink:
    """Writes a live model in place, each tensor whole, as soon as all of it is computed.

    There is no commit for others to see: what can be checked is checked before. Tensors that
    other outputs are computed from (`held`) are written last. `changed` are those written so far.
    """

    durable = False

    def __init__(
        self, source: LiveSource, specs: Mapping[str, TensorSpec], held: Container[str] = ()
    ) -> None:
        self.path, self.source, self.specs, self.held = source.path, source, specs, held
        self.changed: list[str] = []
        self._lock = Lock()
        self._whole: dict[str, Array] = {}
        self._left = {name: spec.size for name, spec in specs.items()}
        refused = [f"{shown(n)}: {source.fixed[n]}" for n in specs if n in source.fixed]
        if refused:
            raise OutputError(f"{shown(self.path)} cannot be written in place: {refused[0]}")

    def write(self, name: str, block: Block, values: Array, shape: Shape | None = None) -> None:
        """Keep a block; with the last one of a tensor, write the tensor."""
        from ..kernels import copy

        kept = self._kept(name)
        place = kept if shape is None else kept.reshape(shape)
        where: tuple[Any, ...] = (*slices(block), ...)  # with ... a 0-d array stays an array
        copy(place[where], values)
        with self._lock:
            self._left[name] -= values.size
            done = not self._left[name] and name not in self.held
        if done:
            self._assign(name)

    def _kept(self, name: str) -> Array:
        """Memory for all of a tensor, as several threads bring its blocks."""
        with self._lock:
            if name not in self._whole:
                self._whole[name] = fresh(self.specs[name], whole(self.specs[name]))
            return self._whole[name]

    def _assign(self, name: str) -> None:
        values = self._whole.pop(name)
        try:
            self.source.assign(name, values)
        except Exception as error:
            what = f"{shown(name)} of {shown(self.path)} cannot be written: {error}"
            raise OutputError(what) from error
        self.changed.append(name)

    def extent(self, name: str) -> None:
        """A live tensor is no run of bytes of a file."""

    def written(self, nbytes: int) -> None:
        """Nothing to hint."""

    def commit(self) -> None:
        """Write what was held."""
        for name in list(self._whole):
            self._assign(name)

    def abort(self) -> None:
        """Forget what was not written."""
        self._whole.clear()
