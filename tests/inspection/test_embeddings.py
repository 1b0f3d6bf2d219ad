"""`embeddings`: planted twins, zeros and neighbours are found; rows that did not move are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from porting import Shell
from samples import normal, written

from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection import embeddings as module
from weightsurgeon.inspection.embeddings import embeddings


def table(path: Path) -> str:
    """50 × 8: row 3 zero, 7 the twin of 2, 9 in the direction of 4, 11 NaN."""
    values = normal(50, 8)
    values[3], values[7], values[9], values[11, 2] = 0, values[2], 3 * values[4], np.nan
    return written(path, {"emb.weight": values})


def test_planted_rows_are_found(tmp_path: Path) -> None:
    found = embeddings(table(tmp_path / "e.safetensors"), "emb.weight", [4, "2"], top=3)
    assert (found.shape, found.zero, found.alike) == ((50, 8), (3,), ((2, 7),))
    assert found.untouched is None
    assert found.near[4][0].row == 9
    assert found.near[4][0].cosine == pytest.approx(1, abs=1e-7)
    assert found.near[2][0].row == 7
    assert len(found.near[2]) == 3
    assert {n.row for n in found.near[4]}.isdisjoint({3, 4, 11})
    assert np.isnan(found.norms[11])
    assert "✗ not finite: 1 row (11)" in str(found)


def test_neighbours_are_those_of_a_sort_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = normal(300, 16, seed=1)
    path = written(tmp_path / "e.safetensors", {"e": values})
    wide = values.astype("f8") / np.linalg.norm(values.astype("f8"), axis=1)[:, None]
    cosines = wide @ wide[17]
    expected = [int(i) for i in np.argsort(-cosines) if i != 17][:10]
    for block in (2**20, 100):
        monkeypatch.setattr(module, "BLOCK", block)
        near = embeddings(path, "e", [17], top=10).near[17]
        assert [n.row for n in near] == expected


def test_what_training_never_touched(tmp_path: Path) -> None:
    before = normal(20, 4, seed=2)
    after = np.concatenate([before, normal(2, 4, seed=3)])
    after[:15] += 0.1
    first = written(tmp_path / "a.safetensors", {"e": before})
    path = written(tmp_path / "b.safetensors", {"e": after})
    assert embeddings(path, "e", init=first).untouched == (15, 16, 17, 18, 19)


def test_what_is_asked_wrongly_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "e.safetensors")
    with pytest.raises(SurgeryError, match="which tensor"):
        embeddings(path)
    with pytest.raises(SurgeryError, match=r"rows 0\.\.49"):
        embeddings(path, "emb.weight", [50])
    with pytest.raises(SurgeryError, match="no row is called"):
        embeddings(path, "emb.weight", ["cat"])
    with pytest.raises(SurgeryError, match="50 rows, the names are 2"):
        embeddings(path, "emb.weight", names=["a", "b"])


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    path, names = table(tmp_path / "e.safetensors"), tmp_path / "names.txt"
    names.write_text("\n".join(f"word{i}" for i in range(50)))
    asked = ("embeddings", path, "--tensor", "emb.weight", "--row", "word4", "--names", names)
    said = shell(*asked)
    assert said.code == 0, said.err
    assert "1.0000  9 word9" in said.out
    assert "equal: 2 word2 = 7 word7" in said.out
    data = json.loads(shell(*asked, "--json").out)
    assert data["near"][0]["near"][0]["row"] == 9
    assert data["norms"][11] == "nan"
