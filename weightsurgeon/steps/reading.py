"""A plan, read from YAML or given as data: sources, steps that each name a state, one output.

Everything that can be wrong with the words is found here, all of it, each with its line (or its
path of keys, where the plan was given as data).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple, TypeVar

from ..errors import MappingError, PlanError, SpecError, SurgeryError, shown
from ..mapping import schema, yaml_data
from ..mapping.load import load, read_text
from ..mapping.rules import Mapping as Rules
from ..mapping.yaml_data import Document, Path
from . import STEPS, module_of
from .given import document_of, with_settings
from .output import Output, read_output
from .sides import reviewed
from .work import Place, Step

T = TypeVar("T")
PlanLike = str | os.PathLike[str] | Mapping[str, Any]


class JobFile(NamedTuple):
    """A plan as it was read: alias → (path, dialect), the steps in order, the output; and what is
    wrong with it, so that what is wrong with the files it names can be told in the same breath."""

    sources: Mapping[str, tuple[str, str | None]]
    steps: tuple[Step, ...]
    output: Output
    problems: tuple[SurgeryError, ...]


def read_job(
    plan: PlanLike, aliases: Iterable[str] = (), settings: Mapping[str, Any] | None = None
) -> JobFile:
    """Read a plan, with every problem of it and of the mappings that it names.

    `aliases` are sources that the caller has open; `settings` replace keys of steps.

    Errors: PlanError if it is no YAML at all, or if a setting finds no place.
    """
    if isinstance(plan, Mapping):
        document = document_of(plan)
    else:
        document = yaml_data.load(read_text(FilePath(plan)), os.fspath(plan))
    if isinstance(document.value, dict) and "rules" in document.value:
        text = "is a mapping: `weightsurgeon port --mapping` uses it"
        raise PlanError([schema.refused(document, (), text)])
    return _Reader(with_settings(document, settings or {}), tuple(aliases)).job()


class Reading:
    """One step while it is read: its keys, and ways to say what is wrong with them."""

    def __init__(self, reader: _Reader, keys: Mapping[str, Any], at: Path) -> None:
        self.keys, self._reader, self._at = keys, reader, at
        self.reads: list[str] = []

    @property
    def problems(self) -> int:
        """How many problems the plan has so far."""
        return len(self._reader.problems)

    def state(self, *at: str | int, name: Any = None) -> None:
        """A state that the step reads: the value of a key of the step, or `name` that stands
        somewhere under its keys."""
        name = self.keys[at[0]] if name is None and len(at) == 1 else name  # type: ignore[index]
        if isinstance(name, str):
            self.reads.append(name)
            self._reader.reads(name, (*self._at, *at))

    def table(self, table: schema.Table, value: Any, *at: str | int) -> dict[str, Any]:
        """The values of a table's keys that stand under `at`; problems are remembered."""
        return self._reader.table(table, value, (*self._at, *at))

    def mapping(self, *at: str | int, name: Any = None) -> Rules | None:
        """The mapping that a key names, or that `name` names under some key."""
        name = self.keys[at[0]] if name is None and len(at) == 1 else name  # type: ignore[index]
        return self._reader.rules(name, (*self._at, *at))

    def attempt(self, read: Callable[..., T], *args: Any, at: Path = ()) -> T | None:
        """What `read` makes of the arguments, or None with the problem remembered."""
        try:
            return read(*args)
        except (ValueError, SpecError) as error:
            self.refuse(str(error), *at)
            return None

    def refuse(self, text: str, *at: str | int, id: str = "schema") -> None:
        """Remember a problem of the step, or of what stands under some of its keys."""
        self._reader.refuse((*self._at, *at), text, id)


class _Reader:
    def __init__(self, document: Document, aliases: tuple[str, ...]) -> None:
        self.document, self.aliases = document, aliases
        self.problems = list[SurgeryError]()
        self.folder = FilePath(document.file).parent
        self.states: set[str] = set()
        self.read: set[str] = set()

    def job(self) -> JobFile:
        m = self.table(schema.PLAN, self.document.value, ())
        entries = {**(m.get("sources") or {}), **dict.fromkeys(self.aliases)}
        sources = {
            alias: self.source(entry, ("sources", alias))
            for alias, entry in entries.items()
            if alias not in self.aliases
        }
        self.states = set(entries)
        steps = [self.step(e, ("steps", i)) for i, e in enumerate(m.get("steps") or ())]
        output = self.output(m.get("output"), ("output",))
        for name in sorted(self.states - self.read):
            at: Path = ("sources", name) if name in entries else ("steps",)
            self.refuse(at, f"nothing reads {shown(name)!r}")
        found = tuple(s for s in steps if s is not None)
        return JobFile(sources, found, output, tuple(self.problems))

    def source(self, entry: Any, at: Path) -> tuple[str, str | None]:
        m = self.table(schema.SOURCE, {"path": entry} if isinstance(entry, str) else entry, at)
        return str(self.folder / str(m.get("path"))), m.get("dialect")

    def step(self, entry: Any, at: Path) -> Step | None:
        verb = self.verb(entry, at)
        if verb is None:
            return None
        before, at = len(self.problems), (*at, verb)
        module = module_of(verb)
        keys = self.table(module.KEYS, entry[verb], at, getattr(module, "LATER", ""))
        reading = Reading(self, keys, at)
        whole = len(keys) == len(module.KEYS)  # else it is no map at all
        given = module.read(reading) if whole else None
        name = keys.get("as")
        self.names(name, (*at, "as"))
        if len(self.problems) > before:
            return None
        return Step(verb, name, given, Place(self.document, at), tuple(reading.reads))

    def verb(self, entry: Any, at: Path) -> str | None:
        """The one verb of a step."""
        if not isinstance(entry, dict) or len(entry) != 1:
            self.refuse(at, f"a step is a map of one verb: {', '.join(STEPS)}")
            return None
        (verb,) = entry
        if verb in STEPS:
            return str(verb)
        what = f"is unknown{schema.nearest(verb, STEPS)}"
        self.refuse((*at, verb), f"the key {shown(verb)!r} {what}")
        return None

    def rules(self, name: Any, at: Path) -> Rules | None:
        """The mapping a step names, its own problems among ours."""
        if not isinstance(name, str):
            return None
        try:
            return reviewed(load(name, beside=self.document.file or None))
        except PlanError as error:
            here = [
                p
                for p in error.problems
                if getattr(p, "line", 0) or getattr(p, "id", "") == "review"
            ]
            self.problems += here
            if not here:
                self.refuse(at, str(error).removeprefix("schema: "))
            return None

    def reads(self, name: str, at: Path) -> None:
        """A state that must be named before."""
        self.read.add(name)
        if name not in self.states:
            known = ", ".join(map(shown, sorted(self.states)))
            self.refuse(at, f"there is no {shown(name)!r} here; known: {known}")
            self.states.add(name)  # told once

    def names(self, name: Any, at: Path) -> None:
        """A new state; a name is used once."""
        if isinstance(name, str):
            if name in self.states:
                self.refuse(at, f"{shown(name)!r} is named already")
            self.states.add(name)

    def output(self, entry: Any, at: Path) -> Output:
        m = self.table(schema.OUTPUT, entry, at)
        if isinstance(m.get("from"), str):
            self.reads(m["from"], (*at, "from"))
        if isinstance(m.get("into"), str):
            self.reads(m["into"], (*at, "into"))
        beside = m and (m["path"] or m["format"] or m["shard_size"] is not None)
        beside = beside or (m and m["ties"] == "repeat")
        if m and m["into"] and beside:
            self.refuse(at, "give `path`, or `into` alone: the alias of a live model")
        elif m and not m["into"] and m["path"] is None and "path" not in entry:
            self.refuse(at, "the key 'path' is missing")
        return read_output(m, self.folder, Place(self.document, at))

    def table(self, table: schema.Table, value: Any, at: Path, later: str = "") -> dict[str, Any]:
        found, problems = schema.validate(table, value, self.document, at, later)
        self.problems += problems
        return found

    def refuse(self, at: Path, text: str, id: str = "schema") -> None:
        problem: MappingError = schema.refused(self.document, at, text, id)
        self.problems.append(problem)
