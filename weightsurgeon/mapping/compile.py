"""From a mapping and its sources to a Plan: names first, then specs, all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..conventions import leaves
from ..errors import MappingError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Meaning, Source
from ..grouping import grouped
from ..ops.arithmetic import full
from ..ops.reduction import DIFFER, Difference
from ..plan import Check, Draft, Origin, Plan, Target, reduction
from ..simplify import simplify
from ..spec import dtype_of
from . import policy as policies
from .bind import Binder, Made
from .claim import Claim, Names, claim, names_of, neutral, split
from .names import NameError_
from .rules import Drop, Init, Layer, Mapping as Rules, Move, Rule, Tie


@dataclass
class Job:
    """What is ported: from where, to where, and what decides doubtful cases.

    sources  every file behind it, by alias
    base     an existing target; `keep` says that what no rule makes keeps the base's values
    """

    source: Checkpoint
    rules: Rules
    target: Target
    sources: Mapping[str, Source]
    base: Checkpoint | None = None
    keep: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)


def compile_plan(job: Job) -> Plan:
    """The plan of a mapping.

    Errors: PlanError with every problem of names, shapes, axes and dtypes.
    """
    return _Compiler(job).plan()


class _Compiler:
    """One compilation: collects outputs, claims and problems."""

    def __init__(self, job: Job) -> None:
        self.job, self.rules, self.draft = job, job.rules.rules, Draft()
        presets = {"unmatched_target": "keep", "lossy_cast": "list"} if job.keep else {}
        self.policy = {**policies.STRICT, **presets, **job.rules.policy, **job.policy}
        self.source = self._names(job.source, job.rules.source.optional_prefix)
        self.base = self._names(job.base, job.rules.target.optional_prefix) if job.base else None
        self.dialects = (
            job.rules.source.dialect or job.source.dialect,
            job.rules.target.dialect or job.target.dialect,
        )
        self.binder = Binder(
            job.source,
            job.base,
            self.base.neutral if self.base else {},
            self.dialects,
            {**job.rules.sizes, **job.sizes},
            self.policy,
        )
        self.made: dict[str, Made] = {}
        self.claims: dict[str, Claim] = {}
        self.checks: list[Check] = []

    def _names(self, checkpoint: Checkpoint, prefixes: tuple[str, ...]) -> Names:
        try:
            return names_of(checkpoint, prefixes, self.job.rules.file)
        except MappingError as error:
            self.draft.problem(error)
            return Names(checkpoint, {name: name for name in checkpoint})

    def plan(self) -> Plan:
        """Claim, bind, complete, judge what is left over; then refuse or give the plan."""
        unclaimed = self._claim()
        for found in self.claims.values():
            self._make(found)
        self._counters()
        self._inits()
        ties = self._ties()
        self._unmatched_sources(unclaimed)
        self._dead_rules()
        kept = self._complete_base(ties)
        self.draft.refuse_if_problems()
        names = self._order(kept, ties)
        outputs = {n: simplify(self.made[n].expr) for n in names}
        return Plan(
            outputs=outputs,
            sources=self.job.sources,
            target=self.job.target,
            ties=ties,
            meanings={n: self.made[n].meaning for n in names},
            origins={n: self.made[n].origin for n in names},
            checks=tuple(self.checks),
            lines=tuple(self.draft.lines),
            notes=self.job.rules.notes,
            metadata=dict(self.job.source.source.metadata),
            mappings=(self.job.rules.hash,) if self.job.rules.hash else (),
        )

    # -- claims ------------------------------------------------------------------------------

    def _claim(self) -> list[str]:
        """Claim every source tensor; the names that no rule takes."""
        unclaimed = []
        here = self.dialects[0] or ""
        for found in claim(self.source, self.rules, here, self.job.base):
            if isinstance(found, Claim):
                self.claims[found.name] = found
            elif isinstance(found, MappingError):
                self.draft.problem(MappingError(found.id, found.text, self.job.rules.file))
            else:
                unclaimed.append(found)
        return unclaimed

    def _make(self, found: Claim) -> None:
        """Bind a claim to its target, or do what a drop asks."""
        rule = found.rule
        if isinstance(rule, Drop):
            self._check_drop(rule, found.name)
            return
        try:
            name = self.binder.targets(found)
        except NameError_ as error:
            self.draft.problem(rule.refused(error.id, str(error), found.name))
            return
        if name is None:
            self._left_behind(found)
            return
        if self._excluded(name):
            self.draft.line("exclude", "left out of the target", (name,))
            return
        try:
            self._add(self.binder.bind(found, name), rule)
        except MappingError as error:
            self._refuse(error)

    def _refuse(self, error: MappingError) -> None:
        """A refusal of one binding, unless the policy says to leave it out and list it."""
        action = self.policy.get(error.id.replace("-", "_"), "error")
        if action in ("skip", "list"):
            self.draft.line(error.id, f"left out: {error.text}", error.names)
        else:
            self.draft.problem(error)

    def _add(self, made: Made, rule: Rule) -> None:
        """Remember an output; two of one name are a collision, equal bytes or not."""
        other = self.made.get(made.name)
        if other is not None:
            a, b = other.origin, made.origin
            text = (
                f"{shown(made.name)} is made from {_from(b)} and from {_from(a)}"
                f" ({a.rule or 'no rule'})"
            )
            self.draft.problem(rule.refused("collision", text, made.name))
        elif self.job.base is not None and made.name not in self.job.base:
            self._no_such_target(made, rule)
        else:
            self.made[made.name] = made

    def _no_such_target(self, made: Made, rule: Rule) -> None:
        base = self.job.base
        near = get_close_matches(made.name, list(base or ()), 1)
        hint = f"; did you mean {shown(near[0])}?" if near else ""
        text = f"{shown(made.name)} is made, but the target has no such tensor{hint}"
        if self.policy["unmatched_source"] == "error":
            self.draft.problem(rule.refused("no-such-target", text, made.name))
        else:
            self.draft.line("no-such-target", text, (made.name,))

    def _excluded(self, name: str) -> bool:
        spec = self.binder.wanted(name) or next(iter(self.job.source.source.specs.values()))
        meaning = self.job.base.meaning(name) if self.job.base else UNKNOWN
        rules = self.job.rules
        if rules.include is not None and not rules.include(name, spec, meaning):
            return True
        return rules.exclude is not None and rules.exclude(name, spec, meaning)

    # -- what a layer has on one side only ---------------------------------------------------

    def _left_behind(self, found: Claim) -> None:
        """A role that the target's form lacks, or that the rule drops: it must be neutral."""
        rule = found.rule
        if not isinstance(rule, Layer) or rule.roles.get(found.role) != "drop":
            self.draft.line("dropped", f"{found.role}: has no place in the target", (found.name,))
            return
        x = self.job.source[found.name]
        neutral_ = full(x.spec.shape, x.spec.dtype, _neutral(found.role), x.spec.axes)
        text = f"{shown(found.name)} is dropped, but is not {_neutral(found.role)} everywhere"
        self._equal(x, neutral_, rule, text)

    def _check_drop(self, rule: Drop, name: str) -> None:
        if rule.equal_to is None:
            return
        other = self.source.logical.get(rule.equal_to) or self.source.neutral.get(
            neutral(rule.equal_to)
        )
        if other is None:
            text = f"equal_to: the source has no tensor {shown(rule.equal_to)}"
            self.draft.problem(rule.refused("unequal", text, name))
            return
        text = f"{shown(name)} differs from {shown(other)}: map it by its own rule"
        self._equal(self.job.source[name], self.job.source[other], rule, text)

    def _equal(self, a: Expr, b: Expr, rule: Rule, text: str) -> None:
        """Two tensors that must have the same bits, checked before anything is written."""
        if a.spec[:2] != b.spec[:2]:
            self.draft.problem(rule.refused("unequal", f"{text}: {a.spec} and {b.spec}"))
            return

        def refused(found: Difference) -> MappingError:
            return rule.refused("unequal", f"{text}; first at flat index {found.first}")

        if a != b:
            self.checks.append(Check(reduction(DIFFER, a, b), refused))

    def _counters(self) -> None:
        """`num_batches_tracked` of a batch norm: made for torch unless the base lacks it; and
        roles that a rule fills."""
        for found in list(self.claims.values()):
            if not isinstance(found.rule, Layer) or not found.kind:
                continue
            to, kind = self.dialects[1] or "", self.binder.target_kind(found)
            fill = [r for r, how in found.rule.roles.items() if how == "fill"]
            if found.role == "mean" and "num_batches_tracked" in leaves(kind, to):
                self._fill(found, "num_batches_tracked", "int64", ())
            for role in fill if found.role == _first_role(found) else ():
                spec = self.job.source[found.name].spec
                self._fill(found, role, spec.dtype.name, (spec.shape[-1],))

    def _fill(self, found: Claim, role: str, dtype: str, shape: tuple[int, ...]) -> None:
        name = self.binder.targets(found._replace(role=role))
        if name is None or name in self.made:
            return
        if self.job.base is not None:
            wanted = self.binder.wanted(name)
            if wanted is None:
                return
            dtype, shape = wanted.dtype.name, wanted.shape
        layer, _ = split(name)
        meaning = Meaning(role, self.binder.target_kind(found), None, layer, {}, "mapping")
        origin = Origin(found.rule.place, (), "exact", "made")
        self.made[name] = Made(name, full(shape, dtype, _neutral(role)), meaning, origin)
        self.draft.line("made", f"{role}: made as {_neutral(role)}", (name,))

    # -- inits, ties -------------------------------------------------------------------------

    def _inits(self) -> None:
        for rule in self.rules:
            if not isinstance(rule, Init):
                continue
            if rule.shape is not None:
                expr = full(rule.shape, rule.dtype or "float32", rule.value)
                origin = Origin(rule.place, (), "none", "made")
                self._add(Made(rule.name, expr, UNKNOWN, origin), rule)
            else:
                self._init_base(rule)

    def _init_base(self, rule: Init) -> None:
        base, hit = self.job.base, False
        if base is None:
            text = f"{rule.name}: without `shape` this selects tensors of a base; give --into"
            self.draft.problem(rule.refused("schema", text))
            return
        for name in base:
            if name in self.made or not rule.select(name, base[name].spec, base.meaning(name)):  # type: ignore[misc]
                continue
            hit, spec = True, base[name].spec
            expr = base[name] if rule.value == "base" else full(spec.shape, spec.dtype, rule.value)
            origin = Origin(rule.place, (), "none", "kept" if rule.value == "base" else "made")
            self.made[name] = Made(name, expr, base.meaning(name), origin)
        if not hit and not rule.optional:
            self.draft.problem(rule.refused("dead-rule", f"init {rule.name} selects nothing"))

    def _ties(self) -> dict[str, str]:
        """Other names of outputs: by rules, and where the source's ties live on."""
        ties: dict[str, str] = {}
        for rule in self.rules:
            if isinstance(rule, Tie):
                self._tie(rule, ties)
        first: dict[str, Made] = {}
        for name, made in list(self.made.items()):
            stored = self.job.source.ties.get(made.origin.names[0]) if made.origin.names else None
            twin = first.get(stored or "")
            if twin is not None and twin.expr == made.expr:
                ties[name] = twin.name
                del self.made[name]
            elif made.origin.names:
                first.setdefault(made.origin.names[0], made)
        return ties

    def _tie(self, rule: Tie, ties: dict[str, str]) -> None:
        hit = False
        for name in list(self.made):
            captures = rule.with_.match(name)
            if captures is None:
                continue
            hit, other = True, self.binder.spelled(rule.target.write(captures, "."))
            if other in self.made or other in ties:
                text = f"{shown(other)} is made by another rule as well"
                self.draft.problem(rule.refused("collision", text, other))
            ties[other] = name
        if not hit and not rule.optional:
            self.draft.problem(rule.refused("tie", f"no rule makes {rule.with_.text!r}"))

    # -- what is left over -------------------------------------------------------------------

    def _unmatched_sources(self, unclaimed: list[str]) -> None:
        ties = self.job.source.ties
        taken = {ties.get(name, name) for name in self.claims}
        groups: dict[str, list[str]] = {"optimizer": [], "": []}
        for name in unclaimed:
            if ties.get(name, name) not in taken:
                optimizer = self.job.source.meaning(name).role == "optimizer"
                groups["optimizer" if optimizer else ""].append(name)
        if groups["optimizer"]:
            count = len(groups["optimizer"])
            self.draft.line("optimizer", f"{count} tensors of the optimizer are left out")
        self._leftover("unmatched_source", groups[""], "no rule takes it; drop it or map it")

    def _leftover(self, id: str, names: list[str], text: str) -> None:
        action = self.policy[id]
        for group in grouped(names) if action != "ignore" else ():
            spec = self._spec(group.names[0])
            line = f"{group.label} {spec}: {text}"
            if action == "error":
                file = self.job.rules.file
                self.draft.problem(MappingError(id.replace("_", "-"), line, file, 0, group.names))
            else:
                self.draft.line(id.replace("_", "-"), line, group.names)

    def _spec(self, name: str) -> object:
        here = self.job.source.source.specs.get(name)
        return here or (self.job.base.source.specs.get(name) if self.job.base else "")

    def _dead_rules(self) -> None:
        alive = {id(found.rule) for found in self.claims.values()}
        for rule in self.rules:
            dead = id(rule) not in alive and isinstance(rule, Move | Layer | Drop)
            if not dead or rule.optional or self.policy["dead_rule"] == "ignore":
                continue
            problem = rule.refused("dead-rule", self._why_dead(rule))
            if self.policy["dead_rule"] == "error":
                self.draft.problem(problem)
            else:
                self.draft.line("dead-rule", str(problem))

    def _why_dead(self, rule: Rule) -> str:
        """Who took what the rule would have matched, or the nearest names."""
        if isinstance(rule, Drop):
            return f"drop {rule.text} selects nothing"
        text = rule.source.text if isinstance(rule, Move) else rule.sources[0].text  # type: ignore[attr-defined]
        for found in self.claims.values():
            alone = names_of(self.job.source, self.job.rules.source.optional_prefix, "")
            alone.logical = {k: v for k, v in alone.logical.items() if v == found.name}
            if isinstance(next(claim(alone, (rule,), self.dialects[0] or "", self.job.base)), Claim):
                return f"{text!r} matches only what {found.rule.place} took, as {shown(found.name)}"
        names = list(self.source.logical)
        layers = names if isinstance(rule, Move) else list(dict.fromkeys(split(n)[0] for n in names))
        near = get_close_matches(text, layers, 3, 0.4)
        hint = f"; nearest: {', '.join(map(shown, near))}" if near else ""
        return f"{text!r} matches no tensor of the source{hint}"

    def _complete_base(self, ties: dict[str, str]) -> list[str]:
        """Base names that no rule made: kept, tied to one that was made, or unmatched."""
        base = self.job.base
        if base is None:
            return []
        missing, kept = [], []
        for name in base:
            if name in self.made or name in ties:
                continue
            stored = base.ties.get(name)
            if stored is not None and stored in self.made:
                ties[name] = stored
            elif self.job.keep and self.policy["unmatched_target"] == "keep":
                kept.append(name)
                origin = Origin("", (name,), "exact", "kept")
                self.made[name] = Made(name, base[name], base.meaning(name), origin)
            elif base.meaning(name).role != "optimizer" and not self._excluded(name):
                missing.append(name)
        self._leftover("unmatched_target", missing, "no rule makes it")
        if kept:
            self.draft.line("kept", f"{len(kept)} tensors keep the base's values", tuple(kept))
        return kept

    def _order(self, kept: list[str], ties: Mapping[str, str]) -> list[str]:
        """The base's order; else that of the sources in their file, then what was made."""
        if self.job.base is not None:
            return [name for name in self.job.base if name in self.made]
        place = {name: i for i, name in enumerate(self.job.source)}
        end = len(place)

        def at(name: str) -> int:
            return min((place.get(n, end) for n in self.made[name].origin.names), default=end)

        return sorted(self.made, key=at)


def _from(origin: Origin) -> str:
    return ", ".join(map(shown, origin.names)) or "an init"


def _neutral(role: str) -> int:
    from ..conventions import NEUTRAL

    return NEUTRAL.get(role, 0)


def _first_role(found: Claim) -> str:
    """The role of a layer at which its filled roles are made: the first that is not filled."""
    rule = found.rule
    filled = rule.roles if isinstance(rule, Layer) else {}
    return next((r for r in leaves(found.kind, "keras") if r not in filled), found.role)
