"""The verbs, a few lines each: open what is named, build a Plan, execute it, report.

A path is opened by content; roles and axes come from our metadata in the file, else from what the
file says of its layers, by the rows of `conventions`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .comparison import Verification, compare
from .errors import MappingError, OutputError, PlanError, SurgeryError, shown
from .execute import Progress, align, execute
from .formats import FORMATS, container_of, create_sink, module_of
from .formats.base import Checkpoint, Limits, Order, Source
from .grouping import grouped
from .mapping import policy as policies
from .mapping.auto import automatic
from .mapping.compile import Job, compile_plan
from .mapping.rules import Mapping as Rules
from .neutral import encode, mappings_of
from .opening import open_checkpoint
from .outcome import Report, report
from .plan import Derived, Draft, Plan, Target

if TYPE_CHECKING:
    from .mapping.steps import Output, Transfer

PathLike = str | os.PathLike[str]
Policy = str | Mapping[str, str] | Iterable[str]


def open(  # the verb of the library; the builtin is not used here
    path: PathLike | Checkpoint, dialect: str | None = None, limits: Limits | None = None
) -> Checkpoint:
    """Open a checkpoint: a Mapping from names to lazy tensors; only headers are read.

    Shapes, dtypes and, where they are known, axes are in `.spec`; values come with `.numpy()`.

    Errors: FormatError for whatever is wrong with the file.
    """
    return path if isinstance(path, Checkpoint) else open_checkpoint(path, dialect, limits)


# -- port ------------------------------------------------------------------------------------


def port(
    src: PathLike | Checkpoint,
    dst: PathLike,
    mapping: PathLike | Rules | None = None,
    template: PathLike | Checkpoint | None = None,
    into: PathLike | Checkpoint | None = None,
    policy: Policy = (),
    to: str | None = None,
    sizes: Mapping[str, int] | None = None,
    again: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Port a checkpoint to another file, naming and layout.

    Without a mapping each layer keeps its name and its tensors get the target dialect's leaf names
    and layouts. `template` gives the target's structure, `into` its values too; `sizes` are axes
    that no shape tells (`{"h": 12}`).

    Errors: PlanError with every reason, before a byte is read or written; OutputError.
    """
    plan = plan_port(src, dst, mapping, template, into, policy, to, sizes, again)
    if not dry_run:
        write(plan, progress)
    return report(plan, "port", written=not dry_run)


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
    rules = _rules(mapping)
    source = open(src, rules.source.dialect if rules else None)
    given = into if into is not None else template
    base = None if given is None else open(given, rules.target.dialect if rules else None)
    there = _target_dialect(rules, base, container, to, source)
    if rules is None:
        rules = automatic(source, base, source.dialect, there)
    _refuse_twice(source, rules, path, again)
    target = Target(path, container, there, _template(container, base, source))
    sources = {"source": source.source, **({"base": base.source} if base is not None else {})}
    keep = into is not None
    job = Job(source, rules, target, sources, base, keep, sizes or {}, policies.read(policy))
    return compile_plan(job)


def _rules(mapping: PathLike | Rules | None) -> Rules | None:
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
    return FORMATS[container].dialect or to or source.dialect


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


# -- writing ---------------------------------------------------------------------------------


def write(plan: Plan, progress: Progress | None = None) -> None:
    """Execute a plan into its target file, which appears only when it is whole."""
    check_carried(plan)
    sink = create_sink(plan.target.container, plan.target.path, order_of(plan))
    try:
        for _ in execute(plan, sink, progress):
            pass
        sink.commit()
    finally:
        sink.abort()  # nothing, after a commit


def order_of(plan: Plan) -> Order:
    """What the sink is asked to make."""
    origins = [
        {"container": source.container, "file": os.path.basename(source.path)}
        for source in plan.sources.values()
    ]
    metadata = encode(
        plan.meanings,
        plan.ties,
        plan.target.dialect,
        origins,
        plan.hash(),
        list(plan.mappings),
        plan.metadata,
    )
    return Order(plan.specs, plan.ties, metadata, plan.target.template, align(plan))


def check_carried(plan: Plan) -> None:
    """Refuse, all names at once, what the target's container cannot hold."""
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


def _encodable(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)


# -- verify ----------------------------------------------------------------------------------


def verify(
    a: PathLike | Checkpoint,
    b: PathLike | Checkpoint,
    mapping: PathLike | Rules | None = None,
    atol: float = 0.0,
    progress: Progress | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Verification:
    """Compare the values of two checkpoints, the first seen through a mapping.

    `atol` is the largest difference that still counts as equal; 0 asks for the same bits.
    Returns a `Verification`; its `equal` says whether everything agrees.
    """
    rules = _rules(mapping)
    here = open(a, rules.source.dialect if rules else None)
    there = open(b, rules.target.dialect if rules else None)
    return compare(here, there, rules, atol, progress, sizes or {})


# -- run -------------------------------------------------------------------------------------


def run(plan: PathLike, dry_run: bool = False, progress: Progress | None = None) -> Report:
    """Run a plan from a YAML file: its sources, its steps, its output.

    Errors: PlanError with every problem of the file and of what it names.
    """
    built = plan_run(plan)
    if not dry_run:
        write(built, progress)
    return report(built, "run", written=not dry_run)


def plan_run(plan: PathLike) -> Plan:
    """The Plan that a YAML file describes; paths in it are relative to it."""
    from .mapping.steps import read_job

    path = os.fspath(plan)
    job = read_job(path)
    draft, opened = Draft(), dict[str, Checkpoint]()
    for alias, (file, dialect) in job.sources.items():
        try:
            opened[alias] = open(file, dialect)
        except SurgeryError as error:
            draft.problem(error)
    sources = {alias: checkpoint.source for alias, checkpoint in opened.items()}
    made: dict[str, Plan] = {}
    for step in job.steps:
        try:
            made[step.name] = _transfer(step, opened, sources, job.output)
            opened[step.name] = Derived(made[step.name])
        except SurgeryError as error:
            draft.problem(error)
    draft.refuse_if_problems()
    return _finished(job.output, opened, sources, made)


def _transfer(
    step: Transfer, opened: Mapping[str, Checkpoint], sources: Mapping[str, Source], out: Output
) -> Plan:
    missing = [n for n in (step.source, step.into or step.template) if n and n not in opened]
    if missing:
        raise PlanError([])  # its own problem is told already
    source = opened[step.source]
    given = step.into or step.template
    base = opened[given] if given else None
    rules = step.rules
    there = step.to or _target_dialect(rules, base, out.container, None, source)
    rules = rules or automatic(source, base, source.dialect, there)
    _refuse_twice(source, rules, out.path, again=False)
    target = Target(out.path, out.container, there, _template(out.container, base, source))
    keep = step.into is not None
    return compile_plan(Job(source, rules, target, sources, base, keep, step.sizes, step.policy))


def _finished(
    out: Output,
    opened: Mapping[str, Checkpoint],
    sources: Mapping[str, Source],
    made: Mapping[str, Plan],
) -> Plan:
    """The plan of the state that the output names: the last step's, or a source as it is."""
    if out.source in made:
        return made[out.source]
    source = opened[out.source]
    rules = automatic(source, None, source.dialect, source.dialect)
    target = Target(out.path, out.container, source.dialect, _template(out.container, None, source))
    return compile_plan(Job(source, rules, target, sources))


__all__ = ["open", "plan_port", "port", "run", "verify", "write"]
