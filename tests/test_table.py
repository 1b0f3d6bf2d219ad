"""Columns and numbers for people."""

from __future__ import annotations

import pytest

from weightsurgeon.table import columns, human_bytes, human_count


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    rows = [("name", "", "9"), ("x", "", "100")]
    assert list(columns(rows, right=[2])) == ["name    9", "x     100"]
    assert list(columns(rows)) == ["name  9", "x     100"]
    assert list(columns([])) == []
    assert list(columns([("a", "b"), ("aa", "")])) == ["a   b", "aa"]


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (10 * 1024, "10.0 KiB"), (2**20, "1.00 MiB"),
     (100 * 2**30, "100 GiB"), (2**40, "1.00 TiB"), (5000 * 2**40, "5000 TiB"),
     (2**20 - 1, "1.00 MiB"), (10 * 1024 - 1, "10.0 KiB")],
)  # fmt: skip
def test_bytes(n: int, text: str) -> None:
    assert human_bytes(n) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (32_768_000, "32.8 M"), (7_240_000_000, "7.24 G"),
     (10**15, "1000 T"), (999_999, "1.00 M")],
)  # fmt: skip
def test_counts(n: int, text: str) -> None:
    assert human_count(n) == text
