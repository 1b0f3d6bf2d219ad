"""Selectors: globs on whole names, words on what a tensor is, and lists of both."""

from __future__ import annotations

import time
from fnmatch import translate
from re import compile as regex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.formats.base import Meaning
from weightsurgeon.mapping.select import glob, selector
from weightsurgeon.spec import TensorSpec, dtype_of

SPEC = TensorSpec(dtype_of("float32"), (4, 3))
KERNEL = Meaning("kernel", "conv")


def selects(value: Any, name: str = "a.b.weight") -> bool:
    return selector(value)(name, SPEC, KERNEL)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.bias", "layer/1/bias", True),
        ("*", "", True),
        ("a.*", "a.b.c", True),
        ("a.*", "ab.c", False),
        ("a?c", "abc", True),
        ("a?c", "a.c", True),
        ("a?c", "ac", False),
        ("weight", "a.weight", False),  # the whole name
        ("a/b", "a.b", True),  # separators match each other
        ("a.b", "a/b", True),
        ("[ab]*", "[ab]c", True),  # nothing else is special
        ("[ab]*", "ac", False),
        ("A*", "abc", False),
        ("**b", "aab", True),
    ],
)
def test_a_glob_is_about_the_whole_name(pattern: str, name: str, fits: bool) -> None:
    assert glob(pattern, name) is fits
    assert selects(pattern, name) is fits


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=8))
def test_globs_agree_with_those_of_python(pattern: str, name: str) -> None:
    assert glob(pattern, name) == bool(regex(translate(pattern)).match(name))


def test_a_glob_takes_no_time() -> None:
    start = time.monotonic()
    assert not glob("*a" * 30 + "b", "a" * 20_000)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"role": "kernel"}, True),
        ({"role": "parameter"}, True),  # a group of roles
        ({"role": "bias"}, False),
        ({"kind": "conv"}, True),
        ({"dtype": "float32", "rank": 2}, True),
        ({"dtype": "float32", "rank": 3}, False),
        ({"min_size": 12}, True),
        ({"min_size": 13}, False),
        (["x.*", {"rank": 2}], True),  # a list is OR
        (["x.*", "y.*"], False),
    ],
)
def test_words_tell_what_a_tensor_is(value: Any, wanted: bool) -> None:
    assert selects(value) is wanted


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "a selector is a glob"),
        (None, "a selector is a glob"),
        ([], "a selector is a glob"),  # it would select nothing, in silence
        ({}, "needs a word"),
        ([{"rank": 1}, 5], "a selector is a glob"),
        ({"size": 3}, "knows no size; known: role, kind, dtype, rank, min_size"),
        ({"source": "x"}, "knows no source"),
        ({"role": "kernal"}, "no role is kernal; known: .*kernel"),
        ({"kind": "Conv2D"}, "no kind is Conv2D; known: .*conv"),
        ({"dtype": "F32"}, "no dtype is F32; known: .*float32"),
        ({"rank": "4"}, "rank wants a whole number, not 4"),
        ({"min_size": True}, "min_size wants a whole number"),
    ],
)
def test_what_selects_nothing_is_refused(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        selector(value)


def test_a_regular_expression_needs_re2() -> None:
    try:
        import re2  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        with pytest.raises(ValueError, match="need `pip install google-re2`"):
            selector("re:a.*")
    else:
        assert re2
        assert selects(r"re:a\..*") is True
