"""What a compilation knows while it runs: what was claimed, what is made, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from ..errors import MappingError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Source
from ..ops.reduction import DIFFER, Difference
from ..pending import reduction
from ..plan import Check, Draft, Origin, Target
from ..spec import TensorSpec
from . import policy as policies
from .bind import Binder, Made
from .claim import Claim, Claimer
from .demands import Demands
from .logical import Names, names_of
from .pasting import Paste
from .rules import Layer, Rule, Side
from .rules import Mapping as Rules


@dataclass
class Job:
    """What is ported: from where, to where, and what decides doubtful cases.

    sources  every file behind it, by alias
    base     an existing target; `keep` says that what no rule makes keeps the base's values
    pastes   what is shorter than the base's tensor of this name, and how it is placed in it
    own_dtype  whether what is made keeps its dtype where the base has another
    """

    source: Checkpoint
    rules: Rules
    target: Target
    sources: Mapping[str, Source]
    base: Checkpoint | None = None
    keep: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    pastes: Mapping[str, Paste] = field(default_factory=dict)
    own_dtype: bool = False


class State:
    """One compilation. Rules hold no run state; this does."""

    def __init__(self, job: Job) -> None:
        self.job, self.draft = job, Draft()
        self.rules = tuple(rule for rule in job.rules.rules if not rule.alias)
        presets = {"unmatched_target": "keep", "lossy_cast": "list"} if job.keep else {}
        self.policy = {**policies.STRICT, **presets, **job.rules.policy, **job.policy}
        self.audit = self.policy.get(policies.PRESET) == "audit"
        self.source = self._names(job.source, job.rules.source)
        there = job.rules.target
        self.base = None if job.base is None else self._names(job.base, there)
        self.dialects = (
            job.rules.source.dialect or job.source.dialect,
            job.rules.target.dialect or job.target.dialect,
        )
        names = self.base.neutral if self.base else {}
        known = {**job.rules.sizes, **job.sizes}
        demands = Demands(job.source, self.policy, job.own_dtype)
        about = (job.source, job.base, names, self.dialects, known, demands, job.keep)
        self.binder = Binder(*about, job.pastes)
        self.claimer = Claimer(self.source, self.rules, self.dialects, job.base)
        self.made = dict[str, Made]()
        self.makers = dict[str, Rule]()  # which rule made what
        self.folds = list[Claim]()  # what goes into another layer, once that is made
        self.eps = dict[str, tuple[Layer, Fraction]]()  # what is added to a variance
        self.claims = dict[str, Claim]()
        self.checks = list[Check]()
        self.refused = set[str]()  # outputs that an error is about already
        self.homeless = dict[int, tuple[Rule, list[str]]]()  # names that the base lacks, by rule
        self.spoken_for = set[int]()  # rules that an error is about already
        self._know_dialects()

    def _names(self, checkpoint: Checkpoint, side: Side) -> Names:
        found = names_of(checkpoint, side.optional_prefix, side.optional_segment)
        file, parts = self.job.rules.file, filter(None, (found.prefix, *side.optional_segment))
        off = " and ".join(repr(shown(part)) for part in parts)
        for name, other in found.clashes:
            text = f"without {off}, {shown(name)} and {shown(other)} are one"
            self.draft.problem(MappingError("prefix", text, file, names=(name, other)))
        taken = sum(1 for logical, name in found.logical.items() if logical != name)
        if taken:
            text = f"{off} taken off {taken} of {len(checkpoint)} names"
            self.draft.line("prefix", f"{text} of {shown(checkpoint.path)}")
        return found

    def _know_dialects(self) -> None:
        """Kinds mean something only in a dialect: without one, layer rules would match nothing."""
        layers = [rule for rule in self.rules if isinstance(rule, Layer)]
        for side, dialect in zip(("source", "target"), self.dialects, strict=True):
            if layers and dialect is None:
                text = f"the dialect of the {side} is not known; say {side}: {{dialect: …}}"
                self.draft.problem(layers[0].refused("kind", text))

    def refuse(self, error: MappingError, *names: str) -> None:
        """A refusal of one binding, unless the policy says to leave it out and list it."""
        action = self.policy.get(error.id.replace("-", "_"), "error")
        if action in ("skip", "list"):
            self.draft.line(error.id, f"left out: {error.text}", error.names)
        else:
            self.draft.problem(error)
            self.refused.update(names)

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
            self.homeless.setdefault(id(rule), (rule, []))[1].append(made.name)
        else:
            self.made[made.name], self.makers[made.name] = made, rule

    def dead(self, rule: Rule, text: str) -> None:
        """A rule that does nothing: refused, listed or ignored."""
        if self.policy["dead_rule"] == "error":
            self.draft.problem(rule.refused("dead-rule", text))
        elif self.policy["dead_rule"] == "list":
            self.draft.line("dead-rule", f"{rule.place}: {text}")

    def as_mapped(self, name: str) -> str:
        """A target's name as the mapping writes it: without the optional prefix."""
        return name if self.base is None else self.base.seen.get(name, name)

    def excluded(self, name: str, spec: TensorSpec) -> bool:
        """Whether `include` and `exclude` leave a target name out; `spec`: where no base says."""
        spec = self.binder.wanted(name) or spec
        meaning = self.job.base.meaning(name) if self.job.base is not None else UNKNOWN
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
            at = _place(a.spec.shape, found.first or 0)
            return rule.refused("unequal", f"{text}; first at {at}")

        if a != b:
            self.checks.append(Check(reduction(DIFFER, a, b), refused))


def _from(origin: Origin) -> str:
    return ", ".join(map(shown, origin.names)) or "an init"


def _place(shape: tuple[int, ...], flat: int) -> list[int]:
    """A flat index as one for each axis.

    >>> _place((2, 3), 4)
    [1, 1]
    """
    at = list[int]()
    for size in reversed(shape):
        flat, n = divmod(flat, size)
        at.insert(0, n)
    return at
