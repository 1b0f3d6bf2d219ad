"""One entry of `rules:` becomes a frozen rule; its problems are remembered, each with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..conventions import LEAVES, parts
from ..errors import MappingError, SpecError, shown
from ..notation import Layout, atoms, parse_layout
from ..spec import checked_shape, dtype_of
from . import names, rules, schema, tokens
from .select import Test, selector
from .sizes import stray
from .value_keys import read_values
from .yaml_data import Document, Path

Entry = dict[str, Any]


class Reader:
    """Reads parts of one document and collects what is wrong with them."""

    def __init__(self, document: Document, tables: names.Tables | None = None) -> None:
        self.document, self.tables = document, tables or {}
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
        place = {"file": self.document.file, "line": self.document.line(at)}
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
        source = self.pattern(m["from"], (*at, "from"))
        target = self.pattern(m["to"], (*at, "to"), source)
        self.same_captures((source,), (target,), at)
        layout = self.attempt((*at, "layout"), _layout, m["layout"]) if m["layout"] else None
        if m["cast"]:
            self.attempt((*at, "cast"), dtype_of, m["cast"])
        when = self.test(m["when"], (*at, "when"))
        moved = {"layout": layout, "sizes": m["sizes"], "cast": m["cast"], "when": when}
        return rules.Move(
            **common, source=source, target=target, values=read_values(self, m, layout, at), **moved
        )

    def _layer(self, m: Entry, at: Path, common: Entry) -> rules.Rule:
        kinds = self.kinds(m["kind"], at)
        sources = [self.pattern(text, (*at, "layer")) for text in _listed(m["layer"])]
        targets = [self.pattern(text, (*at, "to"), *sources) for text in _listed(m["to"])]
        self.same_captures(sources, targets, at)
        self.parts(kinds[0], len(sources), len(targets), at)
        self.roles(m["roles"], kinds, (*at, "roles"))
        return rules.Layer(
            **common,
            sources=tuple(s for s in sources if s),
            targets=tuple(t for t in targets if t),
            kind=kinds[0],
            target_kind=kinds[-1],
            options=m["options"],
            sizes=m["sizes"],
            roles=m["roles"],
            when=self.test(m["when"], (*at, "when")),
        )

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
        self.same_captures((with_,), (target,), at)
        return rules.Tie(**common, target=target, with_=with_)

    # -- parts of rules ----------------------------------------------------------------------

    def kinds(self, text: str, at: Path) -> list[str]:
        """The kind here and the kind there, from `linear` or `linear_t -> linear`."""
        kinds = [k.strip() for k in text.split("->")]
        if len(kinds) > 2:
            self.refuse((*at, "kind"), f"{shown(text)!r}: one arrow at most", "kind")
        for kind in kinds:
            if kind in schema.LATER_KINDS:
                self.refuse((*at, "kind"), f"kind {kind} is not built yet", "kind")
            elif kind != "auto" and kind not in LEAVES:
                known = ", ".join(sorted(LEAVES))
                text = f"there is no kind {shown(kind)!r}; known: {known}"
                self.refuse((*at, "kind"), text, "kind")
        return kinds

    def parts(self, kind: str, sources: int, targets: int, at: Path) -> None:
        """Of a kind that is two layers in torch one side is a list; all else is one to one."""
        if kind == "separable" and {sources, targets} != {1, 2}:
            text = "a separable convolution is one layer in Keras and a list of two in torch"
            self.refuse(at, text)
        elif parts(kind, "torch") == 1 and (sources, targets) != (1, 1):
            self.refuse(at, f"kind {kind}: `layer` and `to` are one name each")

    def roles(self, roles: Iterable[str], kinds: list[str], at: Path) -> None:
        """`roles` names roles that a layer of this kind can have."""
        known = {role for kind in kinds for role in LEAVES.get(kind, {})}
        for role in roles if known else ():
            if role not in known:
                text = f"a {kinds[0]} has no {shown(role)}; it has {', '.join(sorted(known))}"
                self.refuse((*at, role), text, "role")

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

    def same_captures(self, sources: Any, targets: Any, at: Path) -> None:
        """Both sides name the same captures, or a name could not be written or inverted."""
        if any(p is None for p in (*sources, *targets)):
            return
        here, there = set(tokens.captures_of(*sources)), set(tokens.captures_of(*targets))
        if here != there:
            odd = ", ".join(sorted(here ^ there))
            self.refuse(at, f"both sides name the same captures; only one has {odd}", "capture")

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


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _layout(text: str) -> Layout:
    layout = parse_layout(text)
    if layout.have.over or layout.want.over:
        what = "axes over tensors (before a bar) are not built yet"
        raise SpecError(f"layout {text!r}: {what}", "layout")
    here, there = ({a.name: a.letters for a in atoms(side.axes)} for side in layout)
    if odd := here.keys() ^ there.keys():
        raise SpecError(f"layout {text!r}: {', '.join(sorted(odd))} is on one side only", "layout")
    for name, letters in here.items():
        if letters and there[name] and sorted(letters) != sorted(there[name]):
            what = f"{name} has the entries {letters} here and {there[name]} there"
            raise SpecError(f"layout {text!r}: {what}", "layout")
    return layout


def tables_of(reader: Reader, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Tables as text to text; two keys with one value could not be inverted."""
    found = dict[str, dict[str, str]]()
    for name, table in tables.items():
        found[name] = {key: str(value) for key, value in table.items()}
        if len(set(found[name].values())) != len(table):
            reader.refuse(("tables", name), f"table {name!r} has one value for two keys", "table")
    return found
