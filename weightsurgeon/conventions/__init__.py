"""What each kind of layer calls its tensors, and how they lie: rows, one set for every dialect.

A row of `axes` says how one role of a kind lies (`linear.kernel` is `in out` for keras, `out in`
for torch); a row of `leaves` says under which leaf name it stands; a row of `words` says what a
dialect calls the kind. Everything a port knows about layers is in these rows, judged by equal
outputs of the frameworks; nothing is ever concluded from a shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ..errors import SpecError
from ..formats.base import UNKNOWN, Meaning, Slot
from ..notation import Side, atoms, expand_spatial, parse_side
from ..spec import Axes, TensorSpec
from . import attention, convolution, linear, normalization, recurrent, torch_classes
from .leaves import LEAVES, Leaf, family, leaves, parts, variants
from .refusals import UNHELD, refusal, unheld
from .siblings import told_by_siblings

_TABLES = (linear, convolution, normalization, recurrent, attention)

AXES: dict[str, dict[str, str]] = {k: v for t in _TABLES for k, v in t.AXES.items()}
WORDS: dict[str, str] = {k: v for t in (*_TABLES, torch_classes) for k, v in t.WORDS.items()}
NEUTRAL: dict[str, int] = {
    **dict.fromkeys(("bias", "beta", "mean"), 0),
    **dict.fromkeys(("gamma", "variance", "vector_u"), 1),
}
TRAINING = frozenset(  # what only training uses: dropped where it has no place, and said
    ("num_batches_tracked", "count", "stddev", "renorm_mean", "renorm_stddev", "vector_u")
)
PROJECTED = {  # roles of the projections of an attention → what they are
    f"{part}_{role}": role
    for part in ("qkv", "query", "key", "value", "out")
    for role in ("kernel", "bias")
}
_SPARE = ("bias", "beta", "gamma", "scale", "concat_score_weight", "output_embedding")
_BIASES = [name for name, role in PROJECTED.items() if role == "bias"]
_QUANTISED = ("kernel_scale", "kernel_zero", "g_idx", "output_scale", "output_zero")
_SPARE_ROLES = frozenset((*_SPARE, *_BIASES, *_QUANTISED, *TRAINING))
_SPARE_OF_KIND = frozenset((kind, role) for kind, role, _ in UNHELD)
SUMS: dict[str, str] = {k: v for t in _TABLES for k, v in getattr(t, "SUMS", {}).items()}

_BY_CHANNEL = {"weight": "kernel", "bias": "bias"}  # of a convolution that is one of two kinds
OPTIMIZER = "Optimizer"  # what a file calls the owner of state that belongs to no layer
SEPARATOR = {"torch": "."}  # all others write /
_CHANNELS_LAST = ("keras", "flax", "tf")
_MAP = {1: "c", 2: "w c", 3: "h w c", 4: "d h w c"}  # the axes of a map before it is flattened

ROLE_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(roles.split())
    for group, roles in {
        "parameter": "kernel recurrent_kernel depthwise_kernel pointwise_kernel bias embedding"
        " output_embedding gamma beta alpha scale concat_score_weight bias_key bias_value"
        f" projection {' '.join(PROJECTED)}",
        "statistics": "mean variance vector_u vector_v sigma stddev renorm_mean renorm_stddev",
        "counter": "num_batches_tracked count n_averaged iteration step",
        "rng": "seed_generator_state",
        "mask": "weight_mask",
        "quant": " ".join(_QUANTISED),
        "optimizer": "optimizer",
    }.items()
}


def is_spare(kind: str, role: str) -> bool:
    """Whether a layer of a kind may do without a role.

    >>> is_spare("batchnorm", "mean"), is_spare("instancenorm", "mean"), is_spare("lstm", "bias")
    (False, True, True)
    """
    return role in _SPARE_ROLES or (kind, role) in _SPARE_OF_KIND


def group_of(role: str | None) -> str | None:
    """The group that decides how surgery treats a role: parameter, statistics, counter, …"""
    return next((g for g, roles in ROLE_GROUPS.items() if role in roles), None)


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
    side = side_of(kind, role, dialect, rank, options, like)
    return None if side is None else side.axes


def side_of(
    kind: str,
    role: str,
    dialect: str,
    rank: int | None,
    options: Mapping[str, Any] | None = None,
    like: Axes | None = None,
) -> Side | None:
    """As `axes_of`, with the axes that run over the tensors of the role before them.

    >>> side_of("lstm", "bias", "torch", rank=1).over
    (Axis(name='b', letters='xh', backwards=False),)
    """
    options = options or {}
    stored = role in _QUANTISED or (role == "kernel" and options.get("int4"))  # as a plain matrix
    if kind == "linear" and options.get("equation") and family(dialect) == "keras" and not stored:
        axes_ = linear.einsum_axes(role, options["equation"], options.get("bias_axes"))
        return None if axes_ is None else Side((), axes_)
    hint = rank if rank is not None or like is None else len(like)
    row = _row(kind, role, hint, options)
    text = row.get(family(dialect), row.get("all"))
    if text is None or (rank is None and "S" in text.split()):
        return None  # over how many axes a slope is shared, only a file of that side tells
    if "F" in text.split():
        text = text.replace("F", f"({_flattened(dialect, options['flatten_from'])})")
    if "S" in text.split():
        text = text.replace("S", normalization.shared(rank or 1, options.get("shared_axes")))
    count = None if like is None else sum(a.name in ("kd", "kh", "kw") for a in atoms(like))
    over, axes = parse_side(text)
    axes = expand_spatial(axes, rank, count if rank is None else None)
    return Side(over, axes) if rank is None or len(axes) == rank else None


def _row(kind: str, role: str, rank: int | None, options: Mapping[str, Any]) -> dict[str, str]:
    for variant in variants(rank, options):
        row = AXES.get(f"{kind}.{role}@{variant}")
        if row is not None:
            return row
    return AXES.get(f"{kind}.{role}", {})


def _flattened(dialect: str, shape: Iterable[int]) -> str:
    names = _MAP[len(list(shape))]
    if family(dialect) in _CHANNELS_LAST:
        return names
    return "c " + names.removesuffix("c").strip()


def sizes_of(kind: str, options: Mapping[str, Any]) -> dict[str, int]:
    """Axis sizes that a layer's options tell and no shape can."""
    sizes = dict[str, int]()
    shape = options.get("flatten_from") or ()
    if len(shape) in (2, 3, 4):
        sizes |= dict(zip(_MAP[len(shape)].split(), shape, strict=True))
    if options.get("heads"):
        sizes["head"] = options["heads"]
    if options.get("kv_heads"):
        sizes["group"] = options["kv_heads"]
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
    told = told_by_siblings(dialect, slots, specs)
    meanings = {}
    for name, given in slots.items():
        kind, slot = told[name] if name in told else (_kind(given, specs[name]), given)
        if slot.kind == OPTIMIZER:
            meanings[name] = Meaning("optimizer", layer=slot.layer, ground="file")
        elif kind is not None:
            ground = "inferred" if not slot.kind or slot.options.get("inferred") else "file"
            meanings[name] = _meaning(dialect, slot, kind, specs[name], ground)
        elif slot.options:
            role = _BY_CHANNEL.get(slot.leaf) if "groups" in slot.options else None
            meanings[name] = Meaning(role, layer=slot.layer, options=slot.options)
    return meanings


def _kind(slot: Slot, spec: TensorSpec) -> str | None:
    """The kind that a class is; a group norm with a group for each channel is an instance norm."""
    kind = WORDS.get(slot.kind)
    alone = kind == "groupnorm" and slot.options.get("groups") in (-1, *spec.shape)
    return "instancenorm" if alone else kind


def _meaning(dialect: str, slot: Slot, kind: str, spec: TensorSpec, ground: str) -> Meaning:
    role = next(
        (r for r, x in leaves(kind, dialect, slot.options).items() if slot.leaf in x.names), None
    )
    if role is None:
        return Meaning(kind=kind, layer=slot.layer, options=slot.options, ground=ground)
    axes = None
    with suppress(SpecError):  # a rank that no layer of this kind has: no axes are known
        axes = axes_of(kind, role, dialect, len(spec.shape), slot.options)
    return Meaning(role, kind, axes, slot.layer, slot.options, ground)


__all__ = [
    "LEAVES",
    "UNKNOWN",
    "Leaf",
    "axes_of",
    "describe",
    "group_of",
    "leaves",
    "parts",
    "refusal",
    "side_of",
    "sizes_of",
    "unheld",
]
