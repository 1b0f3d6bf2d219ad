"""From what the user names to a Plan: files are opened, dialects settled, rules found or made.

Everything that can go wrong with names, shapes, dtypes and the container is found here, from
headers only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .carrying import carried, repeated
from .errors import OutputError, SpecError, shown
from .formats import FORMATS, container_of
from .formats.base import Checkpoint, Source
from .formats.live import Live, LiveSource, is_live
from .mapping import policy as policies
from .mapping.auto import automatic
from .mapping.compile import Job, compile_plan
from .mapping.derived import Derived, as_it_is, with_history
from .mapping.folding import plain
from .mapping.folds import folded, with_folds
from .mapping.rules import Mapping as Rules
from .mapping.several import sources_of
from .mapping.unfolding import plain_base, seen_base, unfolded
from .plan import Draft, Plan, Target
from .steps import module_of
from .steps.output import container_asked
from .steps.reading import JobFile, PlanLike, read_job
from .steps.sides import (
    Openable,
    PathLike,
    Policy,
    Sources,
    dialect_of,
    opened,
    rules_of,
    source_of,
    stated,
    template_of,
)
from .steps.work import Step, Work


def plan_port(
    src: Sources,
    dst: PathLike | Live,
    mapping: PathLike | Rules | None = None,
    template: Openable | None = None,
    into: Openable | None = None,
    policy: Policy = (),
    to: str | None = None,
    sizes: Mapping[str, int] | None = None,
    again: bool = False,
    dequantise: bool = False,
    accept: bool = False,
) -> Plan:
    """The plan of a port: everything that can go wrong with names and shapes is found here."""
    if template is not None and into is not None:
        raise OutputError("give --template or --into, not both: a template gives no values")
    if not isinstance(dst, str | os.PathLike):
        if template is not None or into is not None:
            raise OutputError("a live model is its own base: leave out template and into")
        into = dst
    rules = rules_of(mapping, accept)
    spent = rules.hash if rules is not None and not again else ""
    source = source_of(src, rules, spent)
    given = into if into is not None else template
    base = None if given is None else opened(given, *stated(rules, "target"))
    if isinstance(dst, str | os.PathLike):
        path: str = os.fspath(dst)
        container = container_of(path)
    else:
        path, container = base.path, base.source.container  # type: ignore[union-attr]
    there = dialect_of(rules, base, container, to, source)
    norms = plain_base(base, source, rules, there)
    shown_base = seen_base(norms, base)
    folds = plain(source, shown_base, rules, there, dequantise)
    seen = folded(folds, source)
    if rules is None:
        rules = automatic(seen, shown_base, source.dialect, there)
    files = sources_of(source, "source")
    target = Target(
        path,
        container,
        there,
        template_of(container, base.source if base else None, *files.values()),
    )
    actions = policies.read(policy)
    if is_live(dst) and (rules is None or not rules.policy):  # a part is transferred only if asked
        actions = {**policies.preset("strict"), **actions}
    sources = {**files, **({"base": base.source} if base is not None else {})}
    keep = into is not None
    job = Job(seen, rules, target, sources, shown_base, keep, sizes or {}, actions)
    return carried(unfolded(with_folds(compile_plan(job), folds), norms, base))


# -- plans -----------------------------------------------------------------------------------


def plan_run(
    plan: PlanLike,
    /,
    number: int | None = None,
    settings: Mapping[str, Any] | None = None,
    aliases: Mapping[str, Openable] | None = None,
) -> Plan:
    """The Plan that a YAML file or a dict describes; paths in a file are relative to it.

    `aliases` are sources that are not in the plan, or that take the place of those in it;
    `settings` replace keys of steps; `number` is the training step of this run.

    Errors: PlanError with every problem of the plan, of the files it names, and of its steps.
    """
    given = aliases or {}
    job = read_job(plan, given, settings)
    draft, states, made = Draft(), dict[str, Checkpoint](), list[Plan]()
    for problem in job.problems:
        draft.problem(problem)
    into = job.output.into
    container = (
        "" if not job.output.path else draft.attempt(lambda: container_asked(job.output)) or ""
    )
    files = {**{a: (path, None) for a, path in given.items()}, **job.sources}
    for alias, (file, dialect) in files.items():
        checkpoint = draft.attempt(lambda f=file, d=dialect: opened(f, d))  # type: ignore[misc]
        if checkpoint is not None:
            states[alias] = checkpoint
    if into in states and not isinstance(states[into].source, LiveSource):
        text = f"into: {shown(into)} is a file; only a live model is written in place"
        draft.problem(job.output.place.refused(text, "into"))
    sources = {alias: checkpoint.source for alias, checkpoint in states.items()}
    last: Plan | None = None
    for step in job.steps:
        if any(name not in states for name in step.reads):
            continue  # that it is missing is told already
        settles = step.name == job.output.source and hasattr(module_of(step.verb), "SETTLES")
        target = job.output.target(container) if settles else Target()
        work = Work(states, sources, target, step.place, number)
        planned = draft.attempt(lambda s=step, w=work: _planned(s, w))  # type: ignore[misc]
        if planned is None:
            continue
        made.append(planned)
        if step.name is not None:
            states[step.name] = Derived(planned)
            last = planned if step.name == job.output.source else last
    draft.refuse_if_problems()
    last = last or as_it_is(states[job.output.source], sources)
    if into:
        return carried(with_history(_into(last, states[into]), made))
    whole = _directed(with_history(last, made), job, container)
    return carried(repeated(whole) if job.output.repeat else whole)


def _into(made: Plan, base: Checkpoint) -> Plan:
    """The plan whose result is written into a live model: it must fit, name by name."""
    state, source = Derived(made), base.source
    rules = automatic(state, base, state.dialect, base.dialect)
    target = Target(source.path, source.container, base.dialect, source)
    policy = policies.preset("strict")
    plan = compile_plan(Job(state, rules, target, made.sources, base, True, policy=policy))
    told = {n: made.origins.get(x.names[0], x) if x.names else x for n, x in plan.origins.items()}
    return replace(plan, origins=told)


def plan_step(
    verb: str,
    keys: Mapping[str, Any],
    out: PathLike,
    aliases: Mapping[str, Openable],
    number: int | None = None,
    into: str = "",
) -> Plan:
    """The Plan of one step whose result is written to `out`; `aliases` are what it reads.

    `into` is the alias of a live model that is written instead. Keys that are None are left out.
    """
    given = {key: value for key, value in keys.items() if value is not None}
    step = {verb: {**given, "as": "made"}}
    where = {"into": into} if into else {"path": os.fspath(out)}
    plan = {"weightsurgeon": 1, "steps": [step], "output": {"from": "made", **where}}
    return plan_run(plan, number, None, aliases)


def _planned(step: Step, work: Work) -> Plan:
    """The plan of one step; what an op refused gets the step's place."""
    try:
        plan: Plan = module_of(step.verb).plan(step.given, work)
    except SpecError as error:
        raise step.place.refused(str(error), id=error.id) from error
    return plan


def _directed(plan: Plan, job: JobFile, container: str) -> Plan:
    """The plan with its target, where the step that made it did not settle one.

    Errors: MappingError `axes` where the container's dialect is another than the tensors'.
    """
    if plan.target.container:
        return plan
    asked, dialect = FORMATS[container].dialect, plan.target.dialect
    if asked and dialect and asked != dialect:
        text = f"{container} holds {asked} layouts, these tensors lie as in {dialect}"
        raise job.output.place.refused(f"{text}; add a step transfer: {{to: {asked}}}", id="axes")
    template = template_of(container, *_alike_first(plan))
    target = job.output.target(container)
    return replace(plan, target=target._replace(dialect=asked or dialect, template=template))


def _alike_first(plan: Plan) -> list[Source]:
    """The sources, those that hold most of the plan's names first: their structure is its own."""
    names = plan.outputs.keys() | plan.ties.keys()
    return sorted(plan.sources.values(), key=lambda s: -len(names & s.specs.keys()))
