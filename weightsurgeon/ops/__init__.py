"""The table of operations: a new one is three functions and a name here."""

from __future__ import annotations

from ..expr import Op, Reduce
from .addition import SUM
from .affine import AFFINE
from .arithmetic import CAST, FULL
from .blending import LERP
from .broadcasting import PRODUCT, QUOTIENT
from .mixing import MIX
from .movement import CONCAT, CROP, PERMUTE, RESHAPE, TAKE
from .norms import INNER, NORMS
from .reduction import DIFFER

_MOVE = (RESHAPE, PERMUTE, TAKE, CROP, CONCAT)
_COMPUTE = (CAST, FULL, SUM, AFFINE, PRODUCT, QUOTIENT, LERP, MIX)
OPS: dict[str, Op] = {op.name: op for op in (*_MOVE, *_COMPUTE)}
REDUCTIONS: dict[str, Reduce] = {row.name: row for row in (DIFFER, NORMS, INNER)}
