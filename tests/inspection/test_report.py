"""The page of a real file holds every tensor, what is odd about it, and no more than it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import save

import weightsurgeon as ws

SMALL = Path(__file__).parent.parent.parent / "examples" / "small.keras"


def test_a_page_holds_every_tensor_and_pictures() -> None:
    page = ws.report(SMALL)
    for name in ws.open(SMALL):
        assert f"<td>{name}</td>" in page.html
    assert "<h2>Kernels</h2>" in page.html
    assert page.html.count("<svg") > len(ws.open(SMALL)) / 2
    assert str(SMALL.parent) not in page.html  # a page that is passed on tells no folders


def test_a_page_replaces_no_checkpoint(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"w": np.ones(3, "float32")})
    before = path.read_bytes()
    with pytest.raises(ws.SurgeryError, match=r"a page ends in \.html or \.htm"):
        ws.report(path, out=path)
    assert path.read_bytes() == before
    assert repr(ws.report(path)).startswith("Page(1 tensors, ")


def test_the_same_file_gives_the_same_page(tmp_path: Path) -> None:
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    ws.report(SMALL, out=first)
    ws.report(SMALL, out=second)
    assert first.read_bytes() == second.read_bytes()


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    page = ws.report(save(tmp_path / "a.safetensors", {name: np.ones(3, "float32")}))
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html


def test_bad_values_are_marked_and_empty_tensors_break_nothing(tmp_path: Path) -> None:
    tensors = {
        "bad": np.array([np.nan, np.inf], "float32"),
        "empty": np.zeros((0, 3), "float32"),
        "scalar": np.array(2.0, "float32"),
        "counter": np.array(7, "int64"),
    }
    page = ws.report(save(tmp_path / "a.safetensors", tensors))
    assert '<td class="n error" data-k="1">1</td>' in page.html
    assert page.data["totals"]["tensors"] == 4


def test_what_differs_is_told(tmp_path: Path) -> None:
    a = save(tmp_path / "a.safetensors", {"w": np.ones((2, 3), "float32"), "same": np.ones(2)})
    b = save(tmp_path / "b.safetensors", {"w": np.zeros((2, 3), "float32"), "same": np.ones(2)})
    page = ws.report(a, against=b)
    assert "<h2>Differences</h2>" in page.html
    assert "1 of 2 differ" in page.html


def test_five_thousand_tensors_stay_readable(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(8).astype("float32")
    many = {f"layers.{i}.weight": values for i in range(5000)}
    page = ws.report(save(tmp_path / "many.safetensors", many))
    assert page.html.count("<tr>") == 5001
    assert len(page.html) < 8 * 2**20


def test_in_a_notebook_the_page_is_a_frame() -> None:
    assert ws.report(SMALL)._repr_html_().startswith("<iframe srcdoc=")
