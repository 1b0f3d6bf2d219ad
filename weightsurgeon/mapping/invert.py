"""The way back of a mapping, as a mapping: what a rule reads its inverse writes, and the reverse.

A rule whose inverse would not lead back to itself is carried along under `inverse:`, so that
inverting twice gives the mapping that was there, as data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import PlanError, SurgeryError, shown
from . import yaml_data
from .aliases import unaliased
from .foreign import foreign, placed
from .load import loads
from .schema import refused
from .undoing import Undone, undo
from .yaml_data import Document

Entry = dict[str, Any]
NONE = "none"
_WRITTEN = ("exact", "rounding")


class Inverse(NamedTuple):
    """A mapping as data, and how many of its rules are of which class."""

    value: Entry
    classes: Mapping[str, int]


def invert(text: str, file: str = "mapping.yaml", lossy: bool = False, alias: str = "") -> Inverse:
    """The inverse of a mapping, from its YAML; `yaml_text.dump` writes it.

    `lossy` writes the best there is for rules that do not lead back; what has no inverse at all
    is left out. Of a mapping with several sources it is the way back to that of the `alias`; what
    the others made is dropped.

    Errors: PlanError with every problem of the file; else with a MappingError `inverse` for each
    rule that is neither exact nor a rounding, unless `lossy`.

    >>> text = "{weightsurgeon: 1, rules: [{from: 'a{i:int}', to: 'b{i}', scale: 2}]}"
    >>> invert(text).value["rules"]
    [{'from': 'b{i:int}', 'to': 'a{i}', 'scale': '1/2'}]
    """
    loads(text, file)
    document = yaml_data.load(text, file)
    aliases = list(document.value.get("sources") or ())
    if alias not in (aliases or [""]):
        told = f"sources: {', '.join(map(shown, aliases))}" if aliases else "has one source"
        raise PlanError([refused(document, (), f"{told}; --for says to which the way leads")])
    inverter = _Inverter(document, lossy, alias)
    value = inverter.mapping()
    if inverter.problems:
        raise PlanError(inverter.problems)
    return Inverse(value, inverter.classes)


class _Inverter:
    def __init__(self, document: Document, lossy: bool, alias: str) -> None:
        self.document, self.lossy, self.alias = document, lossy, alias
        self.problems, self.classes = list[SurgeryError](), dict[str, int]()
        self.tables = document.value.get("tables") or {}

    def mapping(self) -> Entry:
        """All keys of the file; those of the sides are changed over."""
        made: Entry = {}
        for key, value in self.document.value.items():
            if key in ("include", "exclude"):
                self.lost(Undone(None, "none", f"{key} is about target names"), (key,))
            elif key == "dequantise":
                if value:
                    self.lost(Undone(None, "none", "nothing quantises again"), (key,))
            elif key == "tables":
                made[key] = {name: _written(inverted(table)) for name, table in value.items()}
            elif key == "rules":
                made[key] = self.rules(value)
            elif key == "sources":
                made["target"] = value[self.alias]
            else:
                made[{"source": "target", "target": "source"}.get(key, key)] = value
        return _in_order(made)

    def rules(self, entries: list[Entry]) -> list[Entry]:
        """The inverses in order; drops come first, lest another rule takes what they drop."""
        aliases = self.document.value.get("sources") or ()
        found, drops = list[Entry](), list[Entry]()
        for i, entry in enumerate(entries):
            alias, own = unaliased(entry, aliases) if aliases else ("", entry)
            if alias in ("", self.alias):
                found += self.rule(own, ("rules", i))
            else:
                drops += foreign(own)
        return placed(ordered(found), drops)

    def rule(self, entry: Entry, at: yaml_data.Path) -> Iterator[Entry]:
        """What is written instead of a rule: what it says itself, else what undoes it."""
        if "inverse" in entry:
            self.count("exact")
            yield from told(entry, self.tables)
            return
        tables = texts(self.tables)
        undone = undo(entry, tables)
        self.count(undone.class_)
        if undone.class_ not in _WRITTEN:
            self.lost(undone, at)
        if undone.entry is not None:
            yield carried(undone.entry, entry, tables)

    def count(self, class_: str) -> None:
        self.classes[class_] = self.classes.get(class_, 0) + 1

    def lost(self, undone: Undone, at: yaml_data.Path) -> None:
        """A rule that does not lead back, unless that is wanted."""
        if not self.lossy:
            remedy = "write `inverse:`, or --lossy" if "rules" in at else "--lossy leaves it out"
            text = f"{undone.class_}: {undone.why}; {remedy}"
            self.problems.append(refused(self.document, at, text, "inverse"))


def carried(made: Entry, entry: Entry, tables: Mapping[str, Mapping[str, str]]) -> Entry:
    """The inverse, with the rule itself under `inverse` where its own inverse is not that rule."""
    back = undo(made, {name: inverted(table) for name, table in tables.items()})
    return made if back.entry == entry else {**made, "inverse": entry}


def told(entry: Entry, tables: Mapping[str, Any]) -> Iterator[Entry]:
    """The rules under `inverse`; the first of them leads back, the others to nothing."""
    value = entry["inverse"]
    listed = [] if value == NONE else value if isinstance(value, list) else [value]
    for i, other in enumerate(listed):
        if i or "inverse" in other:
            yield other if "inverse" in other else {**other, "inverse": NONE}
            continue
        back = {name: inverted(table) for name, table in texts(tables).items()}
        undone = undo(other, back)
        natural = undone.entry and carried(undone.entry, other, back)
        yield other if natural == entry else {**other, "inverse": entry}


def inverted(table: Mapping[str, Any]) -> dict[str, str]:
    """A table the other way round."""
    return {str(value): key for key, value in table.items()}


def _written(table: Mapping[str, str]) -> Entry:
    """A table as it is written: a word that is a number stands without quotes."""
    return {key: int(v) if v.isdecimal() and str(int(v)) == v else v for key, v in table.items()}


def texts(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Tables as text to text."""
    return {name: {k: str(v) for k, v in table.items()} for name, table in tables.items()}


def ordered(rules: list[Entry]) -> list[Entry]:
    """Drops first, then ties, then what moves, each in their order."""
    return sorted(rules, key=lambda rule: 0 if "drop" in rule else 1 if "tie" in rule else 2)


_ORDER = "weightsurgeon name source target sizes tables policy rules notes review"


def _in_order(made: Entry) -> Entry:
    return {key: made[key] for key in _ORDER.split() if key in made}
