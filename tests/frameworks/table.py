"""All rows, by name: what the worker judges and the tests are named after."""

from __future__ import annotations

from frameworks.attention import ATTENTION
from frameworks.cases import Table
from frameworks.convolution import CONVOLUTION
from frameworks.linear import FLATTENED, LINEAR
from frameworks.normalization import CONSTANTS, NORMALIZATION, PRELU
from frameworks.recurrent import RECURRENT

CASES: Table = {
    **LINEAR,
    **FLATTENED,
    **CONVOLUTION,
    **NORMALIZATION,
    **CONSTANTS,
    **PRELU,
    **RECURRENT,
    **ATTENTION,
}
NETWORKS = ("pnet", "rnet", "onet")
KERNELS = {"conv": 384, "transpose": 384, "linear": 8}  # axes permuted and flipped
CONTAINERS = (".keras", ".weights.h5", ".h5")
