"""Numbers keep three digits, rows fold and are never cut, JSON says in words what is not finite."""

from __future__ import annotations

import json

import pytest

from weightsurgeon.inspection.showing import folded, html_table, number, plain, span, spark


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0"), (0.001, "0.00100"), (0.0009949, "9.95e-04"), (12.345, "12.3"), (999.4, "999"),
        (99949.0, "99949"), (123456.0, "1.23e+05"), (-2.5, "-2.50"), (10**7, "1.00e+07"),
        (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_three_digits(x: float, text: str) -> None:
    assert number(x) == text


def test_a_wide_table_folds_and_loses_nothing() -> None:
    cells = [("name", "a" * 30, "b" * 30), ("n" * 50, "1", "2")]
    lines = list(folded(cells, (1, 2), 40))
    assert all(word in "\n".join(lines) for row in cells for word in row)
    assert list(folded(cells, (1, 2), None)) == list(folded(cells, (1, 2), 200))
    assert list(folded([], (), 80)) == []


def test_histograms_share_a_range() -> None:
    ends = span([(-3, (1, 1)), (2, (5,)), (None, ())])
    assert ends == (-3, 3)
    assert len(spark(-3, (1, 1), ends)) == 6
    assert spark(None, (), ends) == ""
    assert span([(None, ())]) is None


def test_json_holds_words_for_what_is_not_finite() -> None:
    assert json.dumps(plain({1: (float("inf"), 2.0)}), allow_nan=False) == '{"1": ["inf", 2.0]}'


def test_cells_are_escaped() -> None:
    html = html_table(["<h>"], [["<script>\u202e"]], "a & b")
    assert "<script>" not in html
    assert "\u202e" not in html
    assert "a &amp; b" in html
