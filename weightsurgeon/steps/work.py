"""What a step is given when its plan is made: the states so far, and its place for refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import MappingError
from ..formats.base import Checkpoint, Source
from ..mapping import schema
from ..mapping.yaml_data import Document, Path
from ..plan import Target


class Place(NamedTuple):
    """Where a step stands: a line of a file, or a path of keys in a plan given as data."""

    document: Document
    at: Path

    def refused(
        self, text: str, *keys: str | int, id: str = "schema", names: Iterable[str] = ()
    ) -> MappingError:
        """A problem of the step, or of what stands under some of its keys."""
        found = schema.refused(self.document, (*self.at, *keys), text, id)
        found.names = tuple(names)
        return found

    def __str__(self) -> str:
        if self.document.file:
            return f"{self.document.file}:{self.document.line(self.at)}"
        return ".".join(map(str, self.at))


class Step(NamedTuple):
    """A step that has been read: `given` is what its module made of the keys.

    name   the state that it makes; None for one that only looks
    reads  the states that must be there before
    """

    verb: str
    name: str | None
    given: Any
    place: Place
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """What there is when a step is planned.

    states   name → checkpoint: sources, and what the steps before made
    sources  the files behind them, by alias
    target   nowhere; where the plan's output goes for a step that `SETTLES` dialect and structure
    place    the step's: `place.refused(…)`; its text is the rule in the report
    number   the training step of this run (`--step`), for schedules and random numbers
    """

    states: Mapping[str, Checkpoint]
    sources: Mapping[str, Source]
    target: Target
    place: Place
    number: int | None = None
