"""An index of safetensors shards: several files read as one checkpoint.

Only files that the index names are opened, only inside its own folder (or the store of the same
cached repository), and index and headers must agree on every name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ..errors import (
    BrokenFile,
    FormatError,
    LimitExceeded,
    OutputError,
    RefusedFile,
    UnsupportedFile,
    shown,
)
from ..expr import Block
from . import safetensors
from .base import Carries, Extent, Limits, Order, Source
from .files import File, resolve_sibling
from .shard_index import SUFFIX, decoded, listed

if TYPE_CHECKING:
    from ..expr import Array

CARRIES = Carries(frozenset(), ties=False)  # a set is written by the container safetensors


def sniff(head: bytes, file: File) -> bool:
    """A JSON object with a map of weights, or one that is called an index."""
    named = file.path.lower().endswith(".index.json")
    return head.lstrip()[:1] == b"{" and (named or b'"weight_map"' in head)


class Flaw(NamedTuple):
    """What is wrong with a shard; `twice` where a tensor of it is in another one as well."""

    shard: str
    what: str
    twice: bool = False


class ShardedSource(Source):
    """An open set of shards, and which of them each tensor is read from."""

    def __init__(self, file: File, shards: dict[str, Source], files: dict[str, str]) -> None:
        super().__init__(file.path, "safetensors-index")
        self.file, self.shards = file, shards
        self.homes = {name: shards[shard] for name, shard in files.items()}
        for shard in shards.values():
            own = [n for n in shard.specs if self.homes.get(n) is shard]
            self.specs.update({n: shard.specs[n] for n in own})
            self.slots.update({n: shard.slots[n] for n in own if n in shard.slots})
            self.remarks += shard.remarks
            self._carry(shard)
        self.dialect = next((s.dialect for s in shards.values() if s.dialect), None)

    def _carry(self, shard: Source) -> None:
        """The shards' strings, those of the first that has them."""
        for key, value in shard.metadata.items():
            if self.metadata.setdefault(key, value) != value:
                self.remarks.append(f"metadata {shown(key)!r} differs between shards")

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block, from the shard that holds the tensor."""
        return self.homes[name].read(name, block, out)

    def extent(self, name: str) -> Extent | None:
        """Where the tensor lies in its shard."""
        return self.homes[name].extent(name)

    def files_read(self) -> list[str]:
        """The index and its shards."""
        return [self.path, *(path for shard in self.shards.values() for path in shard.files_read())]

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if the index or a shard was changed since it was opened."""
        self.file.check_unchanged()
        for shard in self.shards.values():
            shard.check_unchanged()

    def close(self) -> None:
        """Close all files."""
        self.file.close()
        for shard in self.shards.values():
            shard.close()


def open(file: File, limits: Limits) -> Source:
    """Read the index, open its shards, compare what it promises with what they hold."""
    files, about = _index(file, limits)
    shards = dict[str, Source]()
    try:
        for name in sorted(set(files.values())):  # an index is in the order of its keys
            shards[name] = _shard(file.path, name, limits)
        _agree(file.path, files, shards)
        source = ShardedSource(file, shards, files)
    except BaseException:
        for shard in shards.values():
            shard.close()
        raise
    source.metadata |= {k: v for k, v in about.items() if isinstance(v, str)}
    stored = sum(spec.nbytes for spec in source.specs.values())
    if "total_size" in about and about["total_size"] != stored:
        told = shown(about["total_size"], 40)
        source.remarks.append(f"the index says total_size {told}, the tensors take {stored} bytes")
    return source


def _index(file: File, limits: Limits) -> tuple[dict[str, str], dict[str, Any]]:
    if file.size > limits.json_bytes:
        what = f"an index of {file.size} bytes is over the limit of {limits.json_bytes}"
        raise LimitExceeded(file.path, "", f"{what}; raise --limit json_bytes={file.size}")
    files, about = decoded(file.pread(0, file.size), file.path, limits)
    if len(files) > limits.tensors or len(set(files.values())) > limits.files:
        what = f"{len(files)} tensors in {len(set(files.values()))} files are over the limits"
        raise LimitExceeded(file.path, "weight_map", f"{what}; raise --limit tensors or files")
    return files, about


def _shard(index: str, name: str, limits: Limits) -> Source:
    if not name.lower().endswith(SUFFIX):
        what = "is no safetensors file; shards of other containers are not read"
        raise UnsupportedFile(index, name, what)
    file = File(resolve_sibling(index, name))
    try:
        if not safetensors.sniff(file.pread(0, min(file.size, 16)), file):
            raise BrokenFile(index, name, "is no safetensors file")
        return safetensors.open(file, limits)
    except BaseException:
        file.close()
        raise


def _agree(index: str, files: dict[str, str], shards: dict[str, Source]) -> None:
    """Every name in the one shard that the index says, and no other name in any."""
    for shard, source in shards.items():
        promised = {name for name, file in files.items() if file == shard}
        if missing := promised - source.specs.keys():
            what = f"lacks {listed(sorted(missing))}, which the index promises"
        elif extra := source.specs.keys() - promised:
            what = f"holds {listed(sorted(extra))}, which the index does not place there"
        else:
            continue
        if any("DCP_SHARDING_INFO" in s.metadata for s in shards.values()):
            raise UnsupportedFile(index, shard, "tensors cut over shards (DCP) are not read")
        raise BrokenFile(index, shard, what)


# -- a set that is not whole -------------------------------------------------------------------


def open_readable(file: File, limits: Limits) -> tuple[Source, list[Flaw]]:
    """What can be read of a set that is not whole, to look at it; what is wrong with the rest.

    Errors: those of the index; of a shard that asks for what is refused; of the first, if none can
    be read.
    """
    promised, _ = _index(file, limits)
    shards, flaws, errors = dict[str, Source](), list[Flaw](), list[FormatError]()
    try:
        for name in sorted(set(promised.values())):
            try:
                shards[name] = _shard(file.path, name, limits)
            except (RefusedFile, LimitExceeded, UnsupportedFile):
                raise
            except FormatError as error:
                errors.append(error)
                flaws.append(Flaw(name, error.what))
        if not shards:
            raise errors[0]
        files = {n: s for n, s in promised.items() if s in shards and n in shards[s].specs}
        return ShardedSource(file, shards, files), [*flaws, *_flaws(promised, shards)]
    except BaseException:
        for shard in shards.values():
            shard.close()
        raise


def _flaws(promised: Mapping[str, str], shards: Mapping[str, Source]) -> list[Flaw]:
    """Where the index and the shards that could be read do not say the same."""
    found = list[Flaw]()
    for name, shard in shards.items():
        missing = {n for n, s in promised.items() if s == name} - shard.specs.keys()
        extra = shard.specs.keys() - promised.keys()
        twice = {n for n in shard.specs if promised.get(n, name) != name}
        if missing:
            found.append(Flaw(name, f"lacks {listed(sorted(missing))}, which the index promises"))
        if extra:
            found.append(Flaw(name, f"holds {listed(sorted(extra))}, which no index knows"))
        for other in sorted({promised[n] for n in twice}):
            held = listed(sorted(n for n in twice if promised[n] == other))
            what = f"holds {held}, which the index places in {shown(other)}"
            found.append(Flaw(name, what, twice=True))
    return found


def create(path: str, order: Order) -> NoReturn:
    """Refuse: a set is asked for by the size of its shards."""
    text = "safetensors-index is only read; choose safetensors and the size of shards"
    raise OutputError(f"{shown(path)}: {text}")
