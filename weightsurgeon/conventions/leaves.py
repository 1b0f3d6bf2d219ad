"""Under which names the tensors of a layer stand, in each dialect: read from the rows `LEAVES`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from . import attention, convolution, linear, normalization, recurrent

_TABLES = (linear, convolution, normalization, recurrent, attention)
LEAVES: dict[str, dict[str, dict[str, str]]] = {k: v for t in _TABLES for k, v in t.LEAVES.items()}


class Leaf(NamedTuple):
    """Where a role stands: in the n-th layer of the dialect's form, in one tensor or several.

    cells  for each of its tensors the names that it may have; the first one is written
    """

    part: int
    cells: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which the role may stand."""
        return tuple(name for cell in self.cells for name in cell)


def leaves(kind: str, dialect: str, options: Mapping[str, Any] | None = None) -> dict[str, Leaf]:
    """The leaf names of each role of a kind in a dialect; aliases are read, the first is written.

    `options` fill what a name tells of the layer: `level`, `direction`, and choose the variant of
    a row (`packed: false`). A kind without rows, as a newer version may have written it, has none.

    >>> leaves("linear", "torch")["kernel"].names
    ('weight',)
    >>> leaves("lstm", "torch", {"level": 1, "direction": "backward"})["bias"].cells[0]
    ('bias_ih_l1_reverse', 'bias_ih')
    """
    options = options or {}
    level, backward = str(options.get("level", 0)), options.get("direction") == "backward"
    return _leaves(kind, dialect, level, backward, tuple(variants(None, options)))


@lru_cache(maxsize=4096)
def _leaves(
    kind: str, dialect: str, level: str, backward: bool, chosen: tuple[str, ...]
) -> dict[str, Leaf]:
    found, rows = {}, LEAVES.get(kind, {})
    for role in dict.fromkeys(key.partition("@")[0] for key in rows):
        keys = (*(f"{role}@{variant}" for variant in chosen), role)
        by_dialect = next((rows[key] for key in keys if key in rows), {})
        text = by_dialect.get(family(dialect), by_dialect.get("all"))
        if text:
            part, _, names = text.rpartition(":")
            names = names.replace("{level}", level)
            names = names.replace("{reverse}", "_reverse" if backward else "")
            cells = (tuple(cell.strip().split("|")) for cell in names.split(","))
            found[role] = Leaf(int(part or 0), tuple(cells))
    return found


def parts(kind: str, dialect: str, roles: Container[str] | None = None) -> int:
    """Of how many layers the kind consists in a dialect (a separable convolution: two in torch).

    `roles` are those that a layer has, where that is known: only an embedding with a kernel for
    the way back becomes two.
    """
    found = leaves(kind, dialect).items()
    return 1 + max((x.part for role, x in found if roles is None or role in roles), default=0)


def family(dialect: str) -> str:
    return "keras" if dialect == "tf" else dialect


def variants(rank: int | None, options: Mapping[str, Any]) -> Iterable[str]:
    if options.get("int4"):
        yield "int4"
    if len(options.get("flatten_from") or ()) in (2, 3, 4):
        yield "flatten_from"
    if rank == 3:
        yield "map"
    if options.get("reset_after") is False:
        yield "reset_before"
    yield from (name for name, value in options.items() if value is True)
    if options.get("packed") is False:
        yield "unpacked"
