"""Errors are one line, safe to show, and survive the way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon import errors
from weightsurgeon.errors import (
    BrokenFile,
    FormatError,
    Interrupted,
    MappingError,
    MissingTensor,
    OutputError,
    PlanError,
    SpecError,
    SurgeryError,
    shown,
)


@given(st.text(), st.integers(2, 50))
def test_what_is_shown_prints_and_is_bounded(text: str, width: int) -> None:
    safe = shown(text, width)
    assert safe.isprintable()
    assert len(safe) <= 10 * width
    assert safe == text or len(text) > width or not text.isprintable()


def test_what_does_not_print_becomes_an_escape() -> None:
    assert shown("a\x1b\n\u202e\ud800\U000e0001é") == "a\\x1b\\x0a\\u202e\\ud800\\U000e0001é"
    assert shown("abcdef", 4) == "abc…"
    assert shown("abcd", 4) == "abcd"


EXAMPLES = [
    SurgeryError("no"),
    SpecError("does not fit", "axes"),
    BrokenFile("a\nb.pt", "fc.weight", "ends early"),
    FormatError("x.pt", "", "is empty"),
    MissingTensor("no tensor 'x'"),
    OutputError("no space"),
    MappingError("shape", "does not fit", "port.yaml", 14, ("a", "b")),
    PlanError([MappingError("unused", "x", "b.yaml", 2), MappingError("unused", "x", "a.yaml", 9)]),
    Interrupted(15),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_survives_pickling(error: BaseException) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        for key in ("id", "path", "where", "what", "file", "line", "names", "signal"):
            assert getattr(other, key, None) == getattr(error, key, None)


def test_a_problem_is_one_line_with_its_place() -> None:
    assert str(EXAMPLES[2]) == "a\\x0ab.pt: fc.weight: ends early"
    assert str(EXAMPLES[3]) == "x.pt: is empty"
    assert str(EXAMPLES[6]) == "port.yaml:14: shape: does not fit"
    assert str(MappingError("shape", "no", "port.yaml")) == "port.yaml: shape: no"
    assert str(MappingError("shape", "no")) == "shape: no"


def test_a_missing_tensor_is_a_key_error_that_reads_well() -> None:
    with pytest.raises(KeyError) as caught:
        raise MissingTensor("a.pt holds no tensor x")
    assert str(caught.value) == "a.pt holds no tensor x"


def test_a_plan_error_tells_each_problem_once_in_order() -> None:
    error = PlanError(
        [
            MappingError("b", "two", "p.yaml", 10),
            MappingError("a", "one", "p.yaml", 9),
            MappingError("b", "two", "p.yaml", 10),
            OutputError("out"),
        ]
    )
    assert str(error).split("\n") == ["out", "p.yaml:9: a: one", "p.yaml:10: b: two"]
    assert len(error.problems) == 3


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for name in ("SpecError", "BrokenFile", "LimitExceeded", "PlanError", "OutputError"):
        assert issubclass(getattr(errors, name), SurgeryError)
        assert name in errors.__doc__
    assert not issubclass(Interrupted, Exception)
