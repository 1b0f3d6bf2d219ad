"""A live `torch.nn.Module`: its state dict read by blocks, and written in place.

The names are those of `state_dict()`: tied ones are all there, non-persistent buffers are not. What
a tensor is, its module's class and attributes tell exactly. Nothing here takes part in autograd.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import SpecError, UnsupportedFile, shown
from ..expr import Block, slices
from ..spec import DTYPES, TensorSpec, dtype_of
from .base import Carries
from .live import LiveSource
from .live_torch_layers import slot_of

if TYPE_CHECKING:
    from ..expr import Array

CARRIES = Carries(frozenset(DTYPES), ties=True, templates=("live-torch",))


def open(module: Any) -> TorchLive:
    """The tensors of a module.

    Errors: UnsupportedFile for one without values (a meta or lazy module), or that is no array.
    """
    return TorchLive(module)


class TorchLive(LiveSource):
    """An open module."""

    def __init__(self, module: Any) -> None:
        super().__init__(module, f"live {type(module).__name__}", "live-torch", "torch")
        found = module.state_dict(keep_vars=True)  # the Parameters themselves
        own = {id(x) for _, x in (*module.named_parameters(), *module.named_buffers())}
        stored: dict[Hashable, str] = {}
        for name, x in found.items():
            if not hasattr(x, "untyped_storage"):
                self.remarks.append(f"{name} is a {type(x).__name__}, no tensor: left out")
                continue
            self._refuse(name, x)
            self.specs[name] = TensorSpec(_dtype(self.path, name, x), tuple(x.shape))
            self.slots[name] = slot_of(module, name)
            first = stored.setdefault(place_of(x), name)
            if first != name and x.numel():
                self.ties[name] = first
                continue
            self.tensors[name] = x
            if why := _fixed(x, id(x) in own):
                self.fixed[name] = why
        self.remarks += _overlaps(self.tensors)

    def _refuse(self, name: str, x: Any) -> None:
        for why in _refused(x):
            raise UnsupportedFile(self.path, name, why)

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block; of a tensor on another device, only the block comes here."""
        return read_tensor(self.tensors[name], self.specs[name], block, out)

    def memory(self, name: str) -> Hashable:
        """Its storage: views of one are written together."""
        return storage_of(self.tensors[self.ties.get(name, name)])

    def assign(self, name: str, values: Array) -> None:
        """Copy values into the tensor, outside of autograd."""
        write_tensor(self.tensors[name], values)


# -- one tensor ------------------------------------------------------------------------------


def storage_of(x: Any) -> Hashable:
    """The memory that a tensor is a view of."""
    return str(x.device), x.untyped_storage().data_ptr() or id(x)


def place_of(x: Any) -> Hashable:
    """Its place in that memory: tensors of one place are one tensor."""
    return storage_of(x), x.storage_offset(), tuple(x.shape), x.stride(), x.dtype


def read_tensor(x: Any, spec: TensorSpec, block: Block, out: Array | None) -> Array:
    """A block of a torch tensor as numpy, bit for bit; torch gives numpy no bfloat16 or float8."""
    import torch

    from ..expr import fresh
    from ..kernels import copy

    part = x.detach()[(*slices(block), ...)].resolve_conj().resolve_neg().cpu()
    bits = {1: torch.uint8, 2: torch.int16}.get(spec.dtype.itemsize)
    values = (part if bits is None else part.view(bits)).numpy().view(spec.dtype.numpy())
    out = fresh(spec, block) if out is None else out
    copy(out, values)
    return out


def write_tensor(x: Any, values: Array) -> None:
    """Give a torch tensor new values, whole; it stays the same object on the same device."""
    import numpy as np
    import torch

    values = np.asarray(values)  # arithmetic makes a scalar of an array without axes
    bits = {1: "uint8", 2: "int16"}.get(values.dtype.itemsize)
    plain = torch.from_numpy(values if bits is None else values.view(bits))
    with torch.no_grad():
        x.detach().copy_(plain if bits is None else plain.view(x.dtype))


def _dtype(path: str, name: str, x: Any) -> Any:
    try:
        return dtype_of(str(x.dtype).removeprefix("torch."))
    except SpecError as error:
        raise UnsupportedFile(path, name, str(error)) from error


def _refused(x: Any) -> Iterator[str]:
    """Why a tensor has no values that can be read, and what to do."""
    if "Uninitialized" in type(x).__name__:
        yield "has no shape yet (a lazy module): run the module once on an input first"
    elif x.device.type == "meta":
        yield "is on the meta device and has no values: load its weights first"
    elif hasattr(x, "full_tensor"):
        yield "is spread over processes (a DTensor): give a module of full tensors"
    elif str(x.layout) != "torch.strided" or x.is_quantized:
        yield f"is no dense array ({shown(x.layout)}): dequantise it, or make it dense"


def _fixed(x: Any, own: bool) -> str:
    """Why a tensor cannot be written in place."""
    if not own:
        return "the module's state_dict() makes it anew, it is not the module's own"
    if any(step == 0 and n > 1 for step, n in zip(x.stride(), x.shape, strict=True)):
        return "it is expanded: several of its elements are one in memory"
    return ""


def _overlaps(tensors: dict[str, Any]) -> Iterator[str]:
    """Tensors that share memory without being one tensor."""
    alike: dict[Hashable, list[str]] = {}
    for name, x in tensors.items():
        if x.numel():
            alike.setdefault(storage_of(x), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            yield f"{', '.join(names)} are views of one storage"
