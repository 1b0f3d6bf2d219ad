"""Attentions without a mapping: four layers in Keras, one module in torch where it can hold them.

`nn.MultiheadAttention` has one width for the query, all heads together and the output; what has
others becomes a Linear a projection, which the port says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..conventions import refusal
from ..formats.base import Checkpoint, Meaning
from .logical import neutral
from .placing import Placed


class Projection(NamedTuple):
    """One of the layers inside an attention."""

    layer: str
    module: str
    part: str
    shape: tuple[int, ...]
    options: Mapping[str, Any]


def place_projections(
    found: Placed, source: Checkpoint, base: Checkpoint | None, here: str, there: str
) -> None:
    """Rules for the attentions of the source, between Keras and torch."""
    if (here, there) == ("keras", "torch"):
        _projections_to_attention(found, source, base)
    elif (here, there) == ("torch", "keras"):
        _attention_to_projections(found, source, base)


def _projections(checkpoint: Checkpoint | None) -> dict[str, dict[str, Projection]]:
    """Module → part → the projection."""
    found = dict[str, dict[str, Projection]]()
    for name, meaning in checkpoint.meanings.items() if checkpoint is not None else ():
        part, module = meaning.options.get("part"), meaning.options.get("module")
        if part and isinstance(module, str) and meaning.role == "kernel":
            shape = checkpoint[name].spec.shape  # type: ignore[index]
            one = Projection(meaning.layer, module, part, shape, meaning.options)
            found.setdefault(module, {})[part] = one
    return found


def _projections_to_attention(found: Placed, source: Checkpoint, base: Checkpoint | None) -> None:
    theirs = {neutral(layer): packed for layer, packed in _attentions(base)}
    for module, parts in _projections(source).items():
        layers = {p.layer for p in parts.values()}
        wanted = neutral(module) in theirs
        gate = refusal("mha", parts["query"].options if "query" in parts else {}, "torch")
        why_not = _not_held(parts)
        if gate or (wanted and why_not):
            found.layers |= layers
            reason = gate or f"no nn.MultiheadAttention holds it: {why_not}"
            found.refuse(f"{{}}: {reason}; write rules for its projections", [module])
        elif wanted or (why_not is None and base is None):
            found.layers |= layers
            packed = theirs.get(neutral(module), _packed(parts))
            options = {"heads": parts["query"].shape[1], **({} if packed else {"packed": False})}
            found.rule(module, module.replace("/", "."), "mha", options)
        elif base is None:
            text = f"{module}: one Linear a projection, no nn.MultiheadAttention, as {why_not}"
            found.notes.append(text)


def _not_held(parts: Mapping[str, Projection]) -> str | None:
    """Why no nn.MultiheadAttention holds these projections, None where one does."""
    if parts.keys() != {"query", "key", "value", "output"}:
        return f"it has {', '.join(sorted(parts))}"
    q, k, v, out = (parts[p].shape for p in ("query", "key", "value", "output"))
    if any(len(shape) != 3 for shape in (q, k, v, out)):
        return "its kernels are not `in head dim`"
    if q[1] != k[1]:
        return f"{q[1]} heads of the query share {k[1]} of the key"
    widths = {"heads × key_dim": q[1] * q[2], "heads × value_dim": v[1] * v[2]}
    widths["its output"] = out[2]
    odd = [f"{what} = {n}" for what, n in widths.items() if n != q[0]]
    return f"{', '.join(odd)} is not the width of its query, {q[0]}" if odd else None


def _packed(parts: Mapping[str, Projection]) -> bool:
    return len({parts[p].shape[0] for p in ("query", "key", "value")}) == 1


def _attentions(checkpoint: Checkpoint | None) -> Iterator[tuple[str, bool]]:
    """Attentions of torch, and whether three kernels are packed in one."""
    for meaning in dict.fromkeys(map(_key, checkpoint.meanings.values() if checkpoint else ())):
        if meaning[0] == "mha":
            yield meaning[1], meaning[2]


def _key(meaning: Meaning) -> tuple[str | None, str, bool]:
    return meaning.kind, meaning.layer, meaning.options.get("packed") is not False


def _attention_to_projections(found: Placed, source: Checkpoint, base: Checkpoint | None) -> None:
    theirs = {neutral(m): (m, parts) for m, parts in _projections(base).items()}
    for layer, packed in _attentions(source):
        to, parts = theirs.get(neutral(layer), (layer.replace(".", "/"), {}))
        options: dict[str, Any] = {} if packed else {"packed": False}
        if "query" in parts and len(parts["query"].shape) == 3:
            options["heads"] = parts["query"].shape[1]
        found.layers |= {layer, f"{layer}.out_proj" if layer else "out_proj"}
        found.rule(layer, to, "mha", options)
