"""Where a claim goes: the names that its target has, as the base spells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..conventions import SEPARATOR, leaves
from ..formats.base import UNKNOWN, Checkpoint
from .claim import Claim
from .logical import neutral
from .names import Captures, Pattern
from .rules import Layer, Move


@dataclass(frozen=True)
class Naming:
    """Gives claims the names of their targets."""

    source: Checkpoint
    base: Checkpoint | None
    base_names: Mapping[str, str]  # neutral name → as it stands in the base
    dialects: tuple[str | None, str | None]

    def targets(self, claim: Claim) -> str | None:
        """The target's name, or None where the target's form of the layer has no such tensor."""
        rule = claim.rule
        if isinstance(rule, Move):
            return self.written(rule.target, claim.captures)
        if not isinstance(rule, Layer):
            return None
        found = self.all_targets(claim)
        return found[0] if found else None

    def all_targets(self, claim: Claim) -> list[str]:
        """The target's names for a role of a layer, one for each tensor that it has there."""
        rule, to = claim.rule, self.dialects[1] or ""
        if not isinstance(rule, Layer) or rule.roles.get(claim.role) == "drop":
            return []
        leaf = leaves(self.target_kind(claim), to, self.given(claim)).get(claim.role)
        if leaf is None:
            return []
        pattern = rule.targets[leaf.part if len(rule.targets) > 1 else 0]
        layer, separator = pattern.write(claim.captures, self._joint), SEPARATOR.get(to, "/")
        cells = [[f"{layer}{separator}{n}" if layer else n for n in cell] for cell in leaf.cells]
        return [self._known_as(names) for names in cells]

    def _known_as(self, names: list[str]) -> str:
        """The first of these names that the base has, else the first."""
        spelled = [self.spelled(n) for n in names]
        return next((n for n in spelled if self.in_base(n)), spelled[0])

    def given(self, claim: Claim) -> dict[str, object]:
        """The options of a layer as the rule gives them, else as the file here tells them."""
        options = {**self.source.meaning(claim.name).options}
        if isinstance(claim.rule, Layer):
            options |= claim.rule.options
            if claim.rule.level is not None:
                options["level"] = int(claim.rule.level.write(claim.captures, ""))
        return options

    def target_kind(self, claim: Claim) -> str:
        """The kind on the target's side: the rule's, or the same as here."""
        kind = claim.rule.target_kind if isinstance(claim.rule, Layer) else "auto"
        return claim.kind if kind == "auto" else kind

    def written(self, pattern: Pattern, captures: Captures) -> str:
        """The name that a pattern writes, as the base spells it.

        Errors: NameError_ `index` or `table`.
        """
        return self.spelled(pattern.write(captures, self._joint))

    @property
    def _joint(self) -> str:
        """What joins the segments of a path; within a dialect they stay as they are."""
        here, there = self.dialects
        return "" if here == there else SEPARATOR.get(there or "", "/")

    def spelled(self, name: str) -> str:
        """The name as the base writes it, if there is a base that has it."""
        return self.base_names.get(neutral(name), name)

    def in_base(self, name: str) -> bool:
        """Whether the base holds this name."""
        return self.base is not None and name in self.base

    def options(self, claim: Claim) -> dict[str, object]:
        """Options of the layer from the rule, else from the file here, else from the base."""
        target = self.targets(claim)
        there = self.base.meaning(target) if self.base is not None and target else UNKNOWN
        told = {k: v for k, v in self.given(claim).items() if v is not None}
        return {**there.options, **told}
