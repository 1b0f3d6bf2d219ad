"""A mapping as YAML that people read: a key a line, a rule a line in braces.

Quotes stand where plain text would be read as something else. What was read is written so that it
is read as the same data; comments are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@-]+)*")
_READ_OTHERWISE = re.compile(r"~|null|true|false|-?[0-9].*")


def dump(mapping: Mapping[str, Any]) -> str:
    """The text of a mapping or any other map.

    >>> print(dump({"weightsurgeon": 1, "rules": [{"from": "a.{i:int}", "to": "b"}]}), end="")
    weightsurgeon: 1
    rules:
    - {from: "a.{i:int}", to: b}
    """
    return "".join(f"{line}\n" for key, value in mapping.items() for line in _lines(key, value))


def _lines(key: str, value: Any) -> Iterator[str]:
    nested = isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values())
    if nested:
        yield f"{flow(key)}:"
        yield from (f"  {flow(k)}: {flow(v)}" for k, v in value.items())
    elif isinstance(value, list) and value:
        yield f"{flow(key)}:"
        yield from (f"- {flow(entry)}" for entry in value)
    else:
        yield f"{flow(key)}: {flow(value)}"


def flow(value: Any) -> str:
    """A value on one line.

    >>> flow({"a": [1, "no", "1e5", "x: y"], "b": Decimal("1E-5"), "c": None})
    '{a: [1, no, "1e5", "x: y"], b: 0.00001, c: null}'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{flow(k)}: {flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:f}" if isinstance(value, Decimal) and abs(value.adjusted()) < 30 else str(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _READ_OTHERWISE.fullmatch(text):
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(c: str) -> str:
    if c in '"\\':
        return f"\\{c}"
    if c.isprintable():
        return c
    code = ord(c)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
    )
