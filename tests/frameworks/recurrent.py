"""Layers at each step of a sequence."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table
from frameworks.normalization import within


def distributed(n: Sizes, k: Any, t: Any) -> Case:
    """A layer at each step of a sequence: the wrapper's name stands in front of the layer's."""
    layer = k.TimeDistributed(k.Dense(n.out, name="fc"), name="x")
    return Case((3, n.into), [layer], {"x": within(t, fc=t.Linear(n.into, n.out))})


RECURRENT: Table = {"time_distributed": distributed}
