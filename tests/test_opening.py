"""A file becomes a checkpoint: its dialect, meanings and ties, and on what ground each is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from weightsurgeon.errors import BrokenFile, FormatError, MissingTensor
from weightsurgeon.formats.base import Meaning
from weightsurgeon.neutral import encode
from weightsurgeon.notation import parse
from weightsurgeon.opening import infer_dialect, open_checkpoint


def written(path: Path, names: list[str], metadata: dict[str, str]) -> str:
    header: dict[str, Any] = {"__metadata__": metadata}
    for i, name in enumerate(names):
        span = [16 * i, 16 * i + 16]
        header[name] = {"dtype": "F32", "shape": [2, 2], "data_offsets": span}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16 * len(names)))
    return str(path)


def ours(dialect: str | None, ties: dict[str, str], **meanings: Meaning) -> dict[str, str]:
    return encode(meanings, ties, dialect, [], "", [], {})


@pytest.mark.parametrize(
    ("names", "dialect"),
    [
        (["fc.weight", "fc.bias"], "torch"),
        (["bn.running_mean"], "torch"),
        (["fc/kernel", "fc/bias"], "keras"),
        (["emb/embeddings"], "keras"),
        (["fc/bias"], None),
        (["fc.weight", "fc/kernel"], None),
        (["weight"], None),
        ([], None),
    ],
)
def test_names_tell_a_dialect_only_beyond_doubt(names: list[str], dialect: str | None) -> None:
    assert infer_dialect(names) == dialect


def test_grounds_of_the_dialect_in_order(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    found = open_checkpoint(written(path, ["fc.weight"], {}))
    assert (found.dialect, found.dialect_ground) == ("torch", "inferred")
    found = open_checkpoint(written(path, ["fc.weight"], {"format": "flax"}))
    assert (found.dialect, found.dialect_ground) == ("flax", "file")
    found = open_checkpoint(written(path, ["fc.weight"], ours("keras", {})))
    assert (found.dialect, found.dialect_ground) == ("keras", "metadata")
    found = open_checkpoint(str(path), dialect="onnx")
    assert (found.dialect, found.dialect_ground) == ("onnx", "stated")
    found = open_checkpoint(written(path, ["x"], {}))
    assert (found.dialect, found.dialect_ground) == (None, "")


def test_metadata_tells_axes_and_ties(tmp_path: Path) -> None:
    kernel = Meaning("kernel", "linear", parse("out in"), "fc")
    metadata = ours("torch", {"head": "fc"}, fc=kernel)
    with open_checkpoint(written(tmp_path / "x.safetensors", ["fc", "b"], metadata)) as found:
        assert list(found) == ["fc", "b", "head"]
        assert str(found["fc"].spec.axes) == "out in"
        assert found.ties == {"head": "fc"}
        assert found["head"].params["name"] == "fc"
        assert found.meaning("fc").ground == "metadata"
        assert found["head"].numpy().tolist() == [[0, 0], [0, 0]]
        assert "gone" not in found
        with pytest.raises(MissingTensor, match="holds no tensor gone"):
            found["gone"]


def test_contradictions_in_a_file_are_errors_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for entry in ({"axes": "a b c"}, {"tied_to": "fc"}, {"role": 1}):
        metadata = {"weightsurgeon.tensors": json.dumps({"fc": entry})}
        with pytest.raises(BrokenFile, match="fc: "):
            open_checkpoint(written(path, ["fc"], metadata))
    with pytest.raises(BrokenFile, match="is no JSON"):
        open_checkpoint(written(path, ["fc"], {"weightsurgeon.source": "{"}))
    with pytest.raises(FormatError, match="there is no such file"):
        open_checkpoint(tmp_path / "gone")


def test_whatever_goes_wrong_with_hostile_options_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise AttributeError("'int' object has no attribute 'replace'")

    monkeypatch.setattr("weightsurgeon.opening.describe", fails)
    with pytest.raises(BrokenFile, match="cannot be read: AttributeError"):
        open_checkpoint(written(tmp_path / "x.safetensors", ["fc"], {}))
    monkeypatch.setattr("weightsurgeon.opening.describe", lambda *_: 1 / 0)
    with pytest.raises(BrokenFile, match="ZeroDivisionError"):
        open_checkpoint(str(tmp_path / "x.safetensors"))
