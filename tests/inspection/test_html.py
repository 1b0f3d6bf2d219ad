"""A page is whole, asks the network for nothing, and takes no name for markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from weightsurgeon.inspection.drawing import Drawing, Text
from weightsurgeon.inspection.html import POLICY, Cell, Section, Table, figure, page, steps

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m</title>\"'"


class Seen(HTMLParser):
    """The elements and attributes of a page, and whether each is closed."""

    VOID = ("meta", "input", "path", "rect", "image")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.open = list[str](), list[tuple[str, str]](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(k, v or "") for k, v in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def sample() -> str:
    table = Table(
        ["name", "mean"],
        [[HOSTILE, Cell("1.0", 1.0)], ["b", Cell("NaN", None, "error")]],
        frozenset({1}),
        caption=HOSTILE,
    )
    picture = figure(Drawing(HOSTILE, [Text(0, 0, "x")]))
    return page(
        HOSTILE, [("file", HOSTILE)], [Section(HOSTILE, [table.html(), picture])], [HOSTILE]
    )


def test_every_element_is_closed_and_names_are_text() -> None:
    seen = Seen(sample())
    assert not seen.open
    assert seen.tags.count("script") == 2  # the data and ours
    assert "alert(1)" in sample()
    assert "<script>alert" not in sample()
    assert "\u202e" not in sample()
    assert "\x1b" not in sample()


def test_nothing_leaves_the_page() -> None:
    links = [v for k, v in Seen(sample()).attributes if k in ("src", "href")]
    assert links
    assert all(v.startswith(("data:", "#")) for v in links)
    assert POLICY in sample()
    assert "http" not in re.sub(r"http-equiv", "", sample())


def test_the_data_read_back() -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', sample(), re.S)
    assert found
    assert json.loads(found[1]) == [HOSTILE]


def test_a_histogram_is_small() -> None:
    import random

    counts = [random.Random(0).randrange(1000) for _ in range(24)]
    assert len(steps(counts, "log2 |w|")) <= 450
    assert steps([], "nothing")


def test_a_table_of_one_row_is_not_sorted() -> None:
    assert "sortable" not in Table(["a"], [["1"]]).html()
