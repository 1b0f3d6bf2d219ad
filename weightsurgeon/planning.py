"""From what the user names to a Plan: files are opened, dialects settled, rules found or made.

Everything that can go wrong with names, shapes, dtypes and the container is found here, from
headers only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .errors import MappingError, OutputError, PlanError, SurgeryError, shown
from .formats import FORMATS, container_of, module_of
from .formats.base import Checkpoint, Source
from .grouping import grouped
from .mapping import policy as policies
from .mapping.auto import automatic
from .mapping.compile import Job, compile_plan
from .mapping.rules import Mapping as Rules
from .neutral import mappings_of
from .opening import open_checkpoint
from .plan import Derived, Draft, Plan, Target

if TYPE_CHECKING:
    from .mapping.steps import Output, Transfer

PathLike = str | os.PathLike[str]
Policy = str | Mapping[str, str] | Iterable[str]


def opened(path: PathLike | Checkpoint, dialect: str | None = None) -> Checkpoint:
    """The checkpoint itself, or that of a path."""
    return path if isinstance(path, Checkpoint) else open_checkpoint(path, dialect)


def plan_port(
    src: PathLike | Checkpoint,
    dst: PathLike,
    mapping: PathLike | Rules | None = None,
    template: PathLike | Checkpoint | None = None,
    into: PathLike | Checkpoint | None = None,
    policy: Policy = (),
    to: str | None = None,
    sizes: Mapping[str, int] | None = None,
    again: bool = False,
    container: str | None = None,
) -> Plan:
    """The plan of a port: everything that can go wrong with names and shapes is found here."""
    if template is not None and into is not None:
        raise OutputError("give --template or --into, not both: a template gives no values")
    path = os.fspath(dst)
    container = container or container_of(path)
    rules = rules_of(mapping)
    source = opened(src, rules.source.dialect if rules else None)
    given = into if into is not None else template
    base = None if given is None else opened(given, rules.target.dialect if rules else None)
    there = _target_dialect(rules, base, container, to, source)
    if rules is None:
        rules = automatic(source, base, source.dialect, there)
    _refuse_twice(source, rules, path, again)
    target = Target(path, container, there, _template(container, base, source))
    sources = {"source": source.source, **({"base": base.source} if base is not None else {})}
    keep = into is not None
    job = Job(source, rules, target, sources, base, keep, sizes or {}, policies.read(policy))
    return carried(compile_plan(job))


def rules_of(mapping: PathLike | Rules | None) -> Rules | None:
    """The rules of a mapping by its path or shipped name; None where there is none."""
    if mapping is None or isinstance(mapping, Rules):
        return mapping
    from .mapping.load import load  # yaml is imported only where there is a mapping to read

    return load(os.fspath(mapping))


def _target_dialect(
    rules: Rules | None, base: Checkpoint | None, container: str, to: str | None, source: Checkpoint
) -> str | None:
    """The dialect of the result: the mapping's, the base's, the container's, the asked one."""
    if rules is not None and rules.target.dialect:
        return rules.target.dialect
    if base is not None and base.dialect:
        return base.dialect
    stated = FORMATS[container].dialect if container else None
    return stated or to or source.dialect


def _template(container: str, base: Checkpoint | None, source: Checkpoint) -> Source | None:
    """Whose structure the container takes: the base's, else the source's, if it is of a family."""
    families = module_of(container).CARRIES.templates
    for checkpoint in (base, source):
        if checkpoint is not None and checkpoint.source.container in families:
            return checkpoint.source
    return None


def _refuse_twice(source: Checkpoint, rules: Rules, path: str, again: bool) -> None:
    """A mapping that made the source would be applied to names that are the target's already."""
    if not again and rules.hash and rules.hash in mappings_of(source.source):
        text = f"{shown(source.path)} was made by this mapping; use the original, or --again"
        raise PlanError([MappingError("twice", text, rules.file)])


# -- plans in YAML ---------------------------------------------------------------------------


def plan_run(plan: PathLike) -> Plan:
    """The Plan that a YAML file describes; paths in it are relative to it."""
    from .mapping.steps import read_job

    path = os.fspath(plan)
    job = read_job(path)
    draft, states = Draft(), dict[str, Checkpoint]()
    for alias, (file, dialect) in job.sources.items():
        try:
            states[alias] = opened(file, dialect)
        except SurgeryError as error:
            draft.problem(error)
    sources = {alias: checkpoint.source for alias, checkpoint in states.items()}
    made: dict[str, Plan] = {}
    for step in job.steps:
        try:
            made[step.name] = _transfer(step, states, sources, job.output)
            states[step.name] = Derived(made[step.name])
        except SurgeryError as error:
            draft.problem(error)
    draft.refuse_if_problems()
    return _finished(job.output, states, sources, made)


def _transfer(
    step: Transfer, states: Mapping[str, Checkpoint], sources: Mapping[str, Source], out: Output
) -> Plan:
    missing = [n for n in (step.source, step.into or step.template) if n and n not in states]
    if missing:
        raise PlanError([])  # its own problem is told already
    source = states[step.source]
    given = step.into or step.template
    base = states[given] if given else None
    rules = step.rules
    container = out.container if step.name == out.source else ""
    there = step.to or _target_dialect(rules, base, container, None, source)
    rules = rules or automatic(source, base, source.dialect, there)
    _refuse_twice(source, rules, out.path, again=False)
    target = Target(out.path, out.container, there, _template(out.container, base, source))
    keep = step.into is not None
    return compile_plan(Job(source, rules, target, sources, base, keep, step.sizes, step.policy))


def _finished(
    out: Output,
    states: Mapping[str, Checkpoint],
    sources: Mapping[str, Source],
    made: Mapping[str, Plan],
) -> Plan:
    """The plan of the state that the output names: the last step's, or a source as it is."""
    if out.source in made:
        return carried(made[out.source])
    source = states[out.source]
    rules = automatic(source, None, source.dialect, source.dialect)
    target = Target(out.path, out.container, source.dialect, _template(out.container, None, source))
    return carried(compile_plan(Job(source, rules, target, sources)))


# -- what the container can hold -------------------------------------------------------------


def carried(plan: Plan) -> Plan:
    """The plan, unless its container cannot hold it: refused with all names at once."""
    carries = module_of(plan.target.container).CARRIES
    problems = []
    for dtype in sorted({s.dtype.name for s in plan.specs.values()} - carries.dtypes):
        names = [n for n, s in plan.specs.items() if s.dtype.name == dtype]
        labels = ", ".join(g.label for g in grouped(names)[:5])
        text = f"{plan.target.container} holds no {dtype}: {labels}; choose another container"
        problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    for name in (*plan.specs, *plan.ties):
        if name in carries.reserved or not _encodable(name):
            text = f"{shown(name)} cannot be a tensor's name in {plan.target.container}"
            problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    if carries.templates and plan.target.template is None:
        text = f"{plan.target.container} needs a structure to fill: give --template or --into"
        problems.append(OutputError(f"{shown(plan.target.path)}: {text}"))
    if problems:
        raise PlanError(problems)
    return plan


def _encodable(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)
