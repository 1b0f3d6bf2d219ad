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
REPARAMETRIZED = tuple(
    f"{layer}-{norm}"
    for layer in ("linear", "conv", "conv_transpose")
    for norm in (
        *("weight_norm", "weight_norm_of_all", "weight_norm_old"),
        *("spectral_norm", "spectral_norm_old"),
    )
)
QUANTISED = tuple(
    f"{layer}-{mode}"
    for layer in ("linear", "einsum", "embedding")
    for mode in ("int8", "int4", "int4_whole")
)
OPTIMIZERS = ("adam", "amsgrad", "sgd", "nesterov", "rmsprop")
CONTAINERS = (".keras", ".weights.h5", ".h5")
