"""The table of operations: a new one is three functions and a name here."""

from __future__ import annotations

from ..expr import Op, Reduce
from .addition import SUM
from .arithmetic import CAST, FULL
from .movement import CONCAT, CROP, PERMUTE, RESHAPE, TAKE
from .reduction import DIFFER

OPS: dict[str, Op] = {op.name: op for op in (RESHAPE, PERMUTE, TAKE, CROP, CONCAT, CAST, FULL, SUM)}
REDUCTIONS: dict[str, Reduce] = {row.name: row for row in (DIFFER,)}
