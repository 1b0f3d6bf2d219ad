"""From a YAML file to a `Mapping`: every problem of the file at once, each with its line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from ..conventions import LEAVES
from ..errors import MappingError, PlanError, SpecError, shown
from ..notation import Layout, parse_layout
from ..spec import dtype_of
from . import names, policy, rules, schema, tokens, yaml_data
from .select import Test, selector
from .yaml_data import Document, Path

SHIPPED = (
    FilePath(__file__).parent.parent / "mappings",
    FilePath(__file__).parents[2] / "mappings",
)


def find(name: str, beside: str | None = None) -> FilePath:
    """The file of a mapping: beside the plan, in the working folder, or a shipped one.

    Errors: PlanError `schema` that lists the shipped mappings.
    """
    folders = [FilePath(beside).parent] if beside else []
    for folder in (*folders, FilePath(), *SHIPPED):
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.is_file():
                return path
    shipped = sorted(str(p.relative_to(s))[:-5] for s in SHIPPED for p in s.glob("**/*.yaml"))
    text = f"there is no mapping {shown(name)}; shipped are {', '.join(dict.fromkeys(shipped))}"
    raise PlanError([MappingError("schema", text)])


def load(name: str, beside: str | None = None) -> rules.Mapping:
    """Read a mapping by path or by the name of a shipped one."""
    path = find(name, beside)
    return loads(read_text(path), path.name)


def read_text(path: FilePath) -> str:
    """The text of a YAML file, or PlanError `schema`."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        text = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise PlanError([MappingError("schema", f"cannot be read: {text}", str(path))]) from error


def loads(text: str, file: str = "mapping.yaml") -> rules.Mapping:
    """Read a mapping from YAML text.

    Errors: PlanError with a MappingError for each problem.

    >>> loads("{weightsurgeon: 1, rules: [{from: a, to: b}]}").rules[0].target.text
    'b'
    """
    document = yaml_data.load(text, file)
    value = document.value
    if not isinstance(value, dict) or ("rules" in value) == ("steps" in value):
        what = "holds either `rules` (a mapping) or `steps` (a plan)"
        raise PlanError([MappingError("schema", what, file, 1)])
    if "steps" in value:
        raise PlanError([MappingError("schema", "is a plan: `weightsurgeon run` it", file, 1)])
    return _Loader(document).mapping()


class _Loader:
    """Reads one document and collects its problems."""

    def __init__(self, document: Document) -> None:
        self.document, self.problems = document, list[MappingError]()
        self.tables: dict[str, dict[str, str]] = {}

    def mapping(self) -> rules.Mapping:
        """The whole mapping, or PlanError with every problem of the file."""
        m = self.table(schema.MAPPING, self.document.value, ())
        self.tables = self.checked_tables(m.get("tables"))
        entries = m.get("rules") if isinstance(m.get("rules"), list) else []
        found = [self.rule(entry, ("rules", i)) for i, entry in enumerate(entries)]
        sides = [self.side(m.get(key), (key,)) for key in ("source", "target")]
        mapping = rules.Mapping(
            *sides,
            rules=tuple(r for r in found if r is not None),
            sizes=m.get("sizes"),
            policy=self.attempt(("policy",), policy.read, m.get("policy")) or {},
            include=self.test(m.get("include"), ("include",)),
            exclude=self.test(m.get("exclude"), ("exclude",)),
            notes=tuple(m.get("notes") or ()),
            review=tuple(m.get("review") or ()),
            file=self.document.file,
            hash=hash_of(self.document.value),
        )
        if self.problems:
            raise PlanError(self.problems)
        return mapping

    def table(self, table: schema.Table, value: Any, at: Path) -> dict[str, Any]:
        """The values of a table's keys; problems are remembered."""
        found, problems = schema.validate(table, value, self.document, at)
        self.problems += problems
        return found

    def side(self, value: Any, at: Path) -> rules.Side:
        """`source` or `target`."""
        m = self.table(schema.SIDE, value, at)
        prefix = m.get("optional_prefix") or []
        prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
        return rules.Side(m.get("dialect"), prefixes)

    # -- one rule ----------------------------------------------------------------------------

    def rule(self, entry: Any, at: Path) -> rules.Rule | None:
        """The rule of an entry, or None with the problems remembered."""
        forms = [key for key in schema.FORMS if isinstance(entry, dict) and key in entry]
        if len(forms) != 1:
            what = f"a rule has exactly one of {', '.join(schema.FORMS)}"
            self.refuse(at, f"{what}; here: {', '.join(forms) or shown(str(entry), 60)}")
            return None
        before = len(self.problems)
        m = self.table(schema.FORMS[forms[0]], entry, at)
        if len(self.problems) > before:
            return None
        place = {"file": self.document.file, "line": self.document.line(at)}
        build: Callable[..., rules.Rule] = getattr(self, f"_{forms[0]}")
        rule = build(m, at, {**place, "optional": m["optional"]})
        return rule if len(self.problems) == before else None

    def _from(self, m: dict[str, Any], at: Path, common: dict[str, Any]) -> rules.Rule:
        source = self.pattern(m["from"], (*at, "from"))
        target = self.pattern(m["to"], (*at, "to"), source)
        self.same_captures((source,), (target,), at)
        layout = self.attempt((*at, "layout"), _layout, m["layout"]) if m["layout"] else None
        if m["cast"]:
            self.attempt((*at, "cast"), dtype_of, m["cast"])
        when = self.test(m["when"], (*at, "when"))
        moved = {"layout": layout, "sizes": m["sizes"], "cast": m["cast"], "when": when}
        return rules.Move(**common, source=source, target=target, **moved)

    def _layer(self, m: dict[str, Any], at: Path, common: dict[str, Any]) -> rules.Rule:
        kinds = [k.strip() for k in m["kind"].split("->")]
        for kind in kinds:
            if kind != "auto" and kind not in LEAVES:
                known = ", ".join(sorted(LEAVES))
                self.refuse(
                    (*at, "kind"), f"there is no kind {shown(kind)!r}; known: {known}", "kind"
                )
                return rules.Layer(**common)
        layers = [m["layer"]] if isinstance(m["layer"], str) else m["layer"]
        to = [m["to"]] if isinstance(m["to"], str) else m["to"]
        sources = [self.pattern(text, (*at, "layer")) for text in layers]
        targets = [self.pattern(text, (*at, "to"), *sources) for text in to]
        self.same_captures(sources, targets, at)
        if kinds[0] == "separable" and {len(sources), len(targets)} != {1, 2}:
            self.refuse(
                at, "a separable convolution is one layer in Keras and a list of two in torch"
            )
        elif kinds[0] != "separable" and (len(sources), len(targets)) != (1, 1):
            self.refuse(at, f"kind {kinds[0]}: `layer` and `to` are one name each")
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

    def _drop(self, m: dict[str, Any], at: Path, common: dict[str, Any]) -> rules.Rule:
        select = self.test(m["drop"], (*at, "drop"))
        return rules.Drop(**common, select=select, text=shown(m["drop"]), equal_to=m["equal_to"])

    def _init(self, m: dict[str, Any], at: Path, common: dict[str, Any]) -> rules.Rule:
        if m["dtype"]:
            self.attempt((*at, "dtype"), dtype_of, m["dtype"])
        shape = None if m["shape"] is None else tuple(m["shape"])
        if shape is not None and not isinstance(m["init"], str):
            self.refuse((*at, "init"), "with `shape` this is the name of one new tensor")
        name = m["init"] if isinstance(m["init"], str) else shown(m["init"])
        select = self.test(m["init"], (*at, "init")) if shape is None else None
        value = m["value"] if isinstance(m["value"], str | int) else float(m["value"])
        return rules.Init(
            **common, name=name, select=select, value=value, shape=shape, dtype=m["dtype"]
        )

    def _tie(self, m: dict[str, Any], at: Path, common: dict[str, Any]) -> rules.Rule:
        with_ = self.pattern(m["with"], (*at, "with"))
        target = self.pattern(m["tie"], (*at, "tie"), with_)
        self.same_captures((with_,), (target,), at)
        return rules.Tie(**common, target=target, with_=with_)

    # -- parts of rules ----------------------------------------------------------------------

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

    def test(self, value: Any, at: Path) -> Test | None:
        """A selector, or None where there is none."""
        return None if value is None else self.attempt(at, selector, value)

    def checked_tables(self, tables: Any) -> dict[str, dict[str, str]]:
        """Tables as text to text; two keys with one value could not be inverted."""
        found: dict[str, dict[str, str]] = {}
        for name, table in tables.items() if isinstance(tables, dict) else ():
            entries = table.items() if isinstance(table, dict) else ()
            found[name] = {str(key): str(value) for key, value in entries}
            if len(set(found[name].values())) != len(found[name]):
                self.refuse(("tables", name), f"table {name!r} has one value for two keys", "table")
        return found

    def attempt(self, at: Path, read: Callable[..., Any], *args: Any) -> Any:
        """What `read` makes of the arguments, or None with the problem remembered."""
        try:
            return read(*args)
        except (ValueError, SpecError) as error:
            self.refuse(at, str(error), getattr(error, "id", "schema"))
            return None

    def refuse(self, at: Path, text: str, id: str = "schema") -> None:
        """Remember a problem at a place of the document."""
        self.problems.append(schema.refused(self.document, at, text, id))


def _layout(text: str) -> Layout:
    layout = parse_layout(text)
    if layout.have.over or layout.want.over:
        raise SpecError(
            f"layout {text!r}: axes over tensors (before a bar) are not built yet", "layout"
        )
    return layout


def hash_of(value: Any) -> str:
    """SHA-256 of a mapping as data: comments, aliases and the order of keys apart."""
    text = json.dumps(value, sort_keys=True, default=_number)
    return hashlib.sha256(text.encode()).hexdigest()


def _number(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value.normalize())
    raise TypeError(f"no data: {value!r}")
