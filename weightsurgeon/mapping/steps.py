"""The YAML of a plan, read: sources, steps that each name a new state, and one output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from ..errors import MappingError, PlanError, SurgeryError, shown
from . import schema, yaml_data
from .load import load, read_text
from .rules import Mapping as Rules
from .yaml_data import Document, Path


class Transfer(NamedTuple):
    """A step: bring a state through a mapping, perhaps into a base."""

    source: str
    name: str
    rules: Rules | None
    into: str | None
    template: str | None
    to: str | None
    sizes: Mapping[str, int]
    policy: Mapping[str, str]


class Output(NamedTuple):
    """Where the state `source` goes; `refused` makes an error with this place of the file."""

    source: str
    path: str
    container: str | None
    refused: Callable[[str], MappingError]


class JobFile(NamedTuple):
    """A plan file: alias → (path, dialect), the steps in order, the output; and what is wrong with
    it, so that what is wrong with the files it names can be told in the same breath."""

    sources: Mapping[str, tuple[str, str | None]]
    steps: tuple[Transfer, ...]
    output: Output
    problems: tuple[SurgeryError, ...]


def read_job(path: str) -> JobFile:
    """Read a plan file, with every problem of it and of the mappings that it names.

    Errors: PlanError if it is no YAML at all.
    """
    document = yaml_data.load(read_text(FilePath(path)), path)
    if isinstance(document.value, dict) and "rules" in document.value:
        text = "is a mapping: `weightsurgeon port --mapping` uses it"
        raise PlanError([schema.refused(document, (), text)])
    return _Reader(document).job()


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document, self.problems = document, list[SurgeryError]()
        self.folder = FilePath(document.file).parent
        self.states: set[str] = set()
        self.read: set[str] = set()

    def job(self) -> JobFile:
        m = self.table(schema.PLAN, self.document.value, ())
        entries = m.get("sources") or {}
        sources = {
            alias: self.source(entry, ("sources", alias)) for alias, entry in entries.items()
        }
        self.states = set(entries)
        steps = [self.step(e, ("steps", i)) for i, e in enumerate(m.get("steps") or ())]
        output = self.output(m.get("output"), ("output",))
        for alias in sorted(self.states - self.read):
            at: Path = ("sources", alias) if alias in entries else ("steps",)
            self.refuse(at, f"nothing reads {shown(alias)!r}")
        found = tuple(s for s in steps if s is not None)
        return JobFile(sources, found, output, tuple(self.problems))

    def source(self, entry: Any, at: Path) -> tuple[str, str | None]:
        m = self.table(schema.SOURCE, {"path": entry} if isinstance(entry, str) else entry, at)
        return str(self.folder / str(m.get("path"))), m.get("dialect")

    def step(self, entry: Any, at: Path) -> Transfer | None:
        before = len(self.problems)
        m = self.table(schema.STEP, entry, at)
        if len(self.problems) > before:
            return None
        at = (*at, "transfer")
        m = self.table(schema.TRANSFER, m["transfer"], at)
        rules = self.rules(m.get("mapping"), (*at, "mapping"))
        for key in ("from", "into", "template"):
            self.reads(m.get(key), (*at, key))
        if m.get("into") and m.get("template"):
            self.refuse(at, "give `into` or `template`, not both: a template gives no values")
        self.names(m.get("as"), (*at, "as"))
        if len(self.problems) > before:
            return None
        policy = {"unmatched_source": m["unused"]} if m["unused"] else {}
        policy |= {"unmatched_target": "error"} if m["kept"] == "error" else {}
        return Transfer(
            m["from"], m["as"], rules, m["into"], m["template"], m["to"], m["sizes"], policy
        )

    def rules(self, name: Any, at: Path) -> Rules | None:
        """The mapping a step names, its own problems among ours."""
        if not isinstance(name, str):
            return None
        try:
            return load(name, beside=self.document.file)
        except PlanError as error:
            here = [p for p in error.problems if getattr(p, "line", 0)]
            self.problems += here
            if not here:
                self.refuse(at, str(error).removeprefix("schema: "))
            return None

    def reads(self, name: Any, at: Path) -> None:
        """A state that must be named before."""
        if not isinstance(name, str):
            return
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
        self.reads(m.get("from"), (*at, "from"))
        path = str(self.folder / str(m.get("path")))

        def refused(text: str) -> MappingError:
            return schema.refused(self.document, at, text)

        return Output(str(m.get("from")), path, m.get("format"), refused)

    def table(self, table: schema.Table, value: Any, at: Path) -> dict[str, Any]:
        found, problems = schema.validate(table, value, self.document, at)
        self.problems += problems
        return found

    def refuse(self, at: Path, text: str) -> None:
        problem: MappingError = schema.refused(self.document, at, text)
        self.problems.append(problem)
