"""Containers: one file each, found by content. A new one is its file plus its name here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..errors import FormatError, OutputError, SurgeryError, shown
from . import live
from .base import Limits, Order, Sink, Source
from .files import File
from .shard_index import INDEX_SUFFIX, is_shard_of

T = TypeVar("T")


class Format(NamedTuple):
    """Where a container's code is, and the suffixes that ask for it. The module offers

    sniff(head, file) → bool    is this file one of ours, by content
    open(file, limits) → Source
    create(path, order) → Sink
    CARRIES                     what it can hold
    """

    module: str
    suffixes: tuple[str, ...]
    dialect: str | None = None  # of what is written under this suffix, where the suffix says it
    kin: str = ""  # the container under whose suffixes it is found as well


FORMATS = {
    "safetensors": Format(".safetensors", (".safetensors", ".safetensors.index.json")),
    "safetensors-index": Format(".safetensors_index", (), kin="safetensors"),
    "torch": Format(".torch_zip", (".pt", ".pth", ".bin", ".ckpt"), "torch"),
    "torch-legacy": Format(".torch_legacy", (), kin="torch"),  # read only
    "keras": Format(".keras_zip", (".keras",), "keras"),
    "keras-weights": Format(".keras_weights", (".weights.h5",), "keras"),
    "keras-h5": Format(".keras_legacy", (".h5", ".hdf5"), "keras"),
}

NOTHING = "is a folder, not a checkpoint file, and holds no safetensors file or index of shards"
HEAD = 512  # enough of a file to tell every container


def module_of(container: str) -> Any:
    """The module that reads and writes a container, a live model among them."""
    if container in live.LIVE:
        return live.module_of(container)
    return import_module(FORMATS[container].module, __name__)


def container_of(path: str) -> str:
    """The container that a path's suffix asks for, or `OutputError`."""
    for name, row in FORMATS.items():
        if path.lower().endswith(row.suffixes):
            return name
    known = " ".join(s for row in FORMATS.values() for s in row.suffixes)
    raise OutputError(f"{shown(path)}: no container has this suffix; known: {known}")


def open_source(path: str, limits: Limits | None = None) -> Source:
    """Open a checkpoint by content; a suffix that says otherwise is a remark of the source."""
    file = File(in_folder(path))
    try:
        return boundary(path, lambda: _open(file, limits or Limits()))
    except BaseException:
        file.close()
        raise


def open_readable(path: str, limits: Limits | None = None) -> tuple[Source, list[Any]]:
    """As `open_source`; of a set of shards that is not whole, what can be read and its flaws."""
    try:
        return open_source(path, limits), []
    except FormatError:
        file, module = File(in_folder(path)), module_of("safetensors-index")
        try:
            if not module.sniff(file.pread(0, min(HEAD, file.size)), file):
                raise
            return boundary(path, lambda: module.open_readable(file, limits or Limits()))  # type: ignore[no-any-return]
        except BaseException:
            file.close()
            raise


def in_folder(path: str) -> str:
    """The one checkpoint of a folder: its safetensors file, else its index; a file stays itself.

    Errors: FormatError where a folder holds none, or several.
    """
    if not Path(path).is_dir():
        return path
    files = sorted(Path(path).iterdir())
    found = [p for p in files if p.name.endswith(INDEX_SUFFIX)]
    plain = [p for p in files if p.suffix == ".safetensors" and not is_shard_of(None, p.name)]
    if found:  # readers take the plain file of a name before the index of that name
        plain = [p for p in plain if p.with_name(f"{p.name}.index.json") in found]
    candidates = plain or found
    if len(candidates) == 1:
        return str(candidates[0])
    what = (
        f"holds {len(candidates)} checkpoints: {', '.join(shown(p.name) for p in candidates[:5])}"
    )
    raise FormatError(path, "", f"is a folder that {what}; name one" if candidates else NOTHING)


def _open(file: File, limits: Limits) -> Source:
    if file.size == 0:
        raise FormatError(file.path, "", "is empty")
    head = file.pread(0, min(HEAD, file.size))
    expected = next((n for n, r in FORMATS.items() if file.path.lower().endswith(r.suffixes)), None)
    for name in sorted(FORMATS, key=lambda n: n != expected):
        module = module_of(name)
        if module.sniff(head, file):
            source: Source = module.open(file, limits)
            if expected not in (None, name, FORMATS[name].kin):
                source.remarks.append(f"the suffix says {expected}, the content is {name}")
            return source
    raise FormatError(file.path, "", f"is none of the containers read here: {_guess(head)}")


def _guess(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer; fetch the real file with git lfs pull"
    if head.lstrip()[:1] == b"<":
        return "it looks like a web page, perhaps a failed download"
    return ", ".join(FORMATS)


def boundary(path: str, work: Callable[[], T]) -> T:
    """Whatever a parser raises on hostile bytes becomes one error of our tree."""
    from ..errors import BrokenFile

    try:
        return work()
    except SurgeryError:
        raise
    except OSError as error:
        raise FormatError(path, "", f"cannot be read: {error.strerror or error}") from error
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise BrokenFile(path, "", f"cannot be read: {text}") from error


def create_sink(container: str, path: str, order: Order) -> Sink:
    """Start writing a checkpoint."""
    sink: Sink = module_of(container).create(path, order)
    return sink
