"""The neutral metadata: what is known of the tensors, as strings that any container can carry.

All keys start with `weightsurgeon.`; values are compact JSON with sorted keys, and hold no time,
host or path, so that the same plan gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .errors import BrokenFile, SpecError, shown
from .formats.base import OURS, Meaning, Source
from .layout import solve
from .notation import atoms, parse
from .spec import Axes

VERSION = "1"
_OPTIONS = {"head": "heads"}  # axis: the option of a layer that gives its size
FOREIGN_LOADERS = {"torch": "pt", "keras": "tf", "tf": "tf", "flax": "flax"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(_is_number(x) and x > 0 for x in value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


# the options that rows compute with: what a file says of others is only carried on
_FITS: dict[str, Callable[[Any], bool]] = {
    "flatten_from": _are_sizes,
    "shared_axes": _are_numbers,
    **dict.fromkeys(("equation", "bias_axes"), _is_text),
    **dict.fromkeys(("groups", "heads", "kv_heads", "key_dim", "value_dim"), _is_number),
}


def encode(
    meanings: Mapping[str, Meaning],
    ties: Mapping[str, str],
    dialect: str | None,
    sources: list[dict[str, Any]],
    plan: str,
    mappings: list[str],
    foreign: Mapping[str, str],
) -> dict[str, str]:
    """The metadata of an output: foreign keys carried through, ours made anew."""
    carried = {k: v for k, v in foreign.items() if not k.startswith(OURS)}
    if dialect in FOREIGN_LOADERS:
        carried["format"] = FOREIGN_LOADERS[dialect]
    tensors = {name: entry for name, m in meanings.items() if (entry := _entry(m))}
    for name, stored in ties.items():
        tensors.setdefault(name, {})["tied_to"] = stored
    ours = {
        "version": VERSION,
        "source": _dump({"dialect": dialect, "from": sources}),
        "tensors": _dump(tensors),
        "plan": plan,
        "mappings": _dump(sorted(mappings)),
    }
    return {**carried, **{OURS + key: value for key, value in ours.items()}}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _entry(meaning: Meaning) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if meaning.axes is not None:
        entry["axes"] = str(meaning.axes)
    if meaning.role:
        entry["role"] = meaning.role
    if "pack" in meaning.options:  # how a mask's bits lie
        entry["pack"] = meaning.options["pack"]
    if meaning.kind:
        options = {k: v for k, v in meaning.options.items() if k != "inferred"}
        entry["layer"] = {**options, "kind": meaning.kind, "name": meaning.layer}
    return entry


def dialect_of(source: Source) -> str | None:
    """The dialect that our metadata in a file states, if there is any."""
    stated = _load(source, "source")
    dialect = stated.get("dialect") if isinstance(stated, dict) else None
    return dialect if isinstance(dialect, str) else None


def mappings_of(source: Source) -> list[str]:
    """The hashes of the mappings that made a file."""
    stated = _load(source, "mappings")
    return [x for x in stated if isinstance(x, str)] if isinstance(stated, list) else []


def meanings_of(source: Source) -> dict[str, Meaning]:
    """What our metadata in a file says of its tensors.

    Errors: BrokenFile where the stated axes do not fit the tensor: they would drive a transpose.
    """
    if _newer(source):
        source.remarks.append("its layout metadata is of a newer version and is not used")
    stated = _load(source, "tensors")
    found = {}
    for name, entry in stated.items() if isinstance(stated, dict) else ():
        if name in source.specs and isinstance(entry, dict):
            found[name] = _meaning(source, name, entry)
    return found


def ties_of(source: Source) -> dict[str, str]:
    """Names that our metadata declares to be another stored tensor, beside those that the container
    itself stores as ties."""
    stated = _load(source, "tensors")
    if not isinstance(stated, dict):
        return {}
    ties = {n: e["tied_to"] for n, e in stated.items() if isinstance(e, dict) and "tied_to" in e}
    for name, stored in ties.items():
        if (
            isinstance(stored, str)
            and name != stored
            and name in source.specs
            and _one(source, name) == _one(source, stored)
        ):
            continue  # the container says so too
        if not isinstance(stored, str) or stored not in source.specs or name in source.specs:
            raise BrokenFile(source.path, name, f"is declared tied to {stored!r}, which cannot be")
    return {name: stored for name, stored in ties.items() if name not in source.specs}


def _one(source: Source, name: str) -> str:
    """The name under which the bytes of a tensor are stored."""
    return source.ties.get(name, name)


def _newer(source: Source) -> bool:
    return source.metadata.get(OURS + "version", VERSION) != VERSION


def _load(source: Source, key: str) -> Any:
    text = source.metadata.get(OURS + key)
    if text is None or _newer(source):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(source.path, OURS + key, f"is no JSON: {error}") from error


def _meaning(source: Source, name: str, entry: Mapping[str, Any]) -> Meaning:
    layer = entry.get("layer")
    options = dict(layer) if isinstance(layer, dict) else {}
    role, kind, owner = entry.get("role"), options.pop("kind", None), options.pop("name", "")
    if not all(isinstance(x, str | None) for x in (role, kind, owner)):
        raise BrokenFile(source.path, name, "its role, kind or layer is stated as no text")
    for option, fits in _FITS.items():
        if options.get(option) is not None and not fits(options[option]):
            told = shown(json.dumps(options[option])[:60])
            raise BrokenFile(source.path, name, f"its {option} is stated as {told}")
    axes = _axes(source, name, entry.get("axes"), options)
    return Meaning(role, kind, axes, owner or "", options, "metadata")


def _axes(source: Source, name: str, text: Any, options: Mapping[str, Any]) -> Axes | None:
    """The stated axes, if they can be those of a tensor of this shape in such a layer."""
    if not isinstance(text, str):
        return None
    spec = source.specs[name]
    try:
        axes = parse(text)
        given = {a.name: options.get(_OPTIONS.get(a.name, a.name)) for a in atoms(axes)}
        solve([(axes, spec.shape)], {k: n for k, n in given.items() if type(n) is int})
    except SpecError as error:
        if error.id != "size":  # a size that stays unknown contradicts nothing
            raise BrokenFile(source.path, name, f"axes: {error}") from error
    return axes
