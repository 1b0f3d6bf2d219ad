"""A layer rule, read: its kinds, where it goes or what takes it in, what becomes of its roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..conventions import LEAVES, group_of, parts
from ..errors import shown
from . import rules
from .names import Pattern
from .tokens import captures_of
from .yaml_data import Path

if TYPE_CHECKING:
    from .reading import Entry, Reader


def read_layer(reader: Reader, m: Entry, at: Path, common: Entry) -> rules.Layer:
    """The rule of a layer entry; problems are remembered by the reader."""
    kinds = reader.kinds(m["kind"], at)
    sources = reader.patterns(m["layer"], (*at, "layer"))
    targets = reader.patterns(m["to"] or [], (*at, "to"), *sources)
    level = reader.level(m["options"], (*at, "options"), *sources, *targets)
    fold = _fold_into(reader, m["fold_into"], (*at, "fold_into"), sources)
    if (m["to"] is None) == (m["fold_into"] is None):
        reader.refuse(at, "a layer rule has `to` or `fold_into`, one of them")
    elif m["to"] is not None:
        told = set(level.names() if level else ())
        reader.same_captures(sources, targets, at, told)
        _judge_parts(reader, kinds[0], len(sources), len(targets), at)
    elif kinds != ["batchnorm"] or m["roles"]:
        reader.refuse((*at, "fold_into"), "a batchnorm is folded, as a whole: no roles")
    if m["eps"] is not None and kinds[0] != "batchnorm":
        reader.refuse((*at, "eps"), f"a {kinds[0]} has no variance; eps is for a batchnorm")
    _judge_roles(reader, m["roles"], kinds, (*at, "roles"))
    return rules.Layer(
        **common,
        sources=tuple(s for s in sources if s),
        targets=tuple(t for t in targets if t),
        kind=kinds[0],
        target_kind=kinds[-1],
        options=m["options"],
        sizes=m["sizes"],
        roles={
            role: found
            for role, way in m["roles"].items()
            if (found := _way(reader, way, (*at, "roles", role), sources)) is not None
        },
        eps=_eps(reader, m, at),
        fold_into=fold,
        level=level,
        when=reader.test(m["when"], (*at, "when")),
    )


def _way(
    reader: Reader, way: Any, at: Path, sources: Iterable[Pattern | None]
) -> str | Pattern | None:
    """A word, or the pattern of the layer that takes the role in."""
    return _fold_into(reader, way["fold_into"], at, sources) if isinstance(way, dict) else str(way)


def _fold_into(
    reader: Reader, text: str | None, at: Path, sources: Iterable[Pattern | None]
) -> Pattern | None:
    """The layer that takes something in; its captures are those of the layer that gives."""
    if text is None:
        return None
    pattern: Pattern | None = reader.pattern(text, at, *sources)
    known = captures_of(*(s for s in sources if s is not None))
    for name in captures_of(pattern) if pattern is not None else ():
        if name not in known:
            reader.refuse(at, f"{text!r}: the layer has no capture {name}", "capture")
    return pattern


def _eps(reader: Reader, m: Entry, at: Path) -> tuple[Fraction, Fraction] | None:
    """The eps here and there; what is folded has no there."""
    if m["eps"] is None:
        return None
    needed = ("source",) if m["fold_into"] is not None else ("source", "target")
    if m["eps"].keys() != set(needed):
        reader.refuse((*at, "eps"), f"wants {' and '.join(needed)} here, and nothing else")
    found: Mapping[str, Any] = {"source": 0, "target": 0, **m["eps"]}
    return Fraction(found["source"]), Fraction(found["target"])


def _judge_parts(reader: Reader, kind: str, sources: int, targets: int, at: Path) -> None:
    """Of a kind that is two layers in torch one side is a list; all else is one to one."""
    if kind == "separable" and {sources, targets} != {1, 2}:
        text = "a separable convolution is one layer in Keras and a list of two in torch"
        reader.refuse(at, text)
    elif parts(kind, "torch") == 1 and (sources, targets) != (1, 1):
        reader.refuse(at, f"kind {kind}: `layer` and `to` are one name each")


def _judge_roles(reader: Reader, roles: Mapping[str, Any], kinds: list[str], at: Path) -> None:
    """`roles` names roles that a layer of this kind can have; a bias alone can be folded."""
    known = {r.partition("@")[0] for kind in kinds for r in LEAVES.get(kind, {})}
    usual = sorted(r for r in known if group_of(r) != "quant")
    for role, way in roles.items():
        if known and role not in known:
            text = f"a {kinds[0]} has no {shown(role)}; it has {', '.join(usual)}"
            reader.refuse((*at, role), text, "role")
        elif isinstance(way, dict) and role != "bias":
            reader.refuse((*at, role), f"a {role} is not folded; a bias is")
