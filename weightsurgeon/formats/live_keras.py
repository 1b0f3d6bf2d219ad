"""A live Keras layer or model: its variables read by blocks, and assigned in place.

Names are the canonical ones of its files (`block/conv/kernel`, the root's own name left out), so
that a model and what it saves agree; a layer alone has only leaves. Seeds, metrics and optimizer
are no weights. With the torch backend a variable's value is a torch tensor, and read as one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, SpecError, UnsupportedFile
from ..expr import Block, slices
from ..spec import DTYPES, TensorSpec, dtype_of
from .base import Carries, Slot
from .keras_names import ATTENTION, CELLS, VARIABLES
from .keras_source import slot_kind
from .live import LiveSource
from .live_keras_layers import layers_told

if TYPE_CHECKING:
    from ..expr import Array

CARRIES = Carries(frozenset(DTYPES), ties=True, templates=("live-keras",))
_BUILT = {*VARIABLES, *CELLS, *ATTENTION}  # classes that have variables once they are built


def open(layer: Any) -> KerasLive:
    """The variables of a layer or model.

    Errors: FormatError if it is not built yet, UnsupportedFile if two variables have one name.
    """
    return KerasLive(layer)


class KerasLive(LiveSource):
    """An open layer or model."""

    def __init__(self, root: Any) -> None:
        path = f"live {type(root).__name__} {root.name}"
        super().__init__(root, path, "live-keras", "keras")
        tree = list(walk(root))
        self._refuse_unbuilt(root, tree)
        told = layers_told(root, tree)
        for layer, variable in self._placed(tree, root.weights):
            leaf = variable.name
            name = f"{layer}/{leaf}" if layer else leaf
            if name in self.specs:
                what = "stands twice: give the layers names of their own"
                raise UnsupportedFile(path, name, what)
            self.specs[name] = TensorSpec(_dtype(path, name, variable), tuple(variable.shape))
            found = told.get(layer)
            if found is not None:
                kind = slot_kind(found, self.remarks)
                self.slots[name] = Slot(layer, kind, found.options, leaf)
            else:
                self.slots[name] = Slot(layer, "", {}, leaf)
            self.tensors[name] = variable

    def _refuse_unbuilt(self, root: Any, tree: list[tuple[str, Any]]) -> None:
        unbuilt = [n for n, x in tree if not x.built and type(x).__name__ in _BUILT]
        if not root.built or unbuilt:
            what = "is not built and has no values: call it once on data, or model.build(shape)"
            raise FormatError(self.path, ", ".join(filter(None, unbuilt[:5])), what)

    def _placed(self, tree: list[tuple[str, Any]], weights: list[Any]) -> Iterator[tuple[str, Any]]:
        """Each weight with its layer; one that two layers hold belongs to the inner, as on load."""
        places: dict[int, tuple[str, Any]] = {}
        wanted = {id(v) for v in weights}
        for layer, owner in tree:
            for variable in (*owner._trainable_variables, *owner._non_trainable_variables):
                held = places.get(id(variable))
                inner = held is None or layer.startswith(f"{held[0]}/" if held[0] else "")
                if id(variable) in wanted and inner:
                    places.pop(id(variable), None)
                    places[id(variable)] = layer, variable
        yield from places.values()

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block."""
        from ..expr import fresh
        from ..kernels import copy

        spec, value = self.specs[name], self.tensors[name].value
        if hasattr(value, "untyped_storage"):
            from .live_torch import read_tensor

            return read_tensor(value, spec, block, out)
        import numpy as np

        values = np.asarray(value[slices(block)] if block else value)
        out = fresh(spec, block) if out is None else out
        copy(out, values)
        return out

    def memory(self, name: str) -> Hashable:
        """Variables share no memory, unless they are torch's."""
        value = self.tensors[name].value
        if hasattr(value, "untyped_storage"):
            from .live_torch import storage_of

            return storage_of(value)
        return "keras", id(self.tensors[name])

    def assign(self, name: str, values: Array) -> None:
        """Assign the variable; it stays the same object, with the same dtype."""
        variable = self.tensors[name]
        if hasattr(variable.value, "untyped_storage"):
            from .live_torch import write_tensor

            write_tensor(variable.value, values)
        else:
            variable.assign(values)


def walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Every layer once, with its canonical name; "" is the root."""
    stack, seen = [("", root)], set[int]()
    while stack:
        name, layer = stack.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield name, layer
        inner = [(f"{name}/{x.name}" if name else x.name, x) for x in layer._layers]
        stack.extend(reversed(inner))


def _dtype(path: str, name: str, variable: Any) -> Any:
    try:
        return dtype_of(variable.dtype)
    except SpecError as error:
        raise UnsupportedFile(path, name, str(error)) from error
