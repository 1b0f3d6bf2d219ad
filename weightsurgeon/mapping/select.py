"""Selectors: a full-match glob on the name, or a few words on what the tensor is; a list is OR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..conventions import LEAVES, PROJECTED, ROLE_GROUPS, group_of
from ..errors import shown
from ..formats.base import Meaning
from ..spec import DTYPES, TensorSpec

Test = Callable[[str, TensorSpec, Meaning], bool]
WORDS = ("role", "kind", "dtype", "rank", "min_size")
_ROLES = {role.partition("@")[0] for rows in LEAVES.values() for role in rows}
_KNOWN: Mapping[str, frozenset[str]] = {
    "role": frozenset(_ROLES.union(ROLE_GROUPS, *ROLE_GROUPS.values())),
    "kind": frozenset(LEAVES),
    "dtype": frozenset(DTYPES),
}


def glob(pattern: str, name: str) -> bool:
    """Whether the whole name fits: `*` is any characters, `?` one; `.` and `/` are the same.

    Takes time in proportion to both lengths, whatever the pattern.

    >>> glob("*.bias", "layer/1/bias")
    True
    """
    pattern, name = pattern.replace("/", "."), name.replace("/", ".")
    p = n = 0
    star, tried = -1, 0
    while n < len(name):
        if p < len(pattern) and pattern[p] == "*":
            star, tried, p = p, n, p + 1
        elif p < len(pattern) and pattern[p] in ("?", name[n]):
            p, n = p + 1, n + 1
        elif star >= 0:
            tried += 1
            p, n = star + 1, tried
        else:
            return False
    return not pattern[p:].strip("*")


def selector(value: Any) -> Test:
    """Read a selector: text, a mapping of words, or a list of them.

    Errors: ValueError that says what is wrong with it.
    """
    if isinstance(value, str):
        return _named(value)
    if isinstance(value, Mapping):
        return _described(value)
    if isinstance(value, Iterable) and value:
        tests = [selector(v) for v in value]
        return lambda name, spec, meaning: any(t(name, spec, meaning) for t in tests)
    raise ValueError(f"a selector is a glob, a map of {', '.join(WORDS)}, or a list, not {value!r}")


def _named(text: str) -> Test:
    if not text.startswith("re:"):
        return lambda name, spec, meaning: glob(text, name)
    try:
        import re2  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ValueError(f"{text!r}: regular expressions need `pip install google-re2`") from None
    try:
        compiled = re2.compile(text[3:])
    except re2.error as error:
        raise ValueError(f"{text!r}: {error}") from error
    return lambda name, spec, meaning: compiled.fullmatch(name) is not None


def _described(words: Mapping[str, Any]) -> Test:
    _check(words)

    def test(name: str, spec: TensorSpec, meaning: Meaning) -> bool:
        facts: dict[str, Callable[[Any], bool]] = {
            "role": lambda v: v in _roles(meaning.role),
            "kind": lambda v: v == meaning.kind,
            "dtype": lambda v: v == spec.dtype.name,
            "rank": lambda v: v == len(spec.shape),
            "min_size": lambda v: spec.size >= v,
        }
        return all(facts[word](value) for word, value in words.items())

    return test


def _roles(role: str | None) -> tuple[str | None, ...]:
    """What a role is called: a kernel of a projection is a kernel, and both are parameters."""
    return role, PROJECTED.get(role or ""), group_of(role)


def _check(words: Mapping[str, Any]) -> None:
    """A word that nothing has would select nothing, and nobody would know why."""
    unknown = sorted(set(words) - set(WORDS))
    if unknown or not words:
        what = f"knows no {shown(unknown[0])}" if unknown else "needs a word"
        raise ValueError(f"a selector {what}; known: {', '.join(WORDS)}")
    for word, value in words.items():
        known = _KNOWN.get(word)
        if known is None and type(value) is not int:
            raise ValueError(f"{word} wants a whole number, not {shown(value)}")
        if known is not None and value not in known:
            raise ValueError(f"no {word} is {shown(value)}; known: {', '.join(sorted(known))}")
