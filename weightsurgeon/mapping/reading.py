"""One entry of `rules:` becomes a frozen rule; its problems are remembered, each with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..conventions import LEAVES
from ..errors import MappingError, SpecError, shown
from ..spec import checked_shape, dtype_of
from . import names, rules, schema, tokens
from .aliases import unaliased
from .layer_reading import read_layer
from .many import many, over_of, read_layout, wrong_bars
from .select import Test, selector
from .sizes import stray
from .value_keys import read_values
from .yaml_data import Document, Path

Entry = dict[str, Any]


class Reader:
    """Reads parts of one document and collects what is wrong with them."""

    def __init__(self, document: Document, tables: names.Tables | None = None) -> None:
        self.document, self.tables = document, tables or {}
        self.aliases: tuple[str, ...] = ()
        self.problems = list[MappingError]()

    # -- one rule ----------------------------------------------------------------------------

    def rule(self, entry: Any, at: Path) -> rules.Rule | None:
        """The rule of an entry, or None with the problems remembered."""
        forms = [key for key in schema.FORMS if isinstance(entry, dict) and key in entry]
        if len(forms) != 1:
            what = f"a rule has exactly one of {', '.join(schema.FORMS)}"
            self.refuse(at, f"{what}; here: {', '.join(forms) or shown(entry, 60)}")
            return None
        before = len(self.problems)
        m = self.table(schema.FORMS[forms[0]], entry, at)
        if len(self.problems) > before:
            return None
        if self.aliases:
            alias, m = self.attempt(at, unaliased, m, self.aliases) or ("", m)
        else:
            alias = ""
        place = {"file": self.document.file, "line": self.document.line(at), "alias": alias}
        build: Callable[..., rules.Rule] = getattr(self, f"_{forms[0]}")
        rule = build(m, at, {**place, "optional": m["optional"]})
        if len(self.problems) == before:
            self.sizes(m.get("sizes") or {}, [rule], (*at, "sizes"))
        if m["inverse"] not in (None, "none"):
            self.inverse(m["inverse"], (*at, "inverse"))
        return rule if len(self.problems) == before else None

    def inverse(self, value: Any, at: Path) -> None:
        """`inverse` is a rule of the inverse mapping, whose tables are inverted, or a list."""
        back = {name: {v: k for k, v in table.items()} for name, table in self.tables.items()}
        reader = Reader(self.document, back)
        listed = value if isinstance(value, list) else [value]
        for i, entry in enumerate(listed):
            reader.rule(entry, (*at, i) if isinstance(value, list) else at)
        self.problems += reader.problems

    def _from(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        sources = self.patterns(m["from"], (*at, "from"))
        targets = self.patterns(m["to"], (*at, "to"), *sources)
        listed = [isinstance(m[key], list) for key in ("from", "to")]
        over = over_of(sources, listed[0]), over_of(targets, listed[1])
        gathered = {name for names_ in over for name in names_}
        self.same_captures(sources, targets, at, gathered)
        layout = m["layout"] and self.attempt((*at, "layout"), read_layout, m["layout"], m)
        if m["cast"]:
            self.attempt((*at, "cast"), dtype_of, m["cast"])
        when = self.test(m["when"], (*at, "when"))
        for id, text in wrong_bars(over, layout, m, (sources, targets)):
            self.refuse((*at, "layout") if id == "layout" and layout else at, text, id)
        return rules.Move(
            **common,
            sources=tuple(sources),
            targets=tuple(targets),
            layout=layout,
            values=read_values(self, m, layout, at),
            cast=m["cast"],
            when=when,
            over=over,
            **many(m),
        )

    def _layer(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        return read_layer(self, m, at, common)

    def level(self, options: Entry, at: Path, *known: names.Pattern) -> names.Pattern | None:
        """The level of a stacked layer where captures tell it, as in `"{n:int}"`."""
        if not isinstance(options.get("level"), str):
            return None
        found: names.Pattern | None = self.pattern(options["level"], (*at, "level"), *known)
        if found is not None and not all(c.is_number for c in found.captures()):
            self.refuse((*at, "level"), f"{shown(found.text)!r} is no number", "capture")
        return found

    def _drop(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        select = self.needed(m["drop"], (*at, "drop"))
        return rules.Drop(**common, select=select, text=shown(m["drop"]), equal_to=m["equal_to"])

    def _init(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        if m["dtype"]:
            self.attempt((*at, "dtype"), dtype_of, m["dtype"])
        shape = self.new_shape(m, at) if m["shape"] is not None else None
        name = m["init"] if isinstance(m["init"], str) else shown(m["init"])
        select = self.needed(m["init"], (*at, "init")) if m["shape"] is None else None
        value = m["value"] if isinstance(m["value"], str | int) else float(m["value"])
        return rules.Init(
            **common, name=name, select=select, value=value, shape=shape, dtype=m["dtype"]
        )

    def _tie(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        with_ = self.pattern(m["with"], (*at, "with"))
        target = self.pattern(m["tie"], (*at, "tie"), with_)
        self.same_captures((with_,), (target,), at, set())
        return rules.Tie(**common, target=target, with_=with_)

    # -- parts of rules ----------------------------------------------------------------------

    def kinds(self, text: str, at: Path) -> list[str]:
        """The kind here and the kind there, from `linear` or `linear_t -> linear`."""
        kinds = [k.strip() for k in text.split("->")]
        if len(kinds) > 2:
            self.refuse((*at, "kind"), f"{shown(text)!r}: one arrow at most", "kind")
        for kind in kinds:
            if kind != "auto" and kind not in LEAVES:
                known = ", ".join(sorted(LEAVES))
                text = f"there is no kind {shown(kind)!r}; known: {known}"
                self.refuse((*at, "kind"), text, "kind")
        return kinds

    def new_shape(self, m: Entry, at: Path) -> tuple[int, ...] | None:
        """The shape of the one new tensor that an `init` makes."""
        if not isinstance(m["init"], str):
            self.refuse((*at, "init"), "with `shape` this is the name of one new tensor")
        if m["value"] == "base":
            self.refuse((*at, "value"), "a new tensor has no value in the base; leave `shape` out")
        shape: tuple[int, ...] | None = self.attempt((*at, "shape"), checked_shape, m["shape"])
        return shape

    def pattern(self, text: str, at: Path, *known: names.Pattern | None) -> Any:
        """The pattern of a name; its captures may be typed by those of the other side."""
        typed = tokens.captures_of(*(p for p in known if p is not None))
        return self.attempt(at, tokens.parse, text, self.tables, typed)

    def patterns(
        self, value: str | list[str], at: Path, *known: names.Pattern | None
    ) -> list[names.Pattern]:
        """The patterns of one name or of a list; a later one knows the captures of those before."""
        found = list[names.Pattern]()
        for text in [value] if isinstance(value, str) else value:
            found.append(self.pattern(text, at, *known, *found))
        return found

    def same_captures(self, sources: Any, targets: Any, at: Path, over: set[str]) -> None:
        """Every name has the same captures, or one could not be written or inverted.

        Those of gathers and scatters are the same on a side.
        """
        if any(p is None for p in (*sources, *targets)):
            return
        for side in (sources, targets):
            sides = [frozenset(tokens.captures_of(p)) for p in side]
            if odd := frozenset().union(*sides) - sides[0].intersection(*sides):
                odd_ = ", ".join(sorted(odd))
                self.refuse(at, f"all names of a list have the same captures; {odd_}", "capture")
        here, there = set(tokens.captures_of(*sources)), set(tokens.captures_of(*targets))
        if only := (here ^ there) - over:
            listed = ", ".join(sorted(only))
            self.refuse(at, f"both sides name the same captures; only one has {listed}", "capture")

    def sizes(self, sizes: Iterable[str], found: Iterable[rules.Rule], at: Path) -> None:
        """Each size is that of an axis in some layout, or it was misspelt."""
        for name, text in stray(sizes, found):
            self.refuse((*at, name), text, "size")

    def test(self, value: Any, at: Path) -> Test | None:
        """A selector, or None where there is none."""
        return None if value is None else self.attempt(at, selector, value)

    def needed(self, value: Any, at: Path) -> Any:
        """A selector that must be there."""
        return self.attempt(at, selector, value)

    # -- problems ----------------------------------------------------------------------------

    def table(self, table: schema.Table, value: Any, at: Path) -> Entry:
        """The values of a table's keys; problems are remembered."""
        found, problems = schema.validate(table, value, self.document, at)
        self.problems += problems
        return found

    def attempt(self, at: Path, read: Callable[..., Any], *args: Any) -> Any:
        """What `read` makes of the arguments, or None with the problem remembered."""
        try:
            return read(*args)
        except (ValueError, SpecError) as error:
            id = getattr(error, "id", "shape")
            self.refuse(at, str(error), "schema" if id == "shape" else id)  # no tensor is near yet
            return None

    def refuse(self, at: Path, text: str, id: str = "schema") -> None:
        """Remember a problem at a place of the document."""
        self.problems.append(schema.refused(self.document, at, text, id))


def tables_of(reader: Reader, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Tables as text to text; two keys with one value could not be inverted."""
    found = dict[str, dict[str, str]]()
    for name, table in tables.items():
        found[name] = {key: str(value) for key, value in table.items()}
        if len(set(found[name].values())) != len(table):
            reader.refuse(("tables", name), f"table {name!r} has one value for two keys", "table")
    return found
