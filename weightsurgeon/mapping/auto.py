"""The rules where there is no mapping: each layer keeps its name, its kind says the rest."""

from __future__ import annotations

from collections.abc import Iterator

from ..conventions import TRAINING, leaves, parts
from ..errors import MappingError, PlanError
from ..formats.base import Checkpoint, Meaning
from ..grouping import grouped
from ..spec import TensorSpec
from .cells import place_cells
from .claim import Kinds, split
from .logical import neutral
from .names import Capture, Pattern
from .placing import Placed
from .projections import place_projections
from .rules import Layer, Mapping, Move, Side

_OLD = (
    "{{}}, a {}: its kernels and biases lie as that library wants them; load it in Keras 2.4 or "
    "later, which makes {} of it, and save it again"
)
_BLIND = "whether a map is flattened before {} only the other side could tell, and does not"
_NO_ROWS = {f"CuDNN{kind}": _OLD.format(f"CuDNN{kind}", f"a {kind}") for kind in ("LSTM", "GRU")}
_ALL = Pattern("{name}", (Capture("name", "any"),), {})


def automatic(
    source: Checkpoint, base: Checkpoint | None, here: str | None, there: str | None
) -> Mapping:
    """The mapping that `port` uses without one.

    Within a dialect every name is kept. Between dialects a layer keeps its name, and its kind, as
    either file knows it, says how its tensors are called and lie.

    Errors: PlanError `kind` that lists the layers of which the kind is not known, or that would
    become two layers.
    """
    if here == there:
        wanted = None if base is None or _has_optimizer(base) else _no_optimizer
        rule = Move("automatic", 0, True, (_ALL,), (_ALL,), when=wanted)
        return Mapping(Side(here), Side(there), (rule,))
    kinds, found = (Kinds(source, moves=True), Kinds(base, moves=True)), Placed()
    for place in (place_cells, place_projections):
        place(found, source, base, _family(here), _family(there))
    unknown = dict[str, list[str]]()
    for layer, roles in _layers(source).items():
        if layer in found.layers:
            continue
        kind = kinds[0].of(layer) or kinds[1].of(layer)
        reason = _refused(kind, roles, here or "", there or "")
        if kind is None and any(k.blind.get(neutral(layer)) for k in kinds):
            reason = _BLIND
        elif kind is None and (word := _word(source, layer)):
            reason = _NO_ROWS.get(word, f"no row says what {{}}, a {word}, is in another dialect")
        if reason:
            unknown.setdefault(reason, []).append(layer or "(the layer itself)")
    if unknown or found.refused:
        raise PlanError([*_refusals(found), *_problems(unknown, here, there)])
    layers = Layer("automatic", 0, True, (_ALL,), (_ALL,), when=_no_optimizer)
    notes = tuple(found.notes)
    return Mapping(Side(here), Side(there), (*found.rules, layers), notes=notes)


def _word(source: Checkpoint, layer: str) -> str:
    """What the file calls the kind of a layer, if anything."""
    slots = source.source.slots.values()
    return next((slot.kind for slot in slots if slot.layer == layer), "")


def _family(dialect: str | None) -> str:
    return "keras" if dialect == "tf" else dialect or ""


def _refusals(found: Placed) -> Iterator[MappingError]:
    for reason, layers in found.refused.items():
        labels = ", ".join(g.label for g in grouped(layers)[:8])
        yield MappingError("kind", reason.format(labels), names=layers)


def _has_optimizer(checkpoint: Checkpoint) -> bool:
    return any(meaning.role == "optimizer" for meaning in checkpoint.meanings.values())


def _no_optimizer(name: str, spec: TensorSpec, meaning: Meaning) -> bool:
    return meaning.role != "optimizer"


def _layers(source: Checkpoint) -> dict[str, set[str]]:
    """The layers of the source, each with the roles that its tensors are known to have."""
    found = dict[str, set[str]]()
    for name in source:
        role = source.meaning(name).role
        if role != "optimizer":
            found.setdefault(split(name)[0], set()).update([role] if role else ())
    return found


def _refused(kind: str | None, roles: set[str], here: str, there: str) -> str | None:
    if kind is None:
        return "the kind of {} is not known"
    if roles and roles <= TRAINING:
        return None  # nothing that the other side needs
    if parts(kind, there, roles or None) > 1 or not leaves(kind, there) or not leaves(kind, here):
        return f"a {kind}, as {{}}, is no single layer there"
    return None


def _problems(
    unknown: dict[str, list[str]], here: str | None, there: str | None
) -> list[MappingError]:
    remedy = "write a mapping (--mapping), or give a template that knows (--template)"
    if here is None or there is None:
        side = "source" if here is None else "target"
        remedy = f"the {side}'s dialect is not known: state it, or write a mapping"
    found = []
    for reason, layers in unknown.items():
        labels = ", ".join(g.label for g in grouped(layers)[:8])
        found.append(MappingError("kind", f"{reason.format(labels)}: {remedy}", names=layers))
    return found
