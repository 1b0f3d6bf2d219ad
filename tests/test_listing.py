"""What a checkpoint says of itself at a prompt and in a notebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from porting import count, save

import weightsurgeon as ws
from weightsurgeon.formats.listing import MOST


def test_a_prompt_shows_the_rows_of_inspect(tmp_path: Path) -> None:
    tensors = {f"l{i}.weight": count(3, 2) for i in range(4)} | {"l0.bias": count(3)}
    with ws.open(save(tmp_path / "a.safetensors", tensors)) as found:
        head, *rows = repr(found).split("\n")
    assert head.endswith("safetensors · dialect torch (inferred) · 5 tensors · 27 params · 108 B"
                         " · float32 100 %")  # fmt: skip
    assert [" ".join(row.split()) for row in rows] == [
        "l0.bias 3 float32 3 12 B",
        "l{0..3}.weight ×4 3×2 float32 24 96 B",
    ]


def test_many_rows_are_cut_and_counted(tmp_path: Path) -> None:
    tensors = {f"{'x' * i}y": np.zeros(i, "f4") for i in range(1, MOST + 4)}
    with ws.open(save(tmp_path / "a.safetensors", tensors)) as found:
        lines = repr(found).split("\n")
    assert len(lines) == MOST + 2
    assert lines[-1] == "… and 3 more rows"


def test_a_notebook_shows_a_table_and_hostile_names_as_text(tmp_path: Path) -> None:
    with ws.open(save(tmp_path / "a.safetensors", {"<script>\x1b": count(2)})) as found:
        page = found._repr_html_()
    assert "&lt;script&gt;\\x1b" in page
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("<tr>") == 2


def test_a_report_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"<b>": count(2)})
    page = ws.port(source, tmp_path / "b.safetensors", dry_run=True)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "would go to" in page
    assert "<pre>cost: " in page
