"""The tensors of a torch file: each a strided view of a storage, a run of bytes in the file.

Names are the paths of the saved object, joined by dots. Whatever leads to a byte is checked here,
before a tensor can be asked for: storages are as long as they say, views lie inside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import BrokenFile, LimitExceeded, SpecError, UnsupportedFile, shown
from ..expr import Block, whole
from ..spec import DTYPES, TensorSpec, checked_shape
from .archive_layout import fast_crc32
from .base import Extent, Limits, Slot, Source
from .files import File, as_bytes, read_block, read_into
from .inflate import STORED, Inflater, Member
from .strided import is_dense, reach_of, read_strided
from .torch_objects import Storage, Tensor

if TYPE_CHECKING:
    from ..expr import Array

Leaves = Iterable[tuple[str, Any]]
"""What was saved, each with its path; see `torch_paths`."""

WIDTHS = {"": 1} | {row.name: row.bits // 8 for row in DTYPES.values()}


class TorchSource(Source):
    """An open torch file, of either container.

    members   key of a storage → where its bytes lie
    extras    path → value of what was saved beside tensors (epochs, learning rates)
    versions  `_metadata` of a state dict: the versions of its modules, for writing them back
    swapped   written on a big-endian machine
    """

    def __init__(
        self,
        container: str,
        file: File,
        members: Mapping[str, Member],
        leaves: Leaves,
        limits: Limits,
        swapped: bool = False,
    ) -> None:
        super().__init__(file.path, container, "torch")
        self.file, self.members, self.swapped = file, members, swapped
        self.tensors: dict[str, Tensor] = {}
        self.extras: dict[str, Any] = {}
        self.versions: dict[str, dict[str, int]] = {}
        self._inflaters: dict[str, Inflater] = {}
        self._collect(leaves, limits)
        self._describe()
        self._check_expansion(limits)

    # -- opening -----------------------------------------------------------------------------

    def _collect(self, leaves: Leaves, limits: Limits) -> None:
        for name, leaf in leaves:
            if type(leaf) is not Tensor:
                self.extras[name] = leaf
            elif len(name) > limits.name_bytes:
                raise LimitExceeded(self.path, name, "is too long a name; raise --limit name_bytes")
            elif name in self.tensors:
                raise UnsupportedFile(self.path, name, "two tensors have this path")
            else:
                self.tensors[name] = leaf
        if len(self.tensors) > limits.tensors:
            what = f"{len(self.tensors)} tensors are over the limit of {limits.tensors}"
            raise LimitExceeded(self.path, "", f"{what}; raise --limit tensors")
        odd = [n for n, t in self.tensors.items() if t.twisted or t.dtype not in DTYPES]
        if odd:
            kinds = {"a lazy conj or neg" if self.tensors[n].twisted else self.tensors[n].dtype
                     for n in odd}  # fmt: skip
            what = f"{', '.join(sorted(kinds))} in {len(odd)} tensors is not read"
            raise UnsupportedFile(self.path, odd[0], what)

    def _describe(self) -> None:
        """Specs, slots and ties, each tensor checked against its storage."""
        storages: dict[str, Storage] = {}
        uses = Counter(tensor.storage.key for tensor in self.tensors.values())
        first: dict[Tensor, str] = {}  # of those that share a storage
        specs: dict[tuple[Any, ...], tuple[TensorSpec, int]] = {}  # most tensors have twins
        for name, tensor in self.tensors.items():
            storage = tensor.storage
            known = storages.get(storage.key)
            if known is None:
                storages[storage.key] = storage
                self._check_member(name, storage)
            elif known != storage:
                raise BrokenFile(self.path, name, f"storage {storage.key} is described two ways")
            _, offset, shape, strides, dtype, _ = tensor
            alike = specs.get((dtype, shape, strides))
            if alike is None:
                alike = specs[dtype, shape, strides] = self._spec(name, tensor)
            self.specs[name], reach = alike
            if reach and (offset + reach) * WIDTHS[dtype] > self.members[storage.key].size:
                what = f"reaches past the {self.members[storage.key].size} bytes of its storage"
                raise BrokenFile(self.path, name, what)
            layer, _, leaf = name.rpartition(".")
            self.slots[name] = Slot(layer, "", {}, leaf)
            if uses[storage.key] > 1:
                stored = first.setdefault(tensor, name)
                if stored != name:
                    self.ties[name] = stored
        views = len(first) - sum(count > 1 for count in uses.values())
        if views:
            self.remarks.append(f"{views} tensors are views of storages that others use too")
        if self.extras:
            names = ", ".join(shown(name, 40) for name in list(self.extras)[:8])
            more = ", …" if len(self.extras) > 8 else ""
            self.remarks.append(
                f"{len(self.extras)} values are no tensors and are left out: {names}{more}"
            )

    def _check_member(self, name: str, storage: Storage) -> None:
        member = self.members.get(storage.key)
        if member is None:
            raise BrokenFile(self.path, name, f"its storage {storage.key} is not in the archive")
        nbytes = storage.numel * WIDTHS[storage.dtype]
        if member.size != nbytes:
            what = f"storage {storage.key} should have {nbytes} bytes, but has {member.size}"
            raise BrokenFile(self.path, name, what)

    def _spec(self, name: str, tensor: Tensor) -> tuple[TensorSpec, int]:
        """The spec, and the number of elements that the view spans."""
        try:
            shape = checked_shape(tensor.shape)
        except SpecError as error:
            raise BrokenFile(self.path, name, str(error)) from error
        return TensorSpec(DTYPES[tensor.dtype], shape), reach_of(shape, tensor.strides)

    def _check_expansion(self, limits: Limits) -> None:
        declared = sum(s.nbytes for n, s in self.specs.items() if n not in self.ties)
        if declared > limits.expansion * self.file.size + 2**30:
            what = f"tensors of {declared} bytes are declared by a file of {self.file.size}"
            raise LimitExceeded(self.path, "", f"{what}; raise --limit expansion")

    # -- values ------------------------------------------------------------------------------

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block; a storage that is read whole has its CRC checked."""
        from ..expr import fresh

        spec, tensor = self.specs[name], self.tensors[name]
        out = fresh(spec, block) if out is None else out
        extent, member = self.extent(name), self.members[tensor.storage.key]
        if extent is None:
            self._check_view(name)
            fetch = partial(self._fetch, tensor, out.dtype)
            read_strided(fetch, tensor.offset, tensor.strides, block, out)
            return out
        read_block(extent, spec, block, out, self.path, name)
        if extent.nbytes == member.size and block == whole(spec):
            self._check_crc(name, member, out)
        return out

    def _fetch(self, tensor: Tensor, dtype: Any, first: int, count: int) -> Array:
        """Elements of a storage as a flat array in native order."""
        import numpy as np

        member, width = self.members[tensor.storage.key], dtype.itemsize
        if member.method == STORED:
            found = np.empty(count, dtype)
            at = member.offset + first * width
            read_into(self.file.fd, as_bytes(found), at, self.path, member.name)
        else:
            data = self._inflater(member).read(first * width, count * width)
            found = np.frombuffer(bytearray(data), dtype)
        if self.swapped:
            unit = width // 2 if tensor.dtype.startswith("complex") else width
            found.view(f"u{unit}").byteswap(inplace=True)
        return found

    def _inflater(self, member: Member) -> Inflater:
        return self._inflaters.setdefault(member.name, Inflater(self.file, member))

    def _check_view(self, name: str) -> None:
        """A view may be far larger than what it looks at: listed, but not written out."""
        most = 64 * self.members[self.tensors[name].storage.key].size + 64 * 2**20
        if self.specs[name].nbytes > most:
            what = f"expands a storage more than 64-fold, to {self.specs[name].nbytes} bytes"
            raise LimitExceeded(self.path, name, f"{what}; save a plain copy of it")

    def _check_crc(self, name: str, member: Member, values: Array) -> None:
        if member.crc is None or not values.size:
            return
        if fast_crc32()(as_bytes(values), 0) != member.crc:
            raise BrokenFile(self.path, name, "its CRC-32 does not match: it was damaged")

    def extent(self, name: str) -> Extent | None:
        """Where the bytes lie, if they are stored plainly and the tensor is dense."""
        tensor, spec = self.tensors[name], self.specs[name]
        member = self.members[tensor.storage.key]
        if self.swapped or member.method != STORED or not is_dense(tensor.shape, tensor.strides):
            return None
        offset = tensor.offset * spec.dtype.itemsize if spec.size else 0
        return Extent(self.file.fd, member.offset + offset, spec.nbytes)

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if the file was changed since it was opened."""
        self.file.check_unchanged()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
