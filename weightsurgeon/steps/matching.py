"""Two states matched by their names: never by order, and what has no twin is told, all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import MappingError, shown
from ..formats.base import Checkpoint
from ..grouping import grouped
from ..plan import Line
from ..spec import TensorSpec
from .treatment import group_in
from .work import Place

SPARE = ("rng", "optimizer")  # groups that one side may lack: they stay where they are


class Matched(NamedTuple):
    """The names that both sides have, and what is listed of the others."""

    names: frozenset[str]
    lines: tuple[Line, ...]


def matched(
    target: Checkpoint, online: Checkpoint, needed: Iterable[str], match: str, place: Place
) -> Matched:
    """The names on both sides; `needed` are those of the target that want a twin.

    Errors: MappingError `unmatched`, which lists both sides, unless only the intersection is asked.
    """
    names = frozenset(n for n in target if n in online)
    reached = {target.ties.get(n, n) for n in names}  # one name of a tied tensor is enough
    without = [n for n in needed if n not in reached]
    extra = [n for n in online if n not in target and group_in(online, n)[0] not in SPARE]
    extra = [n for n in extra if online.ties.get(n, n) not in names]
    if match == "strict" and (without or extra):
        raise _refused(without, extra, place)
    if not names:
        raise place.refused("no name is on both sides: nothing would change", id="unmatched")
    lines = []
    if without:
        lines.append(Line("skipped", "only in the target, kept", tuple(without)))
    if extra:
        lines.append(Line("skipped", "only online, not used", tuple(extra)))
    return Matched(names, tuple(lines))


def _refused(without: list[str], extra: list[str], place: Place) -> MappingError:
    parts = []
    if without:
        parts.append(f"only in the target: {listed(without)}")
    if extra:
        parts.append(f"only online: {listed(extra)}")
    remedy = "a mapping, or match: intersection"
    return place.refused(f"{'; '.join(parts)}; {remedy}", id="unmatched", names=[*without, *extra])


def misfit(here: TensorSpec, there: TensorSpec) -> str:
    """Why two tensors cannot meet element by element: the id of a refusal, or "".

    Shapes must be equal, and axes where both sides know them: kernels of two dialects may be
    square.
    """
    if here.shape != there.shape:
        return "shape"
    crossed = here.axes is not None and there.axes is not None
    return "axes" if crossed and str(here.axes) != str(there.axes) else ""


def listed(names: list[str]) -> str:
    """Names in a line: those that differ in a number as one, the first of many."""
    groups = list(grouped(names))
    more = f" and {len(groups) - 8} more" if len(groups) > 8 else ""
    return ", ".join(shown(g.label) for g in groups[:8]) + more
