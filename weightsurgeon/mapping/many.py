"""Lists, gathers and scatters of a rule: which axes of its layout run over tensors, in which order.

Before the bar of a side stand the axis of its list, under any name, and then its gathers or
scatters under their own, in the order in which they appear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import SpecError, shown
from ..notation import Layout, Side, atoms, parse_layout
from .names import Pattern
from .tokens import captures_of

LIST = ""  # the axis of a list, whatever the layout calls it
Over = tuple[str, ...]


def over_of(patterns: Sequence[Pattern | None], listed: bool) -> Over:
    """The axes over tensors of one side of a rule.

    >>> from weightsurgeon.mapping.tokens import parse
    >>> over_of([parse("{i:int}.{e...}.w1"), parse("{i:int}.{e:int}.w3")], listed=True)
    ('', 'e')
    """
    found = dict.fromkeys([LIST] if listed else [])
    for pattern in patterns:
        if pattern is not None:
            found |= dict.fromkeys(c.name for c in pattern.captures() if c.many)
    return tuple(found)


def wrong_bars(
    over: tuple[Over, Over],
    layout: Layout | None,
    m: Mapping[str, Any],
    sides: tuple[Sequence[Pattern | None], Sequence[Pattern | None]],
) -> Iterator[tuple[str, str]]:
    """What is wrong with the bars of a layout, or with there being none: the id and the text."""
    known = [captures_of(*(p for p in side if p is not None)) for side in sides]
    for mine, other, captures in zip(over, over[::-1], known, strict=True):
        for name in (set(other) & captures.keys()) - set(mine):
            yield "capture", f"{{{name}...}} of the other side stands here without the dots"
    for name in m["range"].keys() - {n for k in known for n, c in k.items() if c.is_number}:
        yield "schema", f"range: {shown(name)} is no number in these names"
    many_ = any(over) or m["repeat"] or m["sum"] or many(m)["parts"]
    if layout is None and m["layout"] is None and many_:
        what = _listed(over[0] or over[1]) or "what is repeated, summed or has parts"
        yield "layout", f"{what} needs a layout with a bar, as in `e | o d -> e o d`"
    if many_ and (m["crop"] or m["pad"]):
        yield "schema", "crop and pad of many tensors are not built yet: give each its own rule"
    for names, side, word in zip(over, layout or (), ("from", "to"), strict=False):
        found = tuple(axis.name for axis in side.over)
        named = [f for f, n in zip(found, names, strict=False) if n]
        if len(found) != len(names) or named != [n for n in names if n]:
            wanted = " ".join(name or "(any name for the list)" for name in names) or "nothing"
            text = f"layout {m['layout']!r}: the bar of `{word}` has before it {wanted}"
            yield "layout", text


def _listed(names: Over) -> str:
    return ", ".join(f"{{{name}...}}" if name else "a list" for name in names)


def many(m: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a rule that are about many tensors, as a `Move` has them."""
    parts = {
        name: tuple(None if n == "_" else n for n in size)
        for name, size in m["sizes"].items()
        if isinstance(size, list)
    }
    ranges = {
        name: None if span == "varies" else tuple(span if isinstance(span, list) else (0, span))
        for name, span in m["range"].items()
    }
    return {
        "sizes": {name: size for name, size in m["sizes"].items() if isinstance(size, int)},
        "parts": parts,
        "repeat": m["repeat"],
        "sums": tuple([m["sum"]] if isinstance(m["sum"], str) else m["sum"]),
        "ranges": ranges,
    }


def list_axis(names: Over, side: Side) -> str | None:
    """What a layout calls the axis of the list of a side; None where there is no list."""
    return side.over[names.index(LIST)].name if LIST in names else None


def read_layout(text: str, m: Mapping[str, Any]) -> Layout:
    """The layout of a rule; what stands on one side only is repeated or summed.

    Errors: SpecError `layout`.
    """
    layout = parse_layout(text)
    once = {*m["repeat"], *many(m)["sums"]}
    here, there = ({a.name: a.letters for a in (*x.over, *atoms(x.axes))} for x in layout)
    if odd := (here.keys() ^ there.keys()) - once:
        what = f"{', '.join(sorted(odd))} is on one side only"
        raise SpecError(f"layout {text!r}: {what}; say `repeat` or `sum` if it shall be", "layout")
    if odd := once - (here.keys() ^ there.keys()):
        what = f"{', '.join(sorted(odd))} is repeated or summed, but not on one side only"
        raise SpecError(f"layout {text!r}: {what}", "layout")
    for name in here.keys() & there.keys():
        if here[name] and there[name] and sorted(here[name]) != sorted(there[name]):
            what = f"{name} has the entries {here[name]} here and {there[name]} there"
            raise SpecError(f"layout {text!r}: {what}", "layout")
    return layout
