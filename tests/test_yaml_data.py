"""YAML as data: our own scalar rules, every value with its line, hostile text refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import PlanError
from weightsurgeon.mapping.yaml_data import load


def refused(text: str) -> tuple[int, str]:
    """The line and the words of the one refusal."""
    with pytest.raises(PlanError) as caught:
        load(text, "f.yaml")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"f.yaml:{getattr(problem, 'line', 0)}: schema: ")
    return getattr(problem, "line", 0), str(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("010", "010"),  # stock YAML reads 8
        ("0x1f", "0x1f"),
        ("0o7", "0o7"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),  # stock YAML reads 90
        ("2026-01-01", "2026-01-01"),
        ("12", 12),
        ("-3", -3),
        ("+3", "+3"),
        ("0", 0),
        ("9" * 39, int("9" * 39)),
        ("9" * 5000, "9" * 5000),  # int() would refuse it
        ("1e-5", Decimal("0.00001")),  # stock YAML reads a text
        ("1.001e-5", Decimal("1.001e-5")),
        ("0.29", Decimal("0.29")),
        ("1e99999999999999999999", "1e99999999999999999999"),
        ("1.", "1."),
        (".5", ".5"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: Any) -> None:
    found = load(f"k: {text}", "f.yaml").value["k"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text() -> None:
    assert load("{1: a, true: b, null: c, '2': d}", "f").value == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2": "d",
    }


def test_blocks_and_anchors() -> None:
    text = "a: &x {p: 1}\nb: *x\nc: |\n  12\nd:\n- *x\n"
    assert load(text, "f").value == {"a": {"p": 1}, "b": {"p": 1}, "c": "12\n", "d": [{"p": 1}]}


def test_every_place_has_its_line() -> None:
    document = load("a: 1\nb:\n  c: [x,\n      y]\n  d:\n\n    e: 2\nf: {g: 1}\n", "f")
    wanted = {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
        ("b", "d"): 5,
        ("b", "d", "e"): 7,
        ("f", "g"): 8,
        ("f", "g", "deeper"): 8,  # the nearest place around it
        ("nowhere",): 1,
    }
    assert {path: document.line(path) for path in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands twice"),
        ("x:\n  a: 1\n  a: 1\n", 3, "stands twice"),
        ("? [a]\n: 1\n", 1, "a key is plain text"),
        ("a: 1\n--- \nb: 2\n", 2, "a second document"),
        ("a: !!python/object:os.system x\n", 1, "tag .* has no meaning here"),
        ("\na: !mine x\n", 2, "tag !mine has no meaning here"),
        ("a: !!str 5\n", 1, "tag .* has no meaning here"),
        ("a: &x [*x]\n", 1, r"the alias \*x stands inside its own anchor"),
        ("a: 1\nb: *nope\n", 2, "alias|anchor"),
        ("a: [1, 2\nb: 3\n", 2, "is no YAML"),
        ("a:\n\t- x\n", 2, "is no YAML"),
        ("a: 'x\n", 2, "is no YAML"),
        ("a: %x\n", 1, "is no YAML"),
        ("a: \x07\n", 1, "is no YAML"),
        ("{from: a.{i:int}}", 1, "is no YAML|stands|a key"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, words: str) -> None:
    import re

    found, message = refused(text)
    assert re.search(words, message)
    assert found == line


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = load(text, "f")
    except PlanError as error:
        ids = {getattr(problem, "id", "") for problem in error.problems}
    else:
        ids = {"schema"}
        assert all(line >= 1 for line in document.lines.values())
    assert ids == {"schema"}


@given(st.text("[]{}:,-?&*!|>'\"#%@`ab \n", max_size=40))
def test_any_punctuation_is_read_or_refused(text: str) -> None:
    try:
        document = load(text, "f")
    except PlanError as error:
        ids = {getattr(problem, "id", "") for problem in error.problems}
    else:
        ids = {"schema"}
        assert all(line >= 1 for line in document.lines.values())
    assert ids == {"schema"}
