"""What can be wrong with weights: one row a rule, its thresholds with it.

A finding is `certain` where it follows from the values and what is known of the layers, else
`heuristic`: a place to look. Thresholds of heuristics are proposals; `--rules` moves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import SurgeryError, shown
from ..table import human_count
from .selection import envelope
from .showing import folded, html_table, plain

SEVERITIES = ("error", "warning", "info")
MARKS = {"error": "✗", "warning": "!", "info": "·"}
HEAD = ("severity", "code", "label", "where", "evidence", "what it means → what to do")


class Rule(NamedTuple):
    """What a code stands for: severity, thresholds, what it means, what to do about it."""

    title: str
    severity: str
    limits: Mapping[str, float]
    meaning: str
    next: str


RULES: dict[str, Rule] = {
    "W001": Rule("NaN", "error", {}, "every output that reads it is NaN", "find the step it came"),
    "W002": Rule("Inf", "error", {}, "what reads it is Inf or NaN", "find the step it came"),
    "W003": Rule(
        "looks uninitialised", "error", {"largest": 1e30}, "memory that was never written looks so",
        "check how the file was made",
    ),
    "W004": Rule(
        "overflows the target dtype", "error", {}, "the cast makes it Inf, or NaN",
        "scale it, or keep this tensor wider",
    ),
    "W005": Rule(
        "vanishes in the target dtype", "warning", {"share": 0.01}, "the cast makes it 0",
        "keep this tensor wider",
    ),
    "W010": Rule(
        "exploding gain", "warning", {"decades": 3}, "signals grow along this chain",
        "check the initialisation; normalise",
    ),
    "W011": Rule(
        "vanishing gain", "warning", {"decades": 3}, "signals die along this chain",
        "check the initialisation; normalise",
    ),
    "W012": Rule(
        "recurrent radius", "warning", {"above": 1.5, "below": 0.1, "side": 512},
        "states grow, or are forgotten, at every step", "check the recurrent initialisation",
    ),
    "W013": Rule(
        "exploding gradient", "warning", {"ratio": 1e3}, "the first layers are torn about",
        "clip gradients; normalise; lower the gain",
    ),
    "W014": Rule(
        "vanishing gradient", "warning", {"ratio": 1e-3}, "the first layers do not learn",
        "residual paths; normalise; raise the gain",
    ),
    "W020": Rule(
        "dead unit", "warning", {"sigmas": -3.1}, "behind a ReLU it never fires", "prune it"
    ),
    "W021": Rule("unused unit", "warning", {}, "nothing reads it", "prune it"),
    "W022": Rule(
        "duplicate units", "info", {"cosine": 1 - 1e-6, "units": 1024, "size": 4_194_304},
        "they do the same", "prune one, add up what reads them",
    ),
    "W030": Rule("untrained", "warning", {}, "it is as it was made", "was it meant to be trained?"),
    "W031": Rule("constant tensor", "warning", {}, "all its units are one", "was it trained?"),
    "W040": Rule(
        "rank collapse", "info", {"stable_rank": 2, "side": 16, "longest": 256},
        "its units do nearly the same", "look at its spectrum",
    ),
    "W050": Rule(
        "outliers", "info", {"ratio": 20, "size": 1000}, "a few values are much larger than all",
        "mind it before quantising",
    ),
    "W060": Rule(
        "prunable", "info", {"ratio": 0.01}, "30 % lie so near 0 that they hardly count",
        "weightsurgeon prune",
    ),
    "W070": Rule(
        "set of shards", "error", {}, "the set is not whole: only the rest was examined",
        "fetch this shard again, or write the set anew",
    ),
    "W071": Rule(
        "tensor in two shards", "error", {}, "readers disagree on which one counts",
        "write the set anew",
    ),
    "W080": Rule("mixed dtypes", "info", {}, "one role in several dtypes", "cast if unintended"),
    "W090": Rule("aliases", "info", {}, "one tensor under several names", "keep them tied"),
}  # fmt: skip

Limits = Mapping[str, Mapping[str, float]]


class Finding(NamedTuple):
    """Something found: where (tensor, unit), by which number, and how sure it is."""

    code: str
    tensor: str
    evidence: str
    unit: int | None = None
    label: str = "certain"
    severity: str = ""  # the rule's, where it is not another

    @property
    def rule(self) -> Rule:
        """The row of its code."""
        return RULES[self.code]

    @property
    def level(self) -> str:
        """How bad it is."""
        return self.severity or self.rule.severity

    def to_json(self) -> dict[str, Any]:
        """The finding as data."""
        return {
            "severity": self.level,
            "code": self.code,
            "title": self.rule.title,
            "tensor": self.tensor,
            "unit": self.unit,
            "evidence": self.evidence,
            "meaning": self.rule.meaning,
            "next": self.rule.next,
            "label": self.label,
        }


@dataclass(frozen=True)
class Health:
    """What the doctor found, worst first; which rules were asked; how many values were read."""

    input: Mapping[str, Any]
    findings: tuple[Finding, ...]
    rules: Limits
    values: int
    notes: tuple[str, ...] = field(default_factory=tuple)

    def worst(self, level: str = "error") -> bool:
        """Whether a finding reaches this severity."""
        reach = SEVERITIES[: SEVERITIES.index(level) + 1]
        return any(f.level in reach for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The findings as data."""
        return {
            **envelope("doctor", [dict(self.input)]),
            "findings": [f.to_json() for f in self.findings],
            "rules": {code: plain(dict(limits)) for code, limits in self.rules.items()},
            "values_read": self.values,
            "notes": list(self.notes),
        }

    def text(self, width: int | None = None, everything: bool = True) -> Iterator[str]:
        """A row a finding; without `everything` at most ten of a code."""
        kept = list[Finding]()
        for f in self.findings:
            if everything or sum(k.code == f.code for k in kept) < 10:
                kept.append(f)
        yield from folded([_cells(f) for f in kept], (), width)
        if len(kept) < len(self.findings):
            yield f"… and {len(self.findings) - len(kept)} more (--all)"
        yield from (f"note: {shown(note, 2000)}" for note in self.notes)
        yield self.total

    @property
    def total(self) -> str:
        """How many of each severity."""
        counts = {s: sum(f.level == s for f in self.findings) for s in SEVERITIES}
        plural = {"error": "errors", "warning": "warnings", "info": "infos"}
        parts = [f"{n} {s if n == 1 else plural[s]}" for s, n in counts.items() if n]
        verdict = parts or ["✓ nothing found"]
        return " · ".join(
            [*verdict, f"{len(self.rules)} rules", f"{human_count(self.values)} values read"]
        )

    def __str__(self) -> str:
        return "\n".join(self.text())

    def _repr_html_(self) -> str:
        return html_table(HEAD, [_cells(f) for f in self.findings], self.total)


def _cells(f: Finding) -> tuple[str, ...]:
    where = shown(f.tensor) + ("" if f.unit is None else f" unit {f.unit}")
    return (
        f"{MARKS[f.level]} {f.level}",
        f"{f.code} {f.label}",
        where,
        shown(f.evidence, 500),
        f"{f.rule.title}: {f.rule.meaning} → {f.rule.next}",
    )


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Worst first, else as found."""
    return tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.level)))


def limits_of(changed: Mapping[str, Any] | None) -> Limits:
    """The thresholds of all rules, some of them changed, some rules off.

    Errors: SurgeryError for a code, a threshold or a value that is none.

    >>> limits_of({"W050": {"ratio": 30}})["W050"]["ratio"]
    30.0
    >>> "W060" in limits_of({"W060": "off"})
    False
    """
    found = {code: dict(rule.limits) for code, rule in RULES.items()}
    for code, value in (changed or {}).items():
        if code not in RULES:
            raise SurgeryError(f"no rule is {shown(code)!r}; known: {', '.join(RULES)}")
        if value in ("off", False):
            found.pop(code, None)
            continue
        if not isinstance(value, Mapping):
            raise SurgeryError(f"{code} wants off, or its thresholds, not {shown(value)!r}")
        for name, number in value.items():
            if name not in RULES[code].limits:
                known = ", ".join(RULES[code].limits) or "none, it is off or on"
                raise SurgeryError(f"{code} has no threshold {shown(name)!r}; it has: {known}")
            try:
                found[code][name] = float(number)
            except (TypeError, ValueError):
                text = f"{code}.{name} wants a number, not {shown(number)!r}"
                raise SurgeryError(text) from None
    return found
