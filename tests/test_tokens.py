"""The notation of names: what it reads, what it refuses, and what is known but not built."""

from __future__ import annotations

import re

import pytest

from weightsurgeon.mapping.names import NameError_
from weightsurgeon.mapping.tokens import captures_of, parse

TABLES = {"t": {"q": "query", "a.b": "c"}, "n": {"1": "one"}}


def moved(source: str, target: str, name: str, separator: str = ".") -> str | None:
    """A name brought from one pattern to another."""
    here = parse(source, TABLES)
    there = parse(target, TABLES, captures_of(here))
    found = here.match(name)
    return None if found is None else there.write(found, separator)


@pytest.mark.parametrize(
    ("source", "target", "name", "wanted"),
    [
        ("{a}_{i:int}", "{a}.{i}", "x_1_2", "x_1.2"),
        ("c{i:nth}", "d.{i+1}", "c", "d.1"),
        ("c{i:nth}", "d.{i+1}", "c_3", "d.4"),
        ("c{i:nth}", "d.{i+1}", "c_0", None),
        ("c{i:nth}", "d{i}", "c_3", "d_3"),  # {i} has the type it was given first
        ("c{i:nth}", "d{i}", "c", "d"),
        ("c{i:nth}", "d{i:int}", "c", "d0"),
        ("c.{i:int}", "d{i:nth}", "c.0", "d"),
        ("a.{i:02}", "b.{i:int}", "a.07", "b.7"),
        ("a.{i:02}", "b.{i:int}", "a.113", "b.113"),
        ("a.{i:02}", "b.{i:int}", "a.7", None),
        ("a.{i:02}", "b.{i:int}", "a.0113", None),
        ("a.{i:int}", "b.{i:03}", "a.7", "b.007"),
        ("a.{i:int}", "b.{i}", "a.07", None),
        ("a.{2*i+1}", "b.{i}", "a.7", "b.3"),
        ("a.{2*i+1}", "b.{i}", "a.6", None),
        ("a.{2*i+1}", "b.{i}", "a.0", None),
        ("a.{i:int}", "b.{3*i-1}", "a.2", "b.5"),
        ("{x}.w", "{x}/k", "a.w", "a/k"),
        ("{x}.w", "{x}/k", "a.b.w", None),  # one segment
        ("{x:path}.w", "{x}/k", "a.b.w", "a.b/k"),
        ("{p:q|k|v}.w", "{p}", "k.w", "k"),
        ("{p:q|k|v}.w", "{p}", "x.w", None),
        ("{p:a.b|c}.w", "{p}", "a/b/w", "a.b"),  # a word may hold separators
        ("{x@t}.w", "{x@t}", "q.w", "query"),
        ("{x@t}.w", "{x}", "q.w", "q"),  # the key itself
        ("{i:int}.w", "{i@n}", "1.w", "one"),  # integer keys are read as text
        ("{a}.{a}", "{a}", "x.x", "x"),  # twice: one value
        ("{a}.{a}", "{a}", "x.y", None),
        ("a{{b}}.w", "c{{d}}", "a{b}.w", "c{d}"),
        ("a.w", "b", "A.w", None),  # case counts
        ("lin.weight", "x", "my_lin.weight", None),  # names match whole
        ("lin.weight", "x", "linxweight", None),  # and a dot is a dot
        ("a/b", "c", "a.b", "c"),  # reading is neutral to separators
    ],
)
def test_a_name_is_brought_over(source: str, target: str, name: str, wanted: str | None) -> None:
    assert moved(source, target, name) == wanted


@pytest.mark.parametrize(
    ("source", "target", "name", "wanted"),
    [
        ("l.{6*j+b}.w", "{b}/{j}", "l.8.w", "2/1"),
        ("l.{6*j+b}.w", "{b}/{j}", "l.0.w", "0/0"),
        ("{b:int}/{j:int}", "l.{6*j+b}.w", "2/1", "l.8.w"),
        ("l.{6*j+b+1:02}.w", "{b:02}/{j}", "l.09.w", "02/01"),
        ("l.{6*j+b+1}.w", "{b}/{j}", "l.0.w", None),
        ("{b:int}.{6*j+b}.w", "{b}/{j}", "2.8.w", "2/1"),
        ("{b:int}.{6*j+b}.w", "{b}/{j}", "1.8.w", None),
        ("{e...}.w", "{e}", "3.w", "3"),
        ("{p:q|k|v...}.w", "{p}", "q.w", "q"),
    ],
)
def test_two_indices_and_gathers(source: str, target: str, name: str, wanted: str | None) -> None:
    assert moved(source, target, name) == wanted


def test_a_remainder_that_is_too_big_has_no_place() -> None:
    with pytest.raises(NameError_, match="with b=6: it runs from 0 to 5") as caught:
        moved("{b:int}/{j:int}", "l.{6*j+b}.w", "6/0")
    assert caught.value.id == "index"


def test_a_word_that_a_table_lacks_is_refused() -> None:
    with pytest.raises(NameError_, match="'a' is no key of table 't'") as caught:
        moved("{x}.w", "{x@t}", "a.w")
    assert caught.value.id == "table"


def test_a_path_is_joined_with_the_separator_of_the_target() -> None:
    assert moved("{n:path}.weight", "{n}/kernel", "a.b.c.weight", "/") == "a/b/c/kernel"
    assert moved("{n:path}.weight", "{n}/kernel", "a.b/c.weight", "") == "a.b/c/kernel"


def test_an_index_below_zero_is_refused() -> None:
    with pytest.raises(NameError_, match="is -1") as caught:
        moved("a.{i:int}", "b.{i-2}", "a.1")
    assert caught.value.id == "index"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("{a}{b}", "x", "cannot be told apart"),
        ("{a}{i:int}", "x", "cannot be told apart"),
        ("{i:int}{j:int}", "x", "cannot be told apart"),
        ("{a:path}.{b:path}", "x", "at most one capture is a path"),
        ("{a", "x", "a brace is not closed"),
        ("a}", "x", "without an opening"),
        ("{}", "x", "cannot be read"),
        ("{1a}", "x", "cannot be read"),
        ("{a-b}", "x", "cannot be read"),
        ("{a:float}", "x", "no type 'float'; known: path, int, nth"),
        ("{i:00}", "x", "no type '00'"),
        ("{0*i}", "x", "is no index"),
        ("{9999999999*i}", "x", "is no index"),
        ("{a}.w", "{a+1}", "a is text, here it is a number; write {a:int}"),
        ("{a:int}.w", "{a:path}", "a is a number, here it is text"),
        ("{a}.{a:int}", "x", "a is text"),
        ("{x:path...}.w", "x", "only numbers and words are gathered"),
        ("{j+b}.w", "x", "two indices want a factor, as in"),
        ("{6*j+j}.w", "x", "two indices want a factor"),
        ("{b}.{6*j+b}.w", "x", "b is text, here it is a number"),
        ("{m:wte|wpe}.w", "{m@tok|pos|x}.w", "m@tok|pos|x} in"),
        ("{m:wte|wpe}.w", "{m@tok|tok}.w", "wants 2 words, each once"),
        ("{m}.w", "{m@tok|pos}.w", "m has no words"),
    ],
)
def test_a_pattern_is_refused_at_load(source: str, target: str, words: str) -> None:
    with pytest.raises(NameError_, match=re.escape(words)) as caught:
        moved(source, target, "never.read")
    assert caught.value.id == "capture"


def test_a_table_must_be_there() -> None:
    with pytest.raises(NameError_, match="the file has no table 'norms'") as caught:
        parse("{m@norms}.w", TABLES)
    assert caught.value.id == "table"


@pytest.mark.parametrize("pattern", ["{x:q|k}{y}", "{y}{x@t}", "{x:q|k}{i:int}"])
def test_words_may_stand_beside_anything(pattern: str) -> None:
    assert parse(pattern, TABLES)
