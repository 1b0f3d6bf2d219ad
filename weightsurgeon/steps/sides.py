"""The two sides of a port: files opened, rules found, the dialect and structure of the result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from ..errors import MappingError, OutputError, PlanError, shown
from ..formats import FORMATS, module_of
from ..formats.base import Checkpoint, Source
from ..formats.live import Live, is_live
from ..mapping.rules import Mapping as Rules
from ..mapping.several import Joined, check_aliases
from ..neutral import mappings_of
from ..opening import open_checkpoint
from ..plan import Plan, Target
from .work import Work

PathLike = str | os.PathLike[str]
Openable = PathLike | Live | Checkpoint
Sources = Openable | Mapping[str, Openable]  # one, or several by the aliases of a mapping
Policy = str | Mapping[str, str] | Iterable[str]


def opened(
    path: Openable, dialect: str | None = None, file: str = "", spent: str = ""
) -> Checkpoint:
    """The checkpoint itself, or that of a path or live model, in the dialect that a mapping states.

    `file` is the mapping's, for refusals.

    Errors: PlanError `schema` where our own metadata in the file, or the live model, is of another
    dialect, `twice` where the mapping of the hash `spent` made it.
    """
    checkpoint = path if isinstance(path, Checkpoint) else open_checkpoint(path)
    if spent in mappings_of(checkpoint.source):
        text = f"{shown(checkpoint.path)} was made by this mapping; use the original, or --again"
        raise PlanError([MappingError("twice", text, file)])
    if dialect in (None, checkpoint.dialect) or isinstance(path, Checkpoint):
        return checkpoint
    if is_live(path) or checkpoint.dialect_ground == "metadata":
        place = shown(checkpoint.path)
        text = f"{place} is written in the dialect {checkpoint.dialect}, not in {dialect}"
        raise PlanError([MappingError("schema", text, file)])
    checkpoint.close()
    return open_checkpoint(path, dialect)


def source_of(src: Sources, rules: Rules | None, spent: str = "") -> Checkpoint:
    """What a mapping reads: a checkpoint, or several by the aliases that the mapping gives them.

    Errors: PlanError as `opened`; `schema` where the aliases are not those of the mapping.
    """
    if isinstance(src, Mapping) and not isinstance(src, Checkpoint):
        check_aliases(src, rules)
        return Joined(
            {a: opened(x, *stated(rules.of(a), "source"), spent) for a, x in src.items()}  # type: ignore[union-attr]
        )
    check_aliases((), rules)
    return opened(src, *stated(rules, "source"), spent)


def stated(rules: Rules | None, side: str) -> tuple[str | None, str]:
    """The dialect that a mapping states for a side, and the mapping's file."""
    return (getattr(rules, side).dialect, rules.file) if rules is not None else (None, "")


def rules_of(mapping: PathLike | Rules | None, accept: bool = False) -> Rules | None:
    """The rules of a mapping by its path or shipped name; None where there is none.

    Errors: PlanError `review` while doubts are left, unless they are accepted.
    """
    if mapping is None or isinstance(mapping, Rules):
        return mapping
    from ..mapping.load import load  # yaml is imported only where there is a mapping to read

    rules = load(os.fspath(mapping))
    return rules if accept else reviewed(rules)


def reviewed(rules: Rules) -> Rules:
    """The rules, unless doubts are left.

    Errors: PlanError `review`.
    """
    if rules.review:
        text = f"{len(rules.review)} doubts are left under `review`: settle each, or --accept"
        raise PlanError([MappingError("review", text, rules.file)])
    return rules


def dialect_of(
    rules: Rules | None, base: Checkpoint | None, container: str, to: str | None, source: Checkpoint
) -> str | None:
    """The dialect of the result: the mapping's, the base's, the container's, the asked one.

    Errors: OutputError where another one was asked for.
    """
    grounds = {
        "the mapping": rules.target.dialect if rules is not None else None,
        "the template": base.dialect if base is not None else None,
        f"the container {container}": FORMATS[container].dialect if container in FORMATS else None,
    }
    ground, found = next(((g, d) for g, d in grounds.items() if d), ("", None))
    if to and found and to != found:
        raise OutputError(f"{to} is asked for, but {ground} says {found}; leave it out")
    return found or to or source.dialect


def template_of(container: str, *sources: Source | None) -> Source | None:
    """Whose structure the container takes: that of the first source of its family."""
    families = module_of(container).CARRIES.templates
    return next((s for s in sources if s is not None and s.container in families), None)


def in_layout_of(
    target: Checkpoint, state: Checkpoint, rules: Rules, work: Work
) -> tuple[Checkpoint, Plan]:
    """A state brought through a mapping into the names and layouts of another, and how."""
    from ..mapping.compile import Job, compile_plan
    from ..mapping.derived import Derived

    source = opened(state, *stated(rules, "source"), rules.hash)
    there = dialect_of(rules, target, "", None, source)
    made = compile_plan(Job(source, rules, Target(dialect=there), work.sources, target))
    return Derived(made), made
