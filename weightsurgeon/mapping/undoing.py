"""What undoes one rule, as data, and its class: what the way back needs.

Each form of a rule has a function here; `inverse:` in the file goes before all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from ..notation import Layout, atoms, parse_layout
from ..ops.affine import Factor
from .names import NameError_, Pattern
from .spelling import changed_over
from .tokens import captures_of, parse
from .value_keys import read_fraction, read_scale
from .values import Root

Entry = dict[str, Any]
Tables = Mapping[str, Mapping[str, str]]
CLASSES = ("exact", "rounding", "needs base", "function", "lossy", "none")


class Undone(NamedTuple):
    """The rule that undoes another (None: there is none), the class of the pair, and why."""

    entry: Entry | None
    class_: str = "exact"
    why: str = ""

    def worse(self, class_: str, why: str) -> Undone:
        """The same, of a class that is at least this."""
        if CLASSES.index(class_) <= CLASSES.index(self.class_):
            return self
        return self._replace(class_=class_, why=why)


def undo(entry: Entry, tables: Tables) -> Undone:
    """The rule that undoes a rule, without regard to its `inverse`.

    >>> undo({"from": "a.{i:int}", "to": "b.{i+1}", "layout": "x y -> y x"}, {}).entry
    {'from': 'b.{i+1}', 'to': 'a.{i}', 'layout': 'y x -> x y'}
    """
    form = next(key for key in _FORMS if key in entry)
    try:
        return _FORMS[form](entry, tables)
    except NameError_ as error:
        return Undone(None, "none", str(error))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _names(here: Any, there: Any, tables: Tables) -> tuple[Any, Any]:
    """Both sides changed over; a list stays a list."""
    sources, targets = list[Pattern](), list[Pattern]()
    for text in _listed(here):
        sources.append(parse(text, tables, captures_of(*sources)))
    for text in _listed(there):
        targets.append(parse(text, tables, captures_of(*sources, *targets)))
    reads, writes = changed_over(sources, targets)
    return (
        reads[0] if isinstance(there, str) else reads,
        writes[0] if isinstance(here, str) else writes,
    )


# -- from … to … -----------------------------------------------------------------------------


def _move(entry: Entry, tables: Tables) -> Undone:
    reads, writes = _names(entry["from"], entry["to"], tables)
    made: Entry = {"from": reads, "to": writes}
    layout = parse_layout(entry["layout"]) if "layout" in entry else None
    resized = {*entry.get("crop", {}), *entry.get("pad", {})}
    for key, value in entry.items():
        if key == "layout":
            made[key] = _turned(value, "->")
        elif key == "sizes":
            made |= _kept(key, {n: s for n, s in value.items() if n not in resized})
        elif key == "when":
            made |= _kept(key, _when(value, layout))
        elif key in ("range", "repeat", "sum", "optional", "doc"):
            made[key] = value
    found = _resized(entry, made)
    if found.entry is not None:
        found = _computed(entry, found)
    if "cast" in entry:
        found = found.worse("lossy", f"cast: {entry['cast']} may lose digits")
    return _summed(entry, layout, found)


def _kept(key: str, value: Entry) -> Entry:
    return {key: value} if value else {}


def _turned(text: str, arrow: str) -> str:
    return f" {arrow} ".join(part.strip() for part in reversed(text.split(arrow)))


def _when(words: Entry, layout: Layout | None) -> Entry:
    """The same of the tensor on the other side: its rank is that of the layout."""
    if "rank" not in words or layout is None:
        return words
    more = len(layout.want.axes) - len(layout.have.axes)
    return words | {"rank": words["rank"] + more}


def _resized(entry: Entry, made: Entry) -> Undone:
    """`crop` undoes `pad`, and entries of the base undo `crop`."""
    cropped, padded, found = entry.get("crop", {}), entry.get("pad", {}), Undone(made)
    crops, pads = Entry(), Entry()
    for name, p in padded.items():
        lo, hi = cropped.get(name, (0, p.get("from")))
        if hi is None:
            return Undone(None, "none", f"pad: say from how many entries of {name}")
        at = p.get("at", 0)
        crops[name] = [at, at + hi - lo]
    for name, (lo, hi) in cropped.items():
        pads[name] = {"from": hi - lo, "to": "base", "at": lo, "fill": "base"}
        found = found.worse("needs base", f"crop: the other entries of {name} are the base's")
    made |= _kept("crop", crops) | _kept("pad", pads)
    return found


def _computed(entry: Entry, found: Undone) -> Undone:
    """y = a·x + b, so x = y/a − b/a."""
    if not {"scale", "shift"} & entry.keys() or found.entry is None:
        return found
    scale, shift = read_scale(entry.get("scale", 1)), read_fraction(entry.get("shift", 0))
    if isinstance(scale, Root):
        if shift:
            return Undone(None, "none", "a shift behind the scale of a root has no exact inverse")
        back: Any = f"sqrt({scale.axis})" if scale.under else f"1/sqrt({scale.axis})"
    else:
        back = _number(_fraction(scale.inverse()))
        shift = -shift / _fraction(scale)
    made = dict(found.entry)
    if "scale" in entry:
        made["scale"] = back
    if "shift" in entry:
        made["shift"] = _number(shift)
    return found._replace(entry=made).worse("rounding", "scale and shift round")


def _fraction(factor: Factor) -> Fraction:
    return Fraction(factor.over, factor.under)


def _number(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def _summed(entry: Entry, layout: Layout | None, found: Undone) -> Undone:
    here = {axis.name for axis in (*layout.have.over, *atoms(layout.have.axes))} if layout else ()
    if any(name in here for name in _listed(entry.get("sum", []))):
        return found.worse("function", "sum: what was added cannot be taken apart")
    return found


# -- the other forms -------------------------------------------------------------------------


def _layer(entry: Entry, tables: Tables) -> Undone:
    if "fold_into" in entry:
        return Undone(None, "none", "fold_into: a batchnorm that was folded cannot be taken out")
    reads, writes = _names(entry["layer"], entry["to"], tables)
    made: Entry = {"layer": reads, "to": writes}
    found = Undone(made)
    for key, value in entry.items():
        if key == "kind":
            made[key] = _turned(value, "->")
        elif key == "roles":
            made[key], found = _roles(value, found)
        elif key == "eps":
            made[key] = {"source": value["target"], "target": value["source"]}
            found = found.worse("rounding", "eps: the variance is rounded")
        elif key in ("options", "sizes", "when", "optional", "doc"):
            made[key] = value
    return found


def _roles(roles: Mapping[str, Any], found: Undone) -> tuple[Entry, Undone]:
    made = Entry()
    for role, way in roles.items():
        made[role] = "drop" if way in ("fill", "keep") else "fill"
        if way == "keep":
            found = found.worse("lossy", f"{role}: keep takes the base's, which is dropped again")
        elif isinstance(way, Mapping):
            found = found.worse("function", f"{role}: what was folded comes back as 0")
    return made, found


def _drop(entry: Entry, tables: Tables) -> Undone:
    name = entry["drop"]
    if "equal_to" not in entry:
        return Undone(None, "none", "drop: what was dropped is not there any more")
    if not isinstance(name, str) or set(name) & set("*?{}") or name.startswith("re:"):
        return Undone(None, "none", "drop: only a drop of one name is undone by a tie")
    return Undone({"tie": name, "with": entry["equal_to"], **_kept_of(entry, ("doc",))})


def _tie(entry: Entry, tables: Tables) -> Undone:
    if set(entry["tie"] + entry["with"]) & set("*?{}"):
        return Undone(None, "none", "tie: only a tie of one name is undone by a drop")
    made = {"drop": entry["tie"], "equal_to": entry["with"], "optional": True}
    return Undone(made | _kept_of(entry, ("doc",)))


def _kept_of(entry: Entry, keys: Iterable[str]) -> Entry:
    return {key: entry[key] for key in keys if key in entry}


def _init(entry: Entry, tables: Tables) -> Undone:
    return Undone(None, "none", "init: what is made here was not there")


_FORMS: dict[str, Callable[[Entry, Tables], Undone]] = {
    "from": _move,
    "layer": _layer,
    "drop": _drop,
    "tie": _tie,
    "init": _init,
}
