"""What each kind of layer calls its tensors, and how they lie: rows, one set for every dialect.

A row of `axes` says how one role of a kind lies (`linear.kernel` is `in out` for keras, `out in`
for torch); a row of `leaves` says under which leaf name it stands; a row of `words` says what a
dialect calls the kind. Everything a port knows about layers is in these rows, judged by equal
outputs of the frameworks; nothing is ever concluded from a shape.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import SpecError
from ..formats.base import UNKNOWN, Meaning, Slot
from ..notation import atoms, expand_spatial, parse
from ..spec import Axes, TensorSpec
from . import attention, convolution, linear, normalization, recurrent
from .refusals import UNHELD, refusal, unheld

_TABLES = (linear, convolution, normalization, recurrent, attention)

AXES: dict[str, dict[str, str]] = {k: v for t in _TABLES for k, v in t.AXES.items()}
LEAVES: dict[str, dict[str, dict[str, str]]] = {k: v for t in _TABLES for k, v in t.LEAVES.items()}
WORDS: dict[str, str] = {k: v for t in _TABLES for k, v in t.WORDS.items()}
NEUTRAL: dict[str, int] = {
    **dict.fromkeys(("bias", "beta", "mean"), 0),
    **dict.fromkeys(("gamma", "variance", "vector_u"), 1),
}
TRAINING = frozenset(  # what only training uses: dropped where it has no place, and said
    ("num_batches_tracked", "count", "stddev", "renorm_mean", "renorm_stddev", "vector_u")
)
_SPARE = "bias beta gamma scale concat_score_weight output_embedding qkv_bias out_bias"
SPARE = frozenset((*_SPARE.split(), *TRAINING, *(role for _, role, _ in UNHELD)))  # not in all

OPTIMIZER = "Optimizer"  # what a file calls the owner of state that belongs to no layer
SEPARATOR = {"torch": "."}  # all others write /
_CHANNELS_LAST = ("keras", "flax", "tf")
_MAP = {1: "c", 2: "w c", 3: "h w c", 4: "d h w c"}  # the axes of a map before it is flattened

ROLE_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(roles.split())
    for group, roles in {
        "parameter": "kernel recurrent_kernel depthwise_kernel pointwise_kernel bias embedding"
        " output_embedding gamma beta alpha scale concat_score_weight qkv_kernel qkv_bias"
        " out_kernel out_bias bias_key bias_value projection",
        "statistics": "mean variance vector_u vector_v sigma stddev renorm_mean renorm_stddev",
        "counter": "num_batches_tracked count n_averaged iteration step",
        "rng": "seed_generator_state",
        "mask": "weight_mask",
        "quant": "kernel_scale kernel_zero g_idx",
        "optimizer": "optimizer",
    }.items()
}


class Leaf(NamedTuple):
    """Where a role stands: in the n-th layer of the dialect's form, under one of these names."""

    part: int
    names: tuple[str, ...]


def group_of(role: str | None) -> str | None:
    """The group that decides how surgery treats a role: parameter, statistics, counter, …"""
    return next((g for g, roles in ROLE_GROUPS.items() if role in roles), None)


@lru_cache
def leaves(kind: str, dialect: str) -> dict[str, Leaf]:
    """The leaf names of each role of a kind in a dialect; aliases are read, the first is written.

    A kind without rows, as a newer version may have written it, has none.

    >>> leaves("linear", "torch")["kernel"].names
    ('weight',)
    """
    found = {}
    for role, by_dialect in LEAVES.get(kind, {}).items():
        text = by_dialect.get(_family(dialect), by_dialect.get("all"))
        if text:
            part, _, names = text.rpartition(":")
            found[role] = Leaf(int(part or 0), tuple(names.split("|")))
    return found


def parts(kind: str, dialect: str, roles: Container[str] | None = None) -> int:
    """Of how many layers the kind consists in a dialect (a separable convolution: two in torch).

    `roles` are those that a layer has, where that is known: only an embedding with a kernel for
    the way back becomes two.
    """
    found = leaves(kind, dialect).items()
    return 1 + max((x.part for role, x in found if roles is None or role in roles), default=0)


def _family(dialect: str) -> str:
    return "keras" if dialect == "tf" else dialect


def axes_of(
    kind: str,
    role: str,
    dialect: str,
    rank: int | None,
    options: Mapping[str, Any] | None = None,
    like: Axes | None = None,
) -> Axes | None:
    """How a role of a kind lies in a dialect, in a tensor of this rank; None where no row says.

    Where the rank is not known yet, `like` is how the same tensor lies on the other side.

    >>> str(axes_of("conv", "kernel", "torch", rank=4))
    'out in kh kw'
    """
    options = options or {}
    if options.get("equation") and _family(dialect) == "keras":
        return linear.einsum_axes(role, options["equation"], options.get("bias_axes"))
    hint = rank if rank is not None or like is None else len(like)
    row = _row(kind, role, hint, options)
    text = row.get(_family(dialect), row.get("all"))
    if text is None or (rank is None and text.startswith("S ")):
        return None  # over how many axes a slope is shared, only a file of that side tells
    if "F" in text.split():
        text = text.replace("F", f"({_flattened(dialect, options['flatten_from'])})")
    if text.startswith("S "):
        text = f"{normalization.shared(rank or 1, options.get('shared_axes'))} {text[2:]}"
    count = None if like is None else sum(a.name in ("kd", "kh", "kw") for a in atoms(like))
    axes = expand_spatial(parse(text), rank, count if rank is None else None)
    return axes if rank is None or len(axes) == rank else None


def _row(kind: str, role: str, rank: int | None, options: Mapping[str, Any]) -> dict[str, str]:
    for variant in _variants(rank, options):
        row = AXES.get(f"{kind}.{role}@{variant}")
        if row is not None:
            return row
    return AXES.get(f"{kind}.{role}", {})


def _variants(rank: int | None, options: Mapping[str, Any]) -> Iterable[str]:
    if len(options.get("flatten_from") or ()) in (2, 3, 4):
        yield "flatten_from"
    if rank == 3:
        yield "map"
    if options.get("reset_after") is False:
        yield "reset_before"
    yield from (name for name, value in options.items() if value is True)


def _flattened(dialect: str, shape: Iterable[int]) -> str:
    names = _MAP[len(list(shape))]
    if _family(dialect) in _CHANNELS_LAST:
        return names
    return "c " + names.removesuffix("c").strip()


def sizes_of(kind: str, options: Mapping[str, Any]) -> dict[str, int]:
    """Axis sizes that a layer's options tell and no shape can."""
    sizes = dict[str, int]()
    shape = options.get("flatten_from") or ()
    if len(shape) in (2, 3, 4):
        sizes |= dict(zip(_MAP[len(shape)].split(), shape, strict=True))
    if kind == "depthwise" and options.get("groups"):
        sizes["in"] = options["groups"]
    return sizes


# -- what a tensor of a file means -----------------------------------------------------------


def describe(
    dialect: str | None, slots: Mapping[str, Slot], specs: Mapping[str, TensorSpec]
) -> dict[str, Meaning]:
    """Role, kind and axes of every tensor, as far as its file or its name tells them for certain.

    >>> from weightsurgeon.spec import dtype_of
    >>> spec = TensorSpec(dtype_of("float32"), (2, 3))
    >>> slot = Slot("fc", "Dense", {}, "kernel")
    >>> found = describe("keras", {"fc/kernel": slot}, {"fc/kernel": spec})
    >>> found["fc/kernel"].role, str(found["fc/kernel"].axes)
    ('kernel', 'in out')
    """
    if dialect is None:
        return {}
    told = _kinds_told_by_siblings(dialect, slots)
    meanings = {}
    for name, slot in slots.items():
        kind = WORDS.get(slot.kind) if slot.kind else told.get(slot.layer)
        if slot.kind == OPTIMIZER:
            meanings[name] = Meaning("optimizer", layer=slot.layer, ground="file")
        elif kind is not None:
            ground = "inferred" if not slot.kind or slot.options.get("inferred") else "file"
            meanings[name] = _meaning(dialect, slot, kind, specs[name], ground)
        elif slot.options:
            meanings[name] = Meaning(layer=slot.layer, options=slot.options)
    return meanings


def _meaning(dialect: str, slot: Slot, kind: str, spec: TensorSpec, ground: str) -> Meaning:
    role = next((r for r, x in leaves(kind, dialect).items() if slot.leaf in x.names), None)
    if role is None:
        return Meaning(kind=kind, layer=slot.layer, options=slot.options, ground=ground)
    axes = None
    with suppress(SpecError):  # a rank that no layer of this kind has: no axes are known
        axes = axes_of(kind, role, dialect, len(spec.shape), slot.options)
    return Meaning(role, kind, axes, slot.layer, slot.options, ground)


def _kinds_told_by_siblings(dialect: str, slots: Mapping[str, Slot]) -> dict[str, str]:
    """Kinds that the leaves of a layer tell beyond doubt, where its file names no kind."""
    if dialect != "torch":
        return {}
    telling = {"running_mean": "batchnorm"}
    return {s.layer: telling[s.leaf] for s in slots.values() if s.leaf in telling}


__all__ = [
    "UNKNOWN",
    "axes_of",
    "describe",
    "group_of",
    "leaves",
    "refusal",
    "sizes_of",
    "unheld",
]
