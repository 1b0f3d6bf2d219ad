"""Random numbers by position: any block can be drawn alone, in any order, on any worker.

SplitMix64 (Steele, Lea and Flood 2014) as a function of a key and a flat index.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_GOLDEN = 0x9E37_79B9_7F4A_7C15


def key_of(purpose: str, seed: int, step: int, name: str) -> int:
    """The key of a tensor's random numbers: what they are for, the seed, the step, its name.

    >>> hex(key_of("prune", 7, 0, "w"))
    '0x1c4c6b932076019c'
    """
    text = f"{purpose}\0{seed}\0{step}\0{name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def mix64(key: int, index: Array) -> Array:
    """64 random bits for each flat index (an array of uint64, which is not changed)."""
    import numpy as np

    with np.errstate(over="ignore"):
        z = (index + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        mixed: Array = z ^ (z >> np.uint64(31))
    return mixed
