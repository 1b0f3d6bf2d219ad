"""The table of operations: a new one is three functions and a name here.

It is imported where operations are found by name, not where one is used.
"""

from __future__ import annotations

from ..expr import Op, Reduce
from .addition import SUM
from .affine import AFFINE
from .arithmetic import CAST, FULL
from .blending import LERP
from .broadcasting import PRODUCT, QUOTIENT
from .decoding import DIVIDED, NIBBLES, SCALED_BACK
from .folding import MINUS, NORM_FACTOR, RECENTRED, SCALED
from .keeping import KEPT, KEPT_EACH, KEPT_FROM, KEPT_OF, RANDOM
from .masking import AS_MASK, FINITE_OR_ZERO, MASKED, PACKED, UNPACKED
from .means import MEANS
from .mixing import MIX
from .movement import CONCAT, CROP, PERMUTE, RESHAPE, TAKE
from .norms import INNER, NORMS
from .positive import NEGATIVE, NONPOSITIVE
from .ranking import RANK
from .reduction import BEYOND, DIFFER, NOT_FINITE
from .slerping import SLERP
from .units import SPREAD, UNIT_SCORES, UNITS

_MOVE = (RESHAPE, PERMUTE, TAKE, CROP, CONCAT)
_FOLD = (MINUS, NORM_FACTOR, SCALED, RECENTRED)
_DECODE = (NIBBLES, DIVIDED, SCALED_BACK)
_COMPUTE = (CAST, FULL, SUM, AFFINE, PRODUCT, QUOTIENT, LERP, MIX, SLERP, *_FOLD)
_MASK = (KEPT, KEPT_EACH, KEPT_FROM, KEPT_OF, RANDOM, SPREAD, UNITS, AS_MASK, PACKED, UNPACKED)
_PRUNE = (MASKED, FINITE_OR_ZERO, *_MASK)
_REDUCE = (
    BEYOND,
    DIFFER,
    INNER,
    MEANS,
    NEGATIVE,
    NONPOSITIVE,
    NORMS,
    NOT_FINITE,
    RANK,
    UNIT_SCORES,
)
OPS: dict[str, Op] = {op.name: op for op in (*_MOVE, *_DECODE, *_COMPUTE, *_PRUNE)}
REDUCTIONS: dict[str, Reduce] = {row.name: row for row in _REDUCE}
