"""`track`: planted movements over a series, marks where they are due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Shell
from samples import normal, written

from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection.track import track


def series(tmp: Path, *steps: dict[str, Any]) -> list[str]:
    return [written(tmp / f"{i}.safetensors", values) for i, values in enumerate(steps)]


def test_norms_changes_and_turns(tmp_path: Path) -> None:
    w, d = normal(50, 50), normal(50, 50, seed=1)
    files = series(tmp_path, {"w": w}, {"w": w + d}, {"w": w + 2 * d}, {"w": w + d})
    (course,) = track(files).courses
    norms = [float(np.linalg.norm(x.astype("f8"))) for x in (w, w + d, w + 2 * d, w + d)]
    assert course.norms == pytest.approx(norms)
    size = float(np.linalg.norm(d))
    assert course.changes == pytest.approx([size / n for n in norms[:3]], rel=1e-6)
    assert course.cosines == pytest.approx([1, -1], abs=1e-6)
    assert course.marks == ()


def test_marks(tmp_path: Path) -> None:
    w = normal(8, 8)
    bad = w.copy()
    bad[0, 0] = np.nan
    rows = [
        {"still": w, "grows": w * (i + 1), "bad": bad if i > 1 else w, "gone": w} for i in range(4)
    ]
    del rows[3]["gone"]
    found = track(series(tmp_path, *rows))
    marks = {c.name: c.marks for c in found.courses}
    assert marks == {"still": ("still",), "grows": ("growing",), "bad": ("non-finite since step 2",
                                                                        "still")}  # fmt: skip
    assert found.left == ("gone",)
    assert "1 tensors are not in every checkpoint: gone" in str(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    w = normal(8, 8)
    files = series(tmp_path, {"w": w}, {"w": 2 * w})
    call = shell("track", *files)
    assert call.code == 0
    assert "1 tensors · 2 checkpoints" in call.out
    assert json.loads(shell("track", *files, "--json").out)["tensors"][0]["changes"] == [1.0]
    with pytest.raises(SurgeryError, match="at least two"):
        track(files[:1])
    assert "<td>w</td>" in track(files)._repr_html_()
