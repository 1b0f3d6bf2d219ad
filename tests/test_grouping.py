"""Names that differ in one number, as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.grouping import grouped, natural

names = st.lists(st.text("a1290._\0/²٣", max_size=8), max_size=12)


@given(names)
def test_every_name_is_in_one_group(given_names: list[str]) -> None:
    found = [name for group in grouped(given_names) for name in group.names]
    assert sorted(found) == sorted(set(given_names))
    assert all(group.label.isprintable() for group in grouped(given_names))
    sorted(given_names, key=natural)


@pytest.mark.parametrize(
    ("given_names", "labels"),
    [
        ([], []),
        (["w"], ["w"]),
        (["b.0", "b.1", "b.2"], ["b.{0..2}"]),
        (["b.2", "b.0", "b.1"], ["b.{0..2}"]),
        (["b.0", "b.2", "b.9", "b.10"], ["b.{0,2,9..10}"]),
        (["a.0.w", "a.0.b", "a.1.w", "a.1.b"], ["a.{0..1}.w", "a.{0..1}.b"]),
        (["a.0.1", "a.0.2", "b.0.1"], ["a.0.{1..2}", "b.0.1"]),
        (["x", "a.0", "x2", "a.1"], ["x", "a.{0..1}", "x2"]),
        (["e.08", "e.09", "e.10"], ["e.{08..10}"]),
        (["e.9", "e.010"], ["e.{9,010}"]),
        (["a\0b", "a1b"], ["a\\x00b", "a1b"]),
        (["a\x1b1", "a\x1b2"], ["a\\x1b{1..2}"]),
        (["w", "w"], ["w"]),
        (["a" + "1" * 5000, "a2"], ["a" + "1" * 198 + "…", "a2"]),
    ],
)
def test_labels(given_names: list[str], labels: list[str]) -> None:
    assert [group.label for group in grouped(given_names)] == labels


def test_many_numbers_take_no_long_time() -> None:
    hostile = [".".join(str(i + j) for j in range(2000)) for i in range(50)]
    assert len(grouped(hostile)) == 50


def test_numbers_stand_in_order() -> None:
    given_names = ["layer10", "layer2", "layer", "layer2.b10", "layer2.b9"]
    assert sorted(given_names, key=natural) == [
        "layer", "layer2", "layer2.b9", "layer2.b10", "layer10",
    ]  # fmt: skip
