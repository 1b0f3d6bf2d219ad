"""YAML as data: one document of maps, lists and scalars, every value with its line.

Two passes. The events are counted first and the reading stops at the first fault (depth, nodes,
alias expansion, tags), because the C parser's own recursion does not survive hostile nesting.
Then the nodes become values by our own scalar rules: null, true/false, whole numbers, decimals as
`Decimal`, else text; so `no`, `1:30` and dates stay the text that was written.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from ..errors import MappingError, PlanError

MAX_BYTES, MAX_DEPTH, MAX_NODES = 4 * 2**20, 32, 200_000
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


class Document(NamedTuple):
    """The value of a file, and the line of each place in it (by the path of keys and indices)."""

    value: Any
    lines: dict[Path, int]
    file: str

    def line(self, path: Path) -> int:
        """The line of a place, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load(text: str, file: str) -> Document:
    """Read one YAML document.

    Errors: PlanError with a MappingError `schema` that names the line.
    """
    try:
        _check_events(text, file)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).split("\n", maxsplit=1)[0]
        line = min(mark.line, text.count("\n")) + 1 if mark else 1  # a mark may lie behind the end
        raise _refused(file, line, f"is no YAML: {what}") from error
    document = Document(None, {}, file)
    return document._replace(value=_value(node, (), document))


def _refused(file: str, line: int, what: str) -> PlanError:
    return PlanError([MappingError("schema", what, file, line)])


def _check_events(text: str, file: str) -> None:
    if len(text) > MAX_BYTES:
        raise _refused(file, 1, f"is longer than {MAX_BYTES} bytes")
    depth, sizes, open_, documents = 0, dict[str, int](), list[tuple[str | None, int]](), 0
    nodes = 0
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise _refused(file, line, "holds a second document; one file, one mapping or plan")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _refused(
                    file, line, f"the alias *{event.anchor} stands inside its own anchor"
                )
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            if event.tag not in (None, "!"):
                raise _refused(
                    file, line, f"tag {event.tag} has no meaning here; write plain values"
                )
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_.append((event.anchor, nodes))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = nodes - before + 1
        elif isinstance(event, yaml.ScalarEvent) and event.anchor:
            sizes[event.anchor] = 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise _refused(file, line, f"is nested over {MAX_DEPTH} or has over {MAX_NODES} nodes")


def _value(node: Any, path: Path, document: Document) -> Any:
    if node is None:
        return None
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _map(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, i), document) for i, child in enumerate(node.value)]
    return node.value if node.style else _scalar(node.value)


def _map(node: Any, path: Path, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, child in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused(document.file, line, "a key is plain text")
        key = key_node.value
        if key in found:
            raise _refused(document.file, line, f"the key {key!r} stands twice")
        document.lines[(*path, key)] = line
        found[key] = _value(child, (*path, key), document)
    return found


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 40 else text
    return Decimal(text) if _DECIMAL.fullmatch(text) else text
