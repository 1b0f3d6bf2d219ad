"""Reading names by patterns: in one way or not at all, in bounded time, and back."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.mapping.names import Capture, NameError_, Pattern
from weightsurgeon.mapping.tokens import captures_of, parse


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{a}_{b}", "x_y_z"),
        ("{a:path}.{b}_{c}", "p.x_y_z"),
        ("{a:x|xy}{b:yz|z}", "xyz"),
        ("{a}_{b:path}", "x_y_z.w"),
    ],
)
def test_a_name_that_fits_in_two_ways_is_refused(pattern: str, name: str) -> None:
    with pytest.raises(NameError_, match="in two ways") as caught:
        parse(pattern).match(name)
    assert caught.value.id == "ambiguous"
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"),
    [
        ("{a}_{b}", "x_y", {"a": "x", "b": "y"}),
        ("{a:path}.{b}", "x.y.z", {"a": "x.y", "b": "z"}),
        ("{a:x|xy}.w", "xy.w", {"a": "xy"}),  # the long word first, the short one last
        ("{a:path}.{b:word|a.word}", "x.word", {"a": "x", "b": "word"}),
        ("{a:path}", "x", {"a": "x"}),
        ("{a:path}", "a..b", None),  # a segment has a character
        ("{a:path}", ".a", None),
        ("{a}", "", None),
    ],
)
def test_a_name_that_fits_in_one_way(
    pattern: str, name: str, wanted: dict[str, str] | None
) -> None:
    assert parse(pattern).match(name) == wanted


def test_a_number_too_long_to_be_an_index_does_not_fit() -> None:
    assert parse("a.{i:int}").match("a." + "9" * 5000) is None  # int() would refuse it
    assert parse("a{i:nth}").match("a_" + "9" * 5000) is None
    assert parse("a.{i:02}").match("a." + "9" * 5000) is None


@pytest.mark.parametrize(
    "pattern", ["{a}_{b}_{c}_{d}X", "{a:path}_{b}X", "{p:path}.{a}_{b}_{c}X", "{a}_{b}X"]
)
def test_a_hostile_name_costs_no_time(pattern: str) -> None:
    start = time.monotonic()
    for name in ("_" * 60_000, "_." * 30_000, "a_" * 100):
        with suppress(NameError_):  # it is refused as too long, or fits nowhere
            assert parse(pattern).match(name) is None
    assert time.monotonic() - start < 5


def test_long_names_are_read_by_simple_patterns() -> None:
    name = "a" * 60_000
    assert parse("{x}.w").match(name + ".w") == {"x": name}
    deep = ".".join(["ab"] * 500)
    assert parse("{n:path}.{leaf}").match(f"{deep}.weight") == {"n": deep, "leaf": "weight"}


def test_any_reads_whatever_there_is() -> None:
    whole = Pattern("{name}", (Capture("name", "any"),), {})
    for name in ("", "a..b", "\n", "{x}", "a.b/c"):
        assert whole.match(name) == {"name": name}
        assert whole.write({"name": name}, "") == name
    assert whole.write({"name": "a.b/c"}, "/") == "a/b/c"


words = st.text("ab_0", min_size=1, max_size=4)


@given(words, st.integers(0, 10**6), st.lists(words, min_size=1, max_size=3).map(".".join))
def test_what_is_written_is_read_again(x: str, i: int, path: str) -> None:
    values: dict[str, str | int] = {"x": x, "i": i, "j": i, "n": path, "k": i}
    pattern = parse("{x}/{2*i+3}/b{j:nth}/{n:path}/{k:03}/end")
    written = pattern.write(values, ".")
    assert pattern.match(written) == values
    assert pattern.match(written.replace(".", "/")) == {**values, "n": path.replace(".", "/")}


@given(st.text("ab_.", max_size=12))
def test_greedy_and_lazy_find_every_ambiguity(name: str) -> None:
    """All ways to cut a name, tried one by one, are the judge."""
    ways = {
        (name[:i], name[i + 1 : j], name[j + 1 :])
        for i in range(len(name))
        for j in range(i + 1, len(name))
        if name[i] == name[j] == "_"
    }
    ways = {w for w in ways if all(w) and not any("." in part for part in w)}
    pattern = parse("{a}_{b}_{c}")
    if len(ways) > 1:
        with pytest.raises(NameError_, match="two ways"):
            pattern.match(name)
    else:
        found = pattern.match(name)
        assert (tuple(found.values()) if found else None) == (ways.pop() if ways else None)


def test_an_inline_table_writes_the_word_at_the_same_place() -> None:
    source = parse("{m:wte|h.wpe}.{n:wte|x}")
    target = parse("{m@tok|pos}/{n@tok|pos}", known=captures_of(source))
    found = source.match("h/wpe.wte")
    assert found == {"m": "h.wpe", "n": "wte"}
    assert target.write(found, "/") == "pos/tok"
    back = parse("{m:tok|pos}", known={})
    assert parse("{m@wte|h.wpe}", known=captures_of(back)).write({"m": "pos"}, ".") == "h.wpe"
