"""Half a file is no file: an output is written beside its place and renamed when it is whole.

Temporary sibling → reserve → write → fsync → rename → fsync of the folder. An exception removes
the temporary; a kill leaves it, and the next writer of the same target sweeps it: a live writer
holds a lock on its temporary, a dead one lost it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from ..errors import OutputError, shown


class AtomicFile:
    """A file of known size that appears under its name only when it is complete."""

    temporary: Path | None = None  # set before it is made: a signal may come at any moment
    fd = -1
    _published = False

    def __init__(self, path: str | os.PathLike[str], nbytes: int) -> None:
        self.path = os.fspath(path)
        try:
            # a link's target is replaced, not the link
            self.target = Path(os.path.realpath(self.path))
            _refuse_special(self.path, self.target)
            _sweep(self.target)
            self._create()
            self._reserve(nbytes)
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError | ValueError):  # a name with a NUL is a ValueError
                raise output_error(self.path, error) from error
            raise

    def _reserve(self, nbytes: int) -> None:
        """Take the space now: a full disk is found before the first byte, and writes get faster."""
        if nbytes:
            os.posix_fallocate(self.fd, 0, nbytes)

    def _create(self) -> None:
        """Make the temporary, locked, with the rights of the file that it replaces."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            self.temporary = _temporary(self.target)
            try:
                self.fd = os.open(self.temporary, flags, 0o666)
            except FileExistsError:
                self.temporary = None  # it is another's
                raise
            fcntl.flock(self.fd, fcntl.LOCK_EX)
            if self.target.exists():
                os.fchmod(self.fd, self.target.stat().st_mode & 0o777)
            if os.fstat(self.fd).st_nlink:  # else another writer swept it before it was locked
                return
            self._close()

    @property
    def published(self) -> bool:
        """Whether it has its name: where a signal came in between, the folder knows."""
        made = self.temporary is not None and self.fd >= 0
        return self._published or (made and not os.path.lexists(self.temporary or ""))

    def commit(self, durable: bool = True) -> None:
        """Make it durable, unless that is not wanted, and publish it."""
        try:
            if durable:
                os.fsync(self.fd)
            Path(self.temporary or "").replace(self.target)
        except OSError as error:
            self.abort()
            raise output_error(self.path, error) from error
        self._published, self.temporary = True, None
        self._close()
        if durable:
            sync_folder(self.target.parent)

    def abort(self) -> None:
        """Remove the temporary; harmless after a commit."""
        self._published = self.published
        if self.temporary is not None:
            self.temporary.unlink(missing_ok=True)
            self.temporary = None
        self._close()

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.abort()  # of one that nobody holds any more: an exception came before it had a name


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a small text file, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], values: bytes) -> None:
    """Write a small file, whole or not at all."""
    file = AtomicFile(path, len(values))
    try:
        os.pwrite(file.fd, values, 0)
        file.commit()
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        file.abort()


def demand_suffix(path: str | os.PathLike[str], what: str, suffixes: tuple[str, ...]) -> None:
    """Refuse to write `what` under a name that says otherwise: it may be a checkpoint's.

    >>> demand_suffix("model.pt", "a page", (".html", ".htm"))
    Traceback (most recent call last):
    weightsurgeon.errors.OutputError: model.pt: a page ends in .html or .htm
    """
    if Path(path).suffix not in suffixes:
        raise OutputError(f"{shown(path)}: {what} ends in {' or '.join(suffixes)}")


def output_error(path: object, error: OSError | ValueError) -> OutputError:
    """One line for what the system said about an output."""
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{shown(path)}: cannot be written: {reason}")


def _refuse_special(path: str, target: Path) -> None:
    if target.is_dir():
        raise OutputError(f"{shown(path)}: is a folder; give the name of a file in it")
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OutputError(f"{shown(path)}: is no regular file and is not overwritten")
    if target.parent.name == "blobs" and target.parent.parent.name.startswith("models--"):
        raise OutputError(f"{shown(path)}: lies in a shared model cache; write to another folder")
    if not target.parent.is_dir():
        raise OutputError(f"{shown(path)}: there is no folder {shown(target.parent)}")


def _stem(target: Path) -> str:
    """How all temporaries of a target begin; a file name has at most 255 bytes."""
    return "." + os.fsencode(target.name)[:200].decode("utf-8", "ignore")


def _temporary(target: Path) -> Path:
    return target.with_name(f"{_stem(target)}.{os.getpid()}.{os.urandom(4).hex()}.tmp")


def _sweep(target: Path) -> None:
    """Remove what killed writers of this target left behind."""
    pattern = re.compile(re.escape(_stem(target)) + r"\.[0-9]+\.[0-9a-f]{8}\.tmp")
    try:
        stale = [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return  # an unreadable folder is reported when the temporary is made
    for path in stale:
        remove_dead(path)


def remove_dead(path: Path) -> bool:
    """Remove a temporary unless its writer lives; says whether it is gone."""
    try:
        # for reading: the temporary of a read-only file is read-only; and no FIFO shall hang
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == path.lstat().st_ino:
            path.unlink()
            return True
    except OSError:
        pass  # locked: its writer lives
    finally:
        os.close(fd)
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    with suppress(OSError):  # published it is; only that it outlives a power loss is not certain
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
