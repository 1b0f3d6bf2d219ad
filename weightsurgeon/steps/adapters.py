"""Low-rank adapters as their files hold them: pairs of thin matrices by module, and how they scale.

A file names what it adapts: `base_model.model.h.0.attn.lora_A.weight`. Ranks are those of the
matrices; alphas, and how the kernels of the base lie, are in `adapter_config.json` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import FormatError, SpecError, shown
from ..expr import Expr
from ..formats.base import UNKNOWN, Checkpoint, Limits
from ..formats.json_data import loads
from ..mapping.select import selector
from ..ops.low_rank import Factors
from ..ops.movement import permute, reshape
from ..spec import TensorSpec, dtype_of

PREFIX = "base_model.model."
CONFIG = "adapter_config.json"
_MOST = 2**20  # bytes of a config
_TAILS = ("", ".weight", ".default", ".default.weight")
# adapters that start from a decomposition of the base change the base as well
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")


class Pair(NamedTuple):
    """The matrices that adapt a module: `a` (r, in …), `b` (out, r …)."""

    a: Expr
    b: Expr
    embedding: bool


class Adapter(NamedTuple):
    """What an adapter does: pairs by the kernel's name, and tensors that replace the base's."""

    pairs: Mapping[str, Pair]
    replaced: Mapping[str, Expr]
    config: Mapping[str, Any]


def adapter_of(state: Checkpoint) -> Adapter:
    """Read the names and the config of an adapter.

    Errors: SpecError for what is no plain LoRA; FormatError without a readable config beside it.
    """
    config = _config(state)
    halves: dict[str, dict[str, tuple[Expr, bool]]] = {}
    replaced = {}
    for name in state:
        head, found, tail = name.rpartition(".lora_")
        plain = (head if found else name).removeprefix(PREFIX)
        if not found:
            replaced[plain.replace(".modules_to_save.default.", ".")] = state[name]
            continue
        embedding = tail.startswith("embedding_")
        side, rest = tail.removeprefix("embedding_")[:1], tail.removeprefix("embedding_")[1:]
        if tail.startswith("magnitude_vector"):
            raise SpecError(f"{shown(name)}: DoRA rescales the columns, it is no plain LoRA")
        if side not in "AB" or rest not in _TAILS:
            raise SpecError(f"{shown(name)} is no matrix of a plain LoRA")
        halves.setdefault(f"{plain}.weight", {})[side] = state[name], embedding
    for name, sides in halves.items():
        if len(sides) != 2:
            raise SpecError(f"{shown(name)} has only lora_{''.join(sides)}")
    pairs = {n: Pair(s["A"][0], s["B"][0], s["A"][1]) for n, s in halves.items()}
    if not pairs and not replaced:
        raise SpecError(f"{shown(state.path)} adapts nothing")
    return Adapter(pairs, replaced, config)


def _config(state: Checkpoint) -> Mapping[str, Any]:
    path = Path(state.path)
    beside = (path if path.is_dir() else path.parent) / CONFIG
    try:
        with beside.open("rb") as file:
            text = file.read(_MOST + 1)
    except OSError as error:
        what = f"wants {CONFIG} beside it: {error.strerror}"
        raise FormatError(state.path, "", what) from error
    if len(text) > _MOST:
        raise FormatError(str(beside), "", f"is larger than {_MOST} bytes")
    found = loads(text, str(beside), "", Limits())
    if not isinstance(found, dict) or found.get("peft_type") != "LORA":
        raise FormatError(str(beside), "peft_type", "is not LORA")
    start = str(found.get("init_lora_weights")).lower()
    odd = [k for k in ("use_dora", "lora_bias", "layer_replication") if found.get(k)]
    odd += ["init_lora_weights"] if start.startswith(_CHANGES_BASE) else []
    if odd:
        raise FormatError(str(beside), odd[0], f"is {found[odd[0]]!r}: that is no plain LoRA")
    return found


def factors_of(x: TensorSpec, name: str, adapter: Adapter, weight: Fraction) -> Factors:
    """The two matrices as they multiply a kernel that lies as (out, everything else).

    Errors: SpecError where ranks or shapes do not fit.
    """
    a, b, embedding = adapter.pairs[name]
    r = a.spec.shape[0]
    if len(b.spec.shape) < 2 or b.spec.shape[1] != r:
        raise SpecError(f"r is {r} in lora_A {a.spec}, another in lora_B {b.spec}", "shape")
    left = reshape(b, (b.spec.shape[0], b.spec.size // max(b.spec.shape[0], 1)))
    right = reshape(a, (r, a.spec.size // max(r, 1)))
    if len(a.spec.shape) != len(x.shape) or (len(x.shape) > 2 and a.spec.shape[1:] != x.shape[1:]):
        raise SpecError(f"lora_A {a.spec} does not fit {x}", "shape")
    if embedding or (adapter.config.get("fan_in_fan_out") and len(x.shape) == 2):
        left, right = permute(right, (1, 0)), permute(left, (1, 0))
    return Factors(_scale(name, r, adapter.config, weight), left, right)


def _scale(name: str, r: int, config: Mapping[str, Any], weight: Fraction) -> float:
    """alpha / r, or alpha / √r; patterns of module names come before the general numbers."""
    module = name.removesuffix(".weight")
    rank = _by_pattern(module, config, "rank_pattern", "r")
    alpha = _by_pattern(module, config, "alpha_pattern", "lora_alpha")
    if rank != r:
        raise SpecError(f"r is {r} in lora_A, but {rank} in {CONFIG}", "shape")
    if config.get("use_rslora"):
        return float(alpha * weight) / sqrt(r)
    return float(alpha * weight / r)


def _by_pattern(module: str, config: Mapping[str, Any], patterns: str, key: str) -> Fraction:
    given = config.get(patterns) or {}
    for pattern, value in given.items() if isinstance(given, dict) else ():
        if _fits(pattern, module):
            return _number(value, patterns)
    return _number(config.get(key), key)


def _fits(pattern: str, module: str) -> bool:
    """Is it the module's name, or its end behind a dot; as a regular expression where it is one."""
    if pattern.replace(".", "").replace("_", "").isalnum():
        return f".{module}".endswith(f".{pattern}")
    try:
        test = selector(f"re:(.*\\.)?({pattern})")
    except ValueError as error:
        raise SpecError(f"{CONFIG}: {error}") from error
    return test(module, TensorSpec(dtype_of("float32"), ()), UNKNOWN)


def _number(value: Any, key: str) -> Fraction:
    if type(value) not in (int, float) or not 0 < value < 2**53:
        raise SpecError(f"{CONFIG}: {key} is {shown(str(value)[:40])}, no positive number")
    return Fraction(Decimal(str(value)))
