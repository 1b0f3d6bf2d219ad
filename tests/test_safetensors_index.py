"""Shards read as one checkpoint: index and headers agree, and nothing else is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import count, save

import weightsurgeon as ws
from weightsurgeon.errors import (
    BrokenFile,
    FormatError,
    LimitExceeded,
    OutputError,
    RefusedFile,
    UnsupportedFile,
)
from weightsurgeon.formats import module_of, open_source
from weightsurgeon.formats.base import Limits, Order

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def shards(folder: Path, **changed: Any) -> Path:
    """Two shards as their usual writer makes them; `changed` are entries of the index."""
    save(folder / ONE, {"z.w": count(2, 3), "a": count(4)}, {"format": "pt", "note": "x"})
    save(folder / TWO, {"m.w": count(5)}, {"format": "pt"})
    files = {"a": ONE, "m.w": TWO, "z.w": ONE}
    index = {"metadata": {"total_size": 60}, "weight_map": files} | changed
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2))
    return path


def test_a_set_is_one_checkpoint(tmp_path: Path) -> None:
    path = shards(tmp_path)
    for where in (path, tmp_path):
        with ws.open(where) as x:
            assert (x.source.container, x.dialect, x.source.remarks) == (
                "safetensors-index",
                "torch",
                [],
            )
            assert sorted(x) == ["a", "m.w", "z.w"]
            assert np.array_equal(x["z.w"].numpy(), count(2, 3))
            assert np.array_equal(x["m.w"].numpy(), count(5))
            extent = x.source.extent("m.w")
            assert extent is not None
            assert extent.nbytes == 20
            assert x.source.metadata == {"format": "pt", "note": "x"}
            x.source.check_unchanged()


def test_masks_take_the_place_of_no_shard(tmp_path: Path) -> None:
    path, shard = shards(tmp_path), tmp_path / TWO
    before = shard.read_bytes()
    with pytest.raises(ws.SurgeryError, match="is an input too"):
        ws.prune(path, tmp_path / "o.pt", select="*", count=3, mask={"write": str(shard)})
    assert shard.read_bytes() == before


def test_a_shard_that_changed_is_noticed(tmp_path: Path) -> None:
    with ws.open(shards(tmp_path)) as x:
        save(tmp_path / "other", {"m.w": count(6)})
        (tmp_path / TWO).write_bytes((tmp_path / "other").read_bytes())
        with pytest.raises(BrokenFile, match="was changed"):
            x.source.check_unchanged()


@pytest.mark.parametrize("total", [61, 60.5, "60", None])
def test_a_wrong_total_is_a_remark(tmp_path: Path, total: Any) -> None:
    with ws.open(shards(tmp_path, metadata={"total_size": total})) as x:
        (remark,) = x.source.remarks
        assert "the tensors take 60 bytes" in remark


def test_strings_of_the_index_are_metadata(tmp_path: Path) -> None:
    path = shards(tmp_path, metadata={"format": "tf", "n": 3})
    save(tmp_path / TWO, {"m.w": count(5)}, {"note": "y"})
    with ws.open(path) as x:
        assert x.source.metadata == {"format": "tf", "note": "x"}
        assert x.source.remarks == ["metadata 'note' differs between shards"]


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"a": ONE, "z.w": ONE, "m.w": TWO, "q": TWO}, BrokenFile, "lacks q, which the index"),
        ({"a": ONE, "m.w": TWO}, BrokenFile, "holds z.w, which the index does not place there"),
        ({"a": TWO, "m.w": TWO, "z.w": ONE}, BrokenFile, "holds a, which the index does not"),
        ({"a": "gone.safetensors"}, BrokenFile, "no such file beside it"),
        ({"a": "../model.safetensors"}, RefusedFile, "no plain relative file name"),
        ({"a": "/etc/x.safetensors"}, RefusedFile, "no plain relative file name"),
        ({"a": "link.safetensors"}, RefusedFile, "leads out of the checkpoint's folder"),
        ({"a": "pytorch_model.bin"}, UnsupportedFile, "is no safetensors file"),
        ({"a": "junk.safetensors"}, BrokenFile, "junk.safetensors"),
    ],
)
def test_what_does_not_agree_is_refused(
    tmp_path: Path, files: Any, error: type[Exception], words: str
) -> None:
    outside = save(tmp_path / "outside" / "x.safetensors", {"a": count(1)})
    folder = tmp_path / "set"
    path = shards(folder, weight_map=files)
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "junk.safetensors").write_bytes(b"{}")
    with pytest.raises(error, match=words):
        open_source(str(path))


def test_tensors_cut_over_shards_are_refused(tmp_path: Path) -> None:
    path = shards(tmp_path)
    save(tmp_path / TWO, {"m.w": count(5), "a": count(4)}, {"DCP_SHARDING_INFO": "{}"})
    with pytest.raises(UnsupportedFile, match="cut over shards"):
        open_source(str(path))


@pytest.mark.parametrize("limit", [{"json_bytes": 20}, {"files": 1}, {"tensors": 2}])
def test_limits(tmp_path: Path, limit: dict[str, int]) -> None:
    with pytest.raises(LimitExceeded):
        open_source(str(shards(tmp_path)), Limits(**limit))


def test_a_cached_repository_is_read(tmp_path: Path) -> None:
    """Every file of a snapshot is a link into the blobs of its repository."""
    shards(tmp_path / "real")
    repository = tmp_path / "models--a--b"
    for path in sorted((tmp_path / "real").iterdir()):
        blob = repository / "blobs" / path.name[::-1]
        blob.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blob)
        link = repository / "snapshots" / "1" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    with ws.open(repository / "snapshots" / "1") as x:
        assert len(x) == 3


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(
        FormatError, match="a folder, not a checkpoint file, and holds no safetensors"
    ):
        ws.open(tmp_path)
    save(tmp_path / "model.safetensors", {"only": count(1)})
    assert list(ws.open(tmp_path)) == ["only"]
    shards(tmp_path)  # beside an index of its name the plain file goes first, as others read it
    assert list(ws.open(tmp_path)) == ["only"]
    (tmp_path / "model.safetensors").rename(tmp_path / "z.safetensors")
    assert len(ws.open(tmp_path)) == 3
    (tmp_path / "model.safetensors.index.json").unlink()
    assert len(ws.open(tmp_path)) == 1  # shards without an index are what a killed writer left
    save(tmp_path / "y.safetensors", {"only": count(1)})
    with pytest.raises(FormatError, match=r"holds 2 checkpoints: y\.safetensors, z\.safetensors"):
        ws.open(tmp_path)


def test_it_is_only_read() -> None:
    with pytest.raises(OutputError, match="is only read"):
        module_of("safetensors-index").create("x", Order({}))
