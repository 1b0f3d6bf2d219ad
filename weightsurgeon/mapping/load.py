"""From a YAML file to a `Mapping`: every problem of the file at once, each with its line."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from ..errors import MappingError, PlanError, shown
from . import policy, rules, schema, yaml_data
from .aliases import RESERVED
from .reading import Reader, tables_of
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
    """The text of a YAML file, or PlanError `schema`; of one that is too long, a bit too much."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a FIFO would hang
            raise OSError(0, "is no regular file")
        with path.open("rb") as file:
            return file.read(yaml_data.MAX_BYTES + 4).decode("utf-8-sig", "strict")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise PlanError([MappingError("schema", "is no UTF-8 text", str(path), line)]) from error
    except OSError as error:
        text = f"cannot be read: {error.strerror or error}"
        raise PlanError([MappingError("schema", text, str(path))]) from error


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
    return _mapping(document)


def _mapping(document: Document) -> rules.Mapping:
    """The whole mapping, or PlanError with every problem of the file."""
    reader = Reader(document)
    m = reader.table(schema.MAPPING, document.value, ())
    reader.tables = tables_of(reader, m["tables"])
    reader.aliases = _aliases(reader, document.value, m["sources"])
    found = [reader.rule(entry, ("rules", i)) for i, entry in enumerate(m["rules"] or ())]
    kept = tuple(rule for rule in found if rule is not None)
    if len(kept) == len(found):
        reader.sizes(m["sizes"], kept, ("sizes",))
    mapping = rules.Mapping(
        source=_side(reader, m["source"], ("source",)),
        sources={a: _side(reader, m["sources"][a], ("sources", a)) for a in reader.aliases},
        target=_side(reader, m["target"], ("target",)),
        rules=kept,
        sizes=m["sizes"],
        policy=reader.attempt(("policy",), policy.read, m["policy"]) or {},
        include=reader.test(m["include"], ("include",)),
        exclude=reader.test(m["exclude"], ("exclude",)),
        dequantise=m["dequantise"],
        notes=tuple(m["notes"]),
        review=tuple(m["review"]),
        file=document.file,
        hash=hash_of(document.value),
    )
    if reader.problems:
        raise PlanError(reader.problems)
    return mapping


def _aliases(reader: Reader, entry: Any, sources: Any) -> tuple[str, ...]:
    """The aliases of several sources; none where there is one."""
    if "source" in entry and "sources" in entry:
        reader.refuse(("sources",), "give `source`, or `sources` with an alias for each; not both")
    for alias in sources:
        if not alias.isidentifier() or alias == RESERVED:
            what = "names the target here" if alias == RESERVED else "wants letters, digits, _"
            reader.refuse(("sources", alias), f"the alias {shown(alias)!r} {what}")
    return tuple(sources)


def _side(reader: Reader, value: Any, at: Path) -> rules.Side:
    """`source` or `target`."""
    m = reader.table(schema.SIDE, value, at)
    words = (m.get(key) or [] for key in ("optional_prefix", "optional_segment"))
    prefix, segment = ((w,) if isinstance(w, str) else tuple(w) for w in words)
    for text in segment:
        if set(text) & set("./"):
            what = f"{shown(text)!r} is no segment: it holds a separator"
            reader.refuse((*at, "optional_segment"), what)
    return rules.Side(m.get("dialect"), prefix, segment)


def hash_of(value: Any) -> str:
    """SHA-256 of a mapping as data: comments, aliases and the order of keys apart."""
    text = json.dumps(value, sort_keys=True, default=_number)
    return hashlib.sha256(text.encode()).hexdigest()


def _number(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value.normalize())
    raise TypeError(f"no data: {value!r}")
