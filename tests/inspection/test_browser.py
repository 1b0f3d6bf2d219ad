"""The page in a browser: all is there, it sorts and filters, and it asks the network for nothing.

Left out of the default suite; `make test-browser` runs it where a Chromium is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import PATH, Chromium
from samples import normal, written

import weightsurgeon as ws

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PATH is None, reason="no chromium is installed"),
]
SMALL = Path(__file__).parent.parent.parent / "examples" / "small.keras"
HOSTILE = "<img src=x onerror=alert(1)>"
ROWS = "[...document.querySelectorAll('#tensors tbody tr')].filter(r => !r.hidden)"
NAMES = f"{ROWS}.map(r => r.cells[0].textContent)"
SEEN = "[...document.querySelectorAll('h2')].map(h => h.textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests, with a folder of its own."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a Keras model, and one of many tensors, some of them hostile, beside another."""
    folder = tmp_path_factory.mktemp("pages")
    many: dict[str, Any] = {f"layer{i}.weight": normal(4, i + 1, seed=i) for i in range(20)}
    a = written(folder / "a.safetensors", many | {HOSTILE: np.array([np.nan], "f4")})
    b = written(folder / "b.safetensors", many | {HOSTILE: np.ones(1, "f4")})
    ws.report(SMALL, out=folder / "small.html")
    ws.report(a, against=b, out=folder / "many.html")
    return {name: folder / f"{name}.html" for name in ("small", "many")}


def silent(browser: Chromium, path: Path) -> None:
    """Nothing was refused, nothing failed, nothing was asked for but the page itself."""
    assert browser.told("Log.entryAdded") == []
    assert browser.told("Runtime.exceptionThrown") == []
    assert browser.told("Runtime.consoleAPICalled") == []
    asked = [e["request"]["url"] for e in browser.told("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1400, 800])
def test_every_section_is_seen(
    browser: Chromium, pages: dict[str, Path], width: int, dark: bool
) -> None:
    browser.show(pages["small"], width, dark)
    assert browser.ask(SEEN) == ["Findings", "Tensors", "Kernels", "Method"]
    assert browser.ask(NAMES) == list(ws.open(SMALL))
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 24, 27)" if dark else "rgb(255, 255, 255)")
    inner, whole = browser.ask("[innerWidth, document.documentElement.scrollWidth]")
    assert whole <= inner  # tables scroll by themselves, the page does not
    silent(browser, pages["small"])


def test_a_click_sorts_and_another_turns_round(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.show(pages["many"])
    button = "document.querySelectorAll('#tensors th button')[2]"
    order = browser.ask(NAMES)
    browser.ask(f"{button}.click()")
    assert browser.ask(NAMES)[0] == "layer19.weight"
    assert browser.ask(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"
    browser.ask(f"{button}.click()")
    assert browser.ask(NAMES)[:3] == [HOSTILE, "layer0.weight", "layer1.weight"]
    browser.ask("document.querySelector('#tensors th button').click()")
    names = browser.ask(NAMES)
    assert names.index("layer2.weight") < names.index("layer10.weight")  # as people count
    assert sorted(names) == sorted(order)
    silent(browser, pages["many"])


def test_the_filter_shows_what_has_all_words(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.show(pages["many"])
    box = "document.querySelector('#tensors input')"
    typed = f"{box}.value = 'WEIGHT r1'; {box}.dispatchEvent(new Event('input'))"
    browser.ask(typed)
    assert browser.ask(NAMES) == [f"layer{i}.weight" for i in (1, *range(10, 20))]
    browser.ask(f"{box}.value = ''; {box}.dispatchEvent(new Event('input'))")
    assert len(browser.ask(NAMES)) == 21


def test_a_hostile_name_is_read_and_does_nothing(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.show(pages["many"])
    assert HOSTILE in browser.ask(NAMES)
    assert browser.ask("document.images.length") == 0
    assert "Differences" in browser.ask(SEEN)
    silent(browser, pages["many"])


def test_without_scripts_all_is_there(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.show(pages["many"], script=False)
    root = browser("DOM.getDocument")["root"]["nodeId"]

    def count(selector: str) -> int:
        found = browser("DOM.querySelectorAll", nodeId=root, selector=selector)
        return len(found["nodeIds"])

    assert count("#tensors tbody tr") == 21
    assert count("#tensors svg.h") == 20
    assert count("section") == 4
    assert count("button, input") == 0
    silent(browser, pages["many"])


def test_the_policy_stops_what_would_leave(browser: Chromium, pages: dict[str, Path]) -> None:
    """Whatever got into a page: what it asks of the network is refused by the page itself."""
    browser.show(pages["small"])
    browser.ask("document.body.append(Object.assign(new Image(), {src: 'https://example.com/x'}))")
    browser.ask("fetch('https://example.com/y').catch(() => 0)")
    browser.ask("new Promise(r => setTimeout(r, 50)).then(() => 0)")
    refused = [e["entry"]["text"] for e in browser.told("Log.entryAdded")]
    assert any("Content Security Policy" in text for text in refused)
    answers = [e["response"]["url"] for e in browser.told("Network.responseReceived")]
    assert not any("example.com" in url for url in answers)


def test_a_picture_is_taken(browser: Chromium, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.show(pages["small"])
    browser.picture(tmp_path / "seen.png")
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
