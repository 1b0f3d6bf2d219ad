"""Several sources of one mapping: each is claimed and bound by its own rules, in its own dialect,
then what they make is one target; names that were left over are judged together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..errors import MappingError, PlanError, shown
from ..expr import Expr
from ..formats.base import Checkpoint, Source
from ..plan import Origin
from .bind import Made
from .claim import Claim
from .rules import Mapping as Rules
from .rules import Rule
from .state import Job, State

_NOBODY = Rule()


class Joined(Checkpoint):
    """Several checkpoints as one; each name starts with its alias: `text:embeddings.weight`."""

    def __init__(self, parts: Mapping[str, Checkpoint]) -> None:
        self.parts = dict(parts)
        found = {aliased(a, n): (part, n) for a, part in parts.items() for n in part}
        self._tensors = found
        source = Source(
            ", ".join(f"{alias}={part.path}" for alias, part in parts.items()),
            "",
            specs={name: part.source.specs[n] for name, (part, n) in found.items()},
            ties={
                aliased(alias, name): aliased(alias, stored)
                for alias, part in parts.items()
                for name, stored in part.ties.items()
            },
            metadata=_common([part.source.metadata for part in parts.values()]),
        )
        meanings = {name: part.meaning(n) for name, (part, n) in found.items()}
        super().__init__(source, meanings, None, "")

    def __getitem__(self, name: str) -> Expr:
        if name not in self._tensors:
            return super().__getitem__(name)  # refuses
        part, own = self._tensors[name]
        return part[own]

    def close(self) -> None:
        """Close the files of all parts."""
        for part in self.parts.values():
            part.close()


def _common(found: list[Mapping[str, str]]) -> dict[str, str]:
    """The foreign strings on which all files agree that have them."""
    values: dict[str, set[str]] = {}
    for metadata in found:
        for key, value in metadata.items():
            values.setdefault(key, set()).add(value)
    return {key: value for key, (value, *more) in values.items() if not more}


def aliased(alias: str, name: str) -> str:
    """A tensor's name with the alias of its source.

    >>> aliased("text", "wte.weight")
    'text:wte.weight'
    """
    return f"{alias}:{name}"


def check_aliases(given: Collection[str], rules: Rules | None) -> None:
    """Refuse sources that are not those of the mapping; none are given where it has one source.

    Errors: PlanError `schema`.
    """
    wanted = list(rules.sources) if rules is not None else []
    if sorted(given) != sorted(wanted):
        text = f"it has {_told(wanted)}; given: {_told(given)}"
        if rules is None:
            text = f"{_told(given)} need a mapping that says what goes where"
        raise PlanError([MappingError("schema", text, rules.file if rules is not None else "")])


def _told(aliases: Iterable[str]) -> str:
    found = ", ".join(map(shown, aliases))
    return f"the sources {found}" if found else "one source, without an alias"


def parts_of(job: Job) -> list[tuple[str, Job]]:
    """The jobs of which one is made: itself, or one for each source with its own rules."""
    check_aliases(job.source.parts if isinstance(job.source, Joined) else (), job.rules)
    if not isinstance(job.source, Joined):
        return [("", job)]
    return [
        (alias, replace(job, source=part, rules=job.rules.of(alias)))
        for alias, part in job.source.parts.items()
    ]


def united(job: Job, parts: Mapping[str, State]) -> State:
    """One state of what all parts made: what is judged from now on, is judged of all of them."""
    whole = State(job)
    told = {str(problem) for problem in whole.draft.problems}  # of the base, which all parts saw
    for alias, part in parts.items():
        whole.draft.problems += [p for p in part.draft.problems if str(p) not in told]
        whole.draft.lines += part.draft.lines
        part.draft = whole.draft
        whole.checks += part.checks
        whole.refused |= part.refused
        whole.claims |= {aliased(alias, n): _renamed(alias, c) for n, c in part.claims.items()}
        for made in part.made.values():
            whole.add(_traced(alias, made), part.makers.get(made.name, _NOBODY))
    return whole


def _renamed(alias: str, claim: Claim) -> Claim:
    return claim._replace(name=aliased(alias, claim.name))


def _traced(alias: str, made: Made) -> Made:
    """What was made, from a tensor whose source is told; what the base keeps is the base's."""
    origin: Origin = made.origin
    if origin.action == "kept":
        return made
    names = tuple(aliased(alias, name) for name in origin.names)
    return made._replace(origin=origin._replace(names=names))


def sources_of(checkpoint: Checkpoint, name: str) -> dict[str, Source]:
    """The files behind a checkpoint by alias; `name` is that of a single one."""
    if isinstance(checkpoint, Joined):
        return {alias: part.source for alias, part in checkpoint.parts.items()}
    return {name: checkpoint.source}
