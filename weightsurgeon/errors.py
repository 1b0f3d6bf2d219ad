"""Everything that can go wrong has a place in one tree.

SurgeryError               one line a problem, exit code 2
├─ SpecError               shapes, dtypes or axes that do not fit (raised by ops: they know no name)
├─ FormatError             path, where, what
│  ├─ BrokenFile           bytes that contradict themselves or end early
│  ├─ RefusedFile          asks for code, for a foreign path, for the network
│  ├─ LimitExceeded        more than a limit allows; says which and how to raise it
│  └─ UnsupportedFile      known and sound, but not read
├─ MissingTensor           a name that a checkpoint does not hold; also a KeyError
├─ MappingError            id, file, line: one problem of a mapping or a plan
├─ PlanError               problems: all of them, a line each
└─ OutputError             the output cannot be written; the old one is intact
Interrupted                a signal came: exit code 128 + its number, nothing half-written
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_LINE = 500


def shown(text: object, width: int = 200) -> str:
    r"""Make foreign text safe to show: what does not print becomes an escape, what is long is cut.

    >>> shown("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> shown("x" * 300, width=8)
    'xxxxxxx…'
    """
    text = str(text)
    if len(text) > width:
        text = text[: width - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SurgeryError(Exception):
    """Base of every error that is the input's fault and not ours."""


class SpecError(SurgeryError):
    """Shapes, dtypes or axes that do not fit together; `id` is the refusal it becomes in a plan."""

    def __init__(self, text: str, id: str = "shape") -> None:
        self.id = id
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.id)


class FormatError(SurgeryError):
    """A file that is not what it says: `path`, `where` in it (tensor, key, offset), `what`."""

    def __init__(self, path: object, where: object, what: str) -> None:
        self.path, self.where, self.what = str(path), str(where), what
        place = f"{shown(path)}: {shown(where)}" if where else shown(path)
        super().__init__(shown(f"{place}: {what}", MAX_LINE))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.where, self.what)


class BrokenFile(FormatError):
    """Bytes that contradict themselves or end early."""


class RefusedFile(FormatError):
    """A file that asks for code to be run, a foreign path to be read, or the network."""


class LimitExceeded(FormatError):
    """A file that needs more than a limit allows."""


class UnsupportedFile(FormatError):
    """A file that is known and sound, but not read by this version."""


class MissingTensor(SurgeryError, KeyError):
    """A tensor that the checkpoint does not hold.

    It is a `KeyError` as well, so that `in` and `.get` of a Mapping work.
    """

    __str__ = SurgeryError.__str__  # a KeyError would show its argument's repr


class OutputError(SurgeryError):
    """The output cannot be written; what stood there before is intact."""


class MappingError(SurgeryError):
    """One problem of a mapping or plan: the `id` of the refusal, `file`, `line`, and what to do.

    `names` are the tensors it is about. They are kept apart so that many alike make one line.
    """

    def __init__(
        self, id: str, text: str, file: str = "", line: int = 0, names: Iterable[str] = ()
    ) -> None:
        self.id, self.text, self.file, self.line = id, text, file, line
        self.names = tuple(names)
        place = f"{shown(file)}:{line}: " if line else f"{shown(file)}: " if file else ""
        super().__init__(shown(f"{place}{id}: {text}", MAX_LINE))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.id, self.text, self.file, self.line, self.names)


class PlanError(SurgeryError):
    """A plan that is refused as a whole: `problems` holds every reason, sorted, one line each."""

    def __init__(self, problems: Iterable[SurgeryError]) -> None:
        unique = {str(p): p for p in problems}
        self.problems = sorted(unique.values(), key=_place)
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems,)


def _place(problem: SurgeryError) -> tuple[str, int, str]:
    return getattr(problem, "file", ""), getattr(problem, "line", 0), str(problem)


class Interrupted(BaseException):
    """A signal asked us to stop; not an `Exception`, so that nothing carries on in its presence."""

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(f"interrupted by signal {signal}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.signal,)
