"""The fast paths that ops call."""
from __future__ import annotations
from typing import Any

def copy(out: Any, values: Any) -> None:
    import numpy as np
    np.copyto(out, values)
