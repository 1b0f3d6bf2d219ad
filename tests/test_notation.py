"""The notation of axes: read, written, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import SpecError
from weightsurgeon.notation import MAX_TEXT, atoms, expand_spatial, parse, parse_layout
from weightsurgeon.spec import Axes, Axis

names = st.sampled_from(
    [
        "in",
        "out",
        "kh",
        "kw",
        "head",
        "dim",
        "unit",
        "h",
        "w",
        "c",
        "vocab",
        "embed",
        "_x",
        "K",
        "a1",
    ]
)
letters = st.sampled_from(["", "", "ifgo", "zrn", "qkv"])
axes = st.lists(
    st.lists(st.builds(Axis, names, letters, st.booleans()), max_size=3).map(tuple), max_size=4
).map(Axes)


@given(axes)
def test_what_is_written_is_read_back(given_axes: Axes) -> None:
    every = [axis.name for axis in atoms(given_axes)]
    if len(set(every)) < len(every):
        with pytest.raises(SpecError, match="stands twice on a side"):
            parse(str(given_axes))
    else:
        assert parse(str(given_axes)) == given_axes
        assert len(str(given_axes)) < MAX_TEXT


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  in   out ", "in out"),
        ("(in) out", "in out"),
        ("()", "1"),
        ("(1 a)", "a"),
        ("(head dim)in", "(head dim) in"),
        ("g:if", "(g:if)"),
        ("", ""),
        ("-kh 1", "-kh 1"),
    ],
)
def test_ways_to_write_the_same(text: str, plain: str) -> None:
    assert str(parse(text)) == plain


@pytest.mark.parametrize(
    "text",
    ["(a", "a)", "((a))", "(a (b))", "a b a", "(g:ii x)", "g:", "g:i", "g:IF", "2", "11", "-1",
     "a-b", "a,b", "é", "a->b", "a b | c", "| a", "(| a) b", "a:bc:de", "K1:",
     "a | b | c", "(a b) | c",
     "a " * MAX_TEXT],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_is_no_notation(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text)
    assert caught.value.id == "layout"
    assert len(str(caught.value)) < 2 * MAX_TEXT


def test_a_layout_has_two_sides() -> None:
    layout = parse_layout("p:qkv | in head dim -> (p:qkv head dim) in")
    assert layout.have.over == (Axis("p", "qkv"),)
    assert str(layout.have.axes) == "in head dim"
    assert layout.want.over == ()
    for text in ("in out", "a -> b -> c", "p | q | in -> in"):
        with pytest.raises(SpecError, match="layout"):
            parse_layout(text)


@pytest.mark.parametrize(
    ("text", "rank", "count", "found"),
    [
        ("K in out", 4, None, "kh kw in out"),
        ("out in K", 3, None, "out in kw"),
        ("(in mult) 1 K", 5, None, "(in mult) 1 kd kh kw"),
        ("K in out", 2, None, "in out"),
        ("K in out", None, 2, "kh kw in out"),
        ("-K in", 3, None, "-kh -kw in"),
        ("in out", 7, None, "in out"),
    ],
)
def test_the_spatial_axes(text: str, rank: int | None, count: int | None, found: str) -> None:
    assert str(expand_spatial(parse(text), rank, count)) == found


def test_there_are_at_most_three_spatial_axes() -> None:
    for rank in (1, 6):
        with pytest.raises(SpecError, match="spatial axes in a tensor of rank"):
            expand_spatial(parse("K in out"), rank)
