"""What a container must be able to do: a Source is read, a Sink is written.

A Source knows its tensors' specs from headers alone, gives the values of any block, and, where
they lie in the file exactly as the dense little-endian tensor, says where (`Extent`). A Sink is
built from specs, so every offset is known before the first byte is written. What a tensor *means*
is not known here: a format hands over a `Slot` (layer, kind, options, leaf) as the file says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import MissingTensor, shown
from ..expr import Block, Expr, leaf
from ..spec import Axes, TensorSpec
from .graph import Graph

if TYPE_CHECKING:
    from ..expr import Array

Shape = tuple[int, ...]
OURS = "weightsurgeon."  # how all keys begin that we write into the metadata of files


class Extent(NamedTuple):
    """A run of bytes of an open file."""

    fd: int
    offset: int
    nbytes: int


class Slot(NamedTuple):
    """A tensor's place as its file tells it: in which layer, of which kind, under which leaf.

    `kind` is the word of the dialect (`Conv2D`), "" where the file does not say; `options` are the
    layer's, under Keras' names; `leaf` is the last part of the name (`kernel`, `running_mean`).
    """

    layer: str
    kind: str
    options: Mapping[str, Any]
    leaf: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may ask for before it is refused. Raise one with `--limit name=value`."""

    header_bytes: int = 100_000_000
    members: int = 1_000_000
    tensors: int = 500_000
    files: int = 10_000
    name_bytes: int = 64 * 1024
    json_bytes: int = 64 * 2**20
    depth: int = 64
    expansion: int = 100  # logical bytes a file may declare for each byte it holds, beside 1 GiB
    chunk_bytes: int = 256 * 2**20

    def with_(self, name: str, value: int) -> Limits:
        """These limits with one of them changed; `KeyError` for a name that is none."""
        if name not in {f.name for f in fields(self)}:
            raise KeyError(name)
        return replace(self, **{name: value})


class Carries(NamedTuple):
    """What a container can hold: checked while the plan is built, all names at once."""

    dtypes: frozenset[str]
    ties: bool  # two names may share one storage in the file itself
    templates: tuple[str, ...] = ()  # containers of which one must give it its structure
    reserved: frozenset[str] = frozenset()  # names that mean something else there


@dataclass(eq=False)
class Source:
    """An open checkpoint. Subclasses read values; the rest is what headers told.

    specs     name → spec, in file order; tied names included
    slots     name → what the file says about its place; may lack names
    ties      other name → the name under which the bytes are stored
    metadata  strings as the file carries them, ours (`weightsurgeon.*`) and foreign ones
    remarks   what was odd but legal: lines for the report
    """

    path: str
    container: str
    dialect: str | None = None
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    ties: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """Values of a block in the spec's dtype, native order, C order; into `out` where given."""
        raise NotImplementedError

    def extent(self, name: str) -> Extent | None:
        """Where the tensor's bytes lie, if they are exactly the dense little-endian tensor."""
        return None

    def graph(self) -> Graph | None:
        """Which layer takes what another makes, where the file tells it."""
        return None

    def files_read(self) -> list[str]:
        """Every file that is read."""
        return [self.path]

    def check_unchanged(self) -> None:
        """Raise `BrokenFile` if a file was changed since it was opened."""

    def close(self) -> None:
        """Give the descriptors back."""


class Sink(Protocol):
    """An output being written. Nothing is seen under its name before `commit`.

    durable: whether `commit` waits until the disk has it; set before the first byte is written
    """

    path: str
    durable: bool

    def write(self, name: str, block: Block, values: Array, shape: Shape | None = None) -> None:
        """Write a block of a tensor; tensors and blocks in any order, from any thread.

        `block` is one of the tensor seen under `shape`, which has the same bytes in C order.
        """

    def extent(self, name: str) -> Extent | None:
        """Where the tensor's bytes shall lie in the unpublished file."""

    def written(self, nbytes: int) -> None:
        """A hint: so many more bytes stand in the file; a good moment to set the disk to work."""

    def commit(self) -> None:
        """Make the output durable and publish it under its name."""

    def abort(self) -> None:
        """Leave no trace; harmless after a commit."""


@dataclass(frozen=True)
class Order:
    """What a Sink is asked to make: specs in order, and what goes beside the values.

    ties       other name → stored name, for names that are not in `specs`
    metadata   strings for the container's own place for them
    template   a Source of the container's family whose structure (paths, config) is taken
    align      (name, offset): this tensor should lie at this offset modulo 4096, so that the run
               of raw bytes that starts with it is copied page by page; a wish, not an order
    shard_bytes  how large a file of a set may get, 0 for one file that takes the place of a set;
               None where nobody asked for sets
    """

    specs: Mapping[str, TensorSpec]
    ties: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    template: Source | None = None
    align: tuple[str, int] | None = None
    shard_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a tensor is: its role, layer and axes, and on what ground this is known.

    ground: `file` (the file says so), `metadata` (we wrote it there), `inferred` (from its name).
    """

    role: str | None = None
    kind: str | None = None
    axes: Axes | None = None
    layer: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    ground: str = ""


UNKNOWN = Meaning()


class Checkpoint(Mapping[str, Expr]):
    """A source as a Mapping: name → lazy tensor, in file order.

    `meanings` holds roles, layers and axes where they are known; `dialect` is the naming and
    layout convention of the names, and `dialect_ground` how that is known.
    """

    def __init__(
        self, source: Source, meanings: Mapping[str, Meaning], dialect: str | None, ground: str
    ) -> None:
        self.source, self.meanings = source, meanings
        self.dialect, self.dialect_ground = dialect, ground

    def __getitem__(self, name: str) -> Expr:
        spec = self.source.specs.get(name)
        if spec is None:
            raise MissingTensor(f"{shown(self.source.path)} holds no tensor {shown(name)}")
        stored = self.source.ties.get(name, name)
        return leaf(self.source, stored, spec._replace(axes=self.meaning(name).axes))

    def __iter__(self) -> Iterator[str]:
        return iter(self.source.specs)

    def __len__(self) -> int:
        return len(self.source.specs)

    def meaning(self, name: str) -> Meaning:
        """Role, layer and axes of a tensor, as far as they are known."""
        return self.meanings.get(name, UNKNOWN)

    @property
    def ties(self) -> Mapping[str, str]:
        """Other name → the name under which the same bytes are stored."""
        return self.source.ties

    @property
    def path(self) -> str:
        """Where it was opened from."""
        return self.source.path

    def close(self) -> None:
        """Close the files behind it."""
        self.source.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        from .listing import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from .listing import html

        return html(self)
