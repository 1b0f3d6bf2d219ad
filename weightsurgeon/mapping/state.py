"""What a compilation knows while it runs: what was claimed, what is made, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..errors import MappingError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Source
from ..ops.reduction import DIFFER, Difference
from ..plan import Check, Draft, Origin, Target, reduction
from . import policy as policies
from .bind import Binder, Made
from .claim import Claim, Names, names_of
from .rules import Mapping as Rules
from .rules import Rule


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


class State:
    """One compilation. Rules hold no run state; this does."""

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
        names = self.base.neutral if self.base else {}
        known = {**job.rules.sizes, **job.sizes}
        self.binder = Binder(job.source, job.base, names, self.dialects, known, self.policy)
        self.made: dict[str, Made] = {}
        self.claims: dict[str, Claim] = {}
        self.checks: list[Check] = []

    def _names(self, checkpoint: Checkpoint, prefixes: tuple[str, ...]) -> Names:
        try:
            return names_of(checkpoint, prefixes, self.job.rules.file)
        except MappingError as error:
            self.draft.problem(error)
            return Names(checkpoint, {name: name for name in checkpoint})

    def refuse(self, error: MappingError) -> None:
        """A refusal of one binding, unless the policy says to leave it out and list it."""
        action = self.policy.get(error.id.replace("-", "_"), "error")
        if action in ("skip", "list"):
            self.draft.line(error.id, f"left out: {error.text}", error.names)
        else:
            self.draft.problem(error)

    def add(self, made: Made, rule: Rule) -> None:
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

    def excluded(self, name: str) -> bool:
        spec = self.binder.wanted(name) or next(iter(self.job.source.source.specs.values()))
        meaning = self.job.base.meaning(name) if self.job.base else UNKNOWN
        rules = self.job.rules
        if rules.include is not None and not rules.include(name, spec, meaning):
            return True
        return rules.exclude is not None and rules.exclude(name, spec, meaning)

    def equal(self, a: Expr, b: Expr, rule: Rule, text: str) -> None:
        """Two tensors that must have the same bits, checked before anything is written."""
        if a.spec[:2] != b.spec[:2]:
            self.draft.problem(rule.refused("unequal", f"{text}: {a.spec} and {b.spec}"))
            return

        def refused(found: Difference) -> MappingError:
            return rule.refused("unequal", f"{text}; first at flat index {found.first}")

        if a != b:
            self.checks.append(Check(reduction(DIFFER, a, b), refused))


def _from(origin: Origin) -> str:
    return ", ".join(map(shown, origin.names)) or "an init"
