"""What happens to what does not fit: refused, listed, or ignored, for each id of a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ROWS = {  # id: actions it may have; the first column is strict, the second transfer, then audit
    "unmatched_source": ("error", "list", "list", "ignore"),
    "dead_rule": ("error", "list", "list", "ignore"),
    "unmatched_target": ("error", "keep", "list"),
    "gap": ("error", "error", "list", "skip"),
    "shape": ("error", "error", "list", "skip"),
    "axes": ("error", "error", "list"),
    "lossy_cast": ("error", "list", "list", "ignore"),
    "nonfinite": ("error", "list", "list", "ignore"),
}
_COLUMNS = {"strict": 0, "transfer": 1, "audit": 2}
PRESET = "preset"  # under this key stands which one was asked for: an audit writes nothing
STRICT: Mapping[str, str] = {id: actions[0] for id, actions in _ROWS.items()}


def preset(name: str) -> dict[str, str]:
    """All actions of a preset: strict, transfer or audit; ValueError for another word."""
    if name not in _COLUMNS:
        raise ValueError(f"no policy {name!r}; known: {', '.join(_COLUMNS)}, or id=action")
    actions = {id: actions[_COLUMNS[name]] for id, actions in _ROWS.items()}
    return {**actions, PRESET: name}


def read(value: str | Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Actions from a preset's name, a map, or words like `transfer` and `gap=skip`.

    >>> read(["transfer", "gap=skip"])["gap"]
    'skip'
    """
    words: Iterable[str]
    if isinstance(value, str):
        words = [value]
    elif isinstance(value, Mapping):
        words = [v if k == PRESET else f"{k}={v}" for k, v in value.items()]
    else:
        words = value
    actions: dict[str, str] = {}
    for word in sorted(words, key=lambda w: "=" in w):  # presets first
        id, given, action = word.partition("=")
        actions |= {_known(id, action): action} if given else preset(word)
    return actions


def _known(id: str, action: str) -> str:
    id = id.replace("-", "_")
    allowed = _ROWS.get(id)
    if allowed is None:
        raise ValueError(f"no policy for {id!r}; known: {', '.join(_ROWS)}")
    if action not in {*allowed, "error"}:
        raise ValueError(f"{id} cannot be {action!r}; known: {', '.join(dict.fromkeys(allowed))}")
    return id
