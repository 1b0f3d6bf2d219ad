"""From what the user names to a Plan: files are opened, dialects settled, rules found or made.

Everything that can go wrong with names, shapes, dtypes and the container is found here, from
headers only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import MappingError, OutputError, PlanError, shown
from .formats import FORMATS, container_of, module_of
from .formats.base import Checkpoint, Source
from .grouping import grouped
from .mapping import policy as policies
from .mapping.auto import automatic
from .mapping.compile import Job, compile_plan
from .mapping.derived import Derived, with_history
from .mapping.rules import Mapping as Rules
from .neutral import mappings_of
from .opening import open_checkpoint
from .plan import Draft, Line, Plan, Target

if TYPE_CHECKING:
    from .mapping.steps import Output, Transfer

PathLike = str | os.PathLike[str]
Policy = str | Mapping[str, str] | Iterable[str]


def opened(
    path: PathLike | Checkpoint, dialect: str | None = None, file: str = "", spent: str = ""
) -> Checkpoint:
    """The checkpoint itself, or that of a path, in the dialect that a mapping (`file`) states.

    Errors: PlanError `schema` where our own metadata in the file states another dialect, `twice`
    where the mapping of the hash `spent` made it.
    """
    checkpoint = path if isinstance(path, Checkpoint) else open_checkpoint(path)
    if spent in mappings_of(checkpoint.source):
        text = f"{shown(checkpoint.path)} was made by this mapping; use the original, or --again"
        raise PlanError([MappingError("twice", text, file)])
    if dialect in (None, checkpoint.dialect) or isinstance(path, Checkpoint):
        return checkpoint
    if checkpoint.dialect_ground == "metadata":
        text = f"{shown(path)} is written in the dialect {checkpoint.dialect}, not in {dialect}"
        raise PlanError([MappingError("schema", text, file)])
    checkpoint.close()
    return open_checkpoint(path, dialect)


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
) -> Plan:
    """The plan of a port: everything that can go wrong with names and shapes is found here."""
    if template is not None and into is not None:
        raise OutputError("give --template or --into, not both: a template gives no values")
    path = os.fspath(dst)
    container = container_of(path)
    rules = rules_of(mapping)
    spent = rules.hash if rules is not None and not again else ""
    source = opened(src, *stated(rules, "source"), spent)
    given = into if into is not None else template
    base = None if given is None else opened(given, *stated(rules, "target"))
    there = _target_dialect(rules, base, container, to, source)
    if rules is None:
        rules = automatic(source, base, source.dialect, there)
    target = Target(path, container, there, _template(container, base, source))
    sources = {"source": source.source, **({"base": base.source} if base is not None else {})}
    keep = into is not None
    job = Job(source, rules, target, sources, base, keep, sizes or {}, policies.read(policy))
    return carried(compile_plan(job))


def stated(rules: Rules | None, side: str) -> tuple[str | None, str]:
    """The dialect that a mapping states for a side, and the mapping's file."""
    return (getattr(rules, side).dialect, rules.file) if rules is not None else (None, "")


def rules_of(mapping: PathLike | Rules | None) -> Rules | None:
    """The rules of a mapping by its path or shipped name; None where there is none."""
    if mapping is None or isinstance(mapping, Rules):
        return mapping
    from .mapping.load import load  # yaml is imported only where there is a mapping to read

    rules = load(os.fspath(mapping))
    if rules.review:
        text = (
            f"{len(rules.review)} doubts are left under `review`: settle each, then remove the key"
        )
        raise PlanError([MappingError("review", text, rules.file)])
    return rules


def _target_dialect(
    rules: Rules | None, base: Checkpoint | None, container: str, to: str | None, source: Checkpoint
) -> str | None:
    """The dialect of the result: the mapping's, the base's, the container's, the asked one.

    Errors: OutputError where another one was asked for.
    """
    grounds = {
        "the mapping": rules.target.dialect if rules is not None else None,
        "the template": base.dialect if base is not None else None,
        f"the container {container}": FORMATS[container].dialect if container else None,
    }
    ground, found = next(((g, d) for g, d in grounds.items() if d), ("", None))
    if to and found and to != found:
        raise OutputError(f"{to} is asked for, but {ground} says {found}; leave it out")
    return found or to or source.dialect


def _template(container: str, base: Checkpoint | None, source: Checkpoint) -> Source | None:
    """Whose structure the container takes: the base's, else the source's, if it is of a family."""
    families = module_of(container).CARRIES.templates
    for checkpoint in (base, source):
        if checkpoint is not None and checkpoint.source.container in families:
            return checkpoint.source
    return None


# -- plans in YAML ---------------------------------------------------------------------------


def plan_run(plan: PathLike) -> Plan:
    """The Plan that a YAML file describes; paths in it are relative to it.

    Errors: PlanError with every problem of the file, of the files it names, and of its steps.
    """
    from .mapping.steps import read_job

    job = read_job(os.fspath(plan))
    draft, states, made = Draft(), dict[str, Checkpoint](), dict[str, Plan]()
    for problem in job.problems:
        draft.problem(problem)
    container = draft.attempt(lambda: _container(job.output)) or ""
    for alias, (file, dialect) in job.sources.items():
        checkpoint = draft.attempt(lambda f=file, d=dialect: opened(f, d))  # type: ignore[misc]
        if checkpoint is not None:
            states[alias] = checkpoint
    sources = {alias: checkpoint.source for alias, checkpoint in states.items()}
    for step in job.steps:
        target = Target(job.output.path, container if step.name == job.output.source else "")
        planned = draft.attempt(lambda s=step, t=target: _transfer(s, states, sources, t))  # type: ignore[misc]
        if planned is not None:
            made[step.name], states[step.name] = planned, Derived(planned)
    draft.refuse_if_problems()
    state = states[job.output.source]
    last = made.get(job.output.source) or _as_it_is(state, sources, job.output, container)
    return carried(with_history(last, made.values()))


def _container(output: Output) -> str:
    """The container of a plan's output: what it says, or what its suffix says."""
    if output.container is None:
        try:
            return container_of(output.path)
        except OutputError as error:
            raise output.refused(str(error)) from error
    if output.container not in FORMATS:
        text = f"no container {shown(output.container)!r}; known: {', '.join(FORMATS)}"
        raise output.refused(text)
    return output.container


def _transfer(
    step: Transfer,
    states: Mapping[str, Checkpoint],
    sources: Mapping[str, Source],
    target: Target,
) -> Plan | None:
    """The plan of a step; None where a state that it reads is missing, which is told already."""
    given = step.into or step.template
    if any(name not in states for name in (step.source, given) if name):
        return None
    rules, base = step.rules, states[given] if given else None
    source = opened(states[step.source], *stated(rules, "source"), rules.hash if rules else "")
    there = _target_dialect(rules, base, target.container, step.to, source)
    rules = rules or automatic(source, base, source.dialect, there)
    template = _template(target.container, base, source) if target.container else None
    target = target._replace(dialect=there, template=template)
    keep = step.into is not None
    return compile_plan(Job(source, rules, target, sources, base, keep, step.sizes, step.policy))


def _as_it_is(
    state: Checkpoint, sources: Mapping[str, Source], output: Output, container: str
) -> Plan:
    """A source that no step changes, in another container."""
    rules = automatic(state, None, state.dialect, state.dialect)
    template = _template(container, None, state)
    target = Target(output.path, container, state.dialect, template)
    return compile_plan(Job(state, rules, target, sources))


# -- what the container can hold -------------------------------------------------------------


def carried(plan: Plan) -> Plan:
    """The plan, unless its container cannot hold it: refused with all names at once."""
    carries = module_of(plan.target.container).CARRIES
    if carries.templates:
        plan = _without_optimizer(plan)
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


def _without_optimizer(plan: Plan) -> Plan:
    """The optimizer's state has no place in a structure that is filled: left out, and told."""
    left = [name for name, m in plan.meanings.items() if m.role == "optimizer"]
    if not left:
        return plan
    outputs = {name: expr for name, expr in plan.outputs.items() if name not in left}
    line = Line("optimizer", f"{len(left)} tensors of the optimizer are left out")
    return replace(plan, outputs=outputs, lines=(*plan.lines, line))


def _encodable(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)
