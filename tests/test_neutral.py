"""What we write of tensors comes back; what contradicts the tensors is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from strategies import Memory

import weightsurgeon as ws
from weightsurgeon.errors import BrokenFile
from weightsurgeon.formats.base import Meaning
from weightsurgeon.neutral import dialect_of, encode, mappings_of, meanings_of, ties_of
from weightsurgeon.notation import parse

MEANINGS = {
    "fc/kernel": Meaning(
        "kernel", "linear", parse("(h w c) out"), "fc", {"flatten_from": [2, 3, 4]}, "metadata"
    ),
    "gru": Meaning(
        "kernel", "gru", parse("in (g:zrn unit)"), "", {"reset_after": True}, "metadata"
    ),
    "named": Meaning(role="bias", ground="metadata"),
    "scalar": Meaning(axes=parse(""), ground="metadata"),
}
SHAPES = {"fc/kernel": (24, 5), "gru": (2, 9), "named": (3,), "scalar": (), "other": (2, 2)}


def source(**metadata: str) -> Memory:
    tensors = {name: np.zeros(shape, "f4") for name, shape in SHAPES.items()}
    return Memory(tensors, metadata={f"weightsurgeon.{k}": v for k, v in metadata.items()})


def stated(**tensors: Any) -> Memory:
    return source(version="1", tensors=json.dumps(tensors))


def encoded(**changed: Any) -> dict[str, str]:
    given: dict[str, Any] = {
        "meanings": MEANINGS, "ties": {"tied": "other"}, "dialect": "keras",
        "sources": [{"container": "keras", "file": "x.keras"}], "plan": "ab" * 32,
        "mappings": ["z", "a"], "foreign": {"author": "é", "weightsurgeon.plan": "old"},
    }  # fmt: skip
    return encode(**{**given, **changed})


def test_there_and_back() -> None:
    read = Memory({n: np.zeros(s, "f4") for n, s in SHAPES.items()}, metadata=encoded())
    assert meanings_of(read) == MEANINGS
    assert ties_of(read) == {"tied": "other"}
    assert dialect_of(read) == "keras"
    assert mappings_of(read) == ["a", "z"]
    assert not read.remarks


def test_the_strings_are_the_same_every_time() -> None:
    first = encoded()
    backwards = {name: MEANINGS[name] for name in reversed(MEANINGS)}
    assert encoded(meanings=backwards, mappings=["a", "z"]) == first
    assert first["author"] == "é"
    assert first["format"] == "tf"
    assert first["weightsurgeon.plan"] == "ab" * 32
    assert first["weightsurgeon.version"] == "1"
    assert all(text.isascii() for key, text in first.items() if key.startswith("weightsurgeon."))
    assert "format" not in encoded(dialect=None)


def test_what_is_not_known_is_not_said() -> None:
    text = encoded(meanings={"other": Meaning()}, ties={})["weightsurgeon.tensors"]
    assert text == "{}"


@pytest.mark.parametrize(
    ("name", "entry", "match"),
    [
        ("other", {"axes": "in out more"}, "3 axes"),
        ("other", {"axes": "in"}, "1 axes"),
        ("other", {"axes": "in (out"}, "not closed"),
        ("other", {"axes": "in in"}, "stands twice"),
        ("gru", {"axes": "in (g:ifgo unit)"}, r"9 is not g=4 × unit=\?"),
        ("other", {"axes": "in (g:zrn)"}, "2 is not g=3"),
        ("fc/kernel", {"axes": "(head dim) out", "layer": {"heads": 5}}, r"24 is not head=5"),
        ("other", {"axes": "1 in"}, "2 is not 1"),
        ("other", {"axes": "a " * 10**5}, "no tensor needs over"),
        ("other", {"role": ["kernel"]}, "stated as no text"),
        ("other", {"layer": {"kind": 7}}, "stated as no text"),
        ("other", {"layer": {"name": {}}}, "stated as no text"),
        ("other", {"layer": {"flatten_from": 5}}, "its flatten_from is stated as 5"),
        ("other", {"layer": {"flatten_from": [2, 0]}}, r"its flatten_from is stated as \[2, 0\]"),
        ("other", {"layer": {"flatten_from": [2, True]}}, "its flatten_from is stated"),
        ("other", {"layer": {"equation": 5}}, "its equation is stated as 5"),
        ("other", {"layer": {"bias_axes": ["d"]}}, "its bias_axes is stated"),
        ("other", {"layer": {"groups": "4"}}, "its groups is stated"),
        ("other", {"layer": {"groups": 2**70}}, "its groups is stated"),
        ("other", {"layer": {"heads": 2.0}}, "its heads is stated as 2.0"),
        ("other", {"layer": {"shared_axes": 1}}, "its shared_axes is stated as 1"),
    ],
)
def test_a_contradiction_is_refused(name: str, entry: Any, match: str) -> None:
    with pytest.raises(BrokenFile, match=match):
        meanings_of(stated(**{name: entry}))


def test_harmless_statements_are_read() -> None:
    heads = {"axes": "(head dim) out", "layer": {"kind": "mha", "heads": 6}}
    assert meanings_of(stated(**{"fc/kernel": heads}))["fc/kernel"].options == {"heads": 6}
    assert (
        str(meanings_of(stated(**{"fc/kernel": {"axes": "(a b) c"}}))["fc/kernel"].axes)
        == "(a b) c"
    )
    options: list[dict[str, Any]] = [
        {"groups": -1}, {"equation": None}, {"shared_axes": []}, {"new": [{}]},
    ]  # fmt: skip
    for harmless in options:
        assert meanings_of(stated(other={"layer": harmless}))["other"].options == harmless
    assert meanings_of(stated(gone={"axes": "("}, other=7)) == {}
    assert meanings_of(source(tensors="[]")) == {}
    assert meanings_of(source()) == {}


@pytest.mark.parametrize("stored", ["gone", "b", ["other"], 1, None])
def test_a_tie_leads_to_a_stored_tensor(stored: Any) -> None:
    with pytest.raises(BrokenFile, match=r"a: is declared tied to .* which cannot be"):
        ties_of(stated(a={"tied_to": stored}, b={"tied_to": "other"}))
    with pytest.raises(BrokenFile, match="other: is declared tied"):
        ties_of(stated(other={"tied_to": "named"}))


def test_what_is_no_json_is_refused() -> None:
    for text in ("{", "[" * 10**5):
        with pytest.raises(BrokenFile, match=r"weightsurgeon\.tensors: is no JSON"):
            meanings_of(source(tensors=text))
    assert dialect_of(source(source='{"dialect": 7}')) is None
    assert mappings_of(source(mappings='{"a": 1}')) == []
    assert mappings_of(source(mappings='["a", 1]')) == ["a"]


def test_a_newer_version_is_not_used_and_said_so() -> None:
    newer = source(version="2", tensors='{"x": {"tied_to": 1}}', source='{"dialect": "torch"}')
    assert meanings_of(newer) == {}
    assert ties_of(newer) == {}
    assert dialect_of(newer) is None
    assert newer.remarks == ["its layout metadata is of a newer version and is not used"]


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_we_write_with_ties_opens_again(suffix: str, tmp_path: Path) -> None:
    tied = json.dumps({"b.weight": {"tied_to": "a.weight"}})
    metadata = {"weightsurgeon.version": "1", "weightsurgeon.tensors": tied}
    source = tmp_path / "x.safetensors"
    save_file({"a.weight": np.ones((2, 3), "f4")}, source, metadata)
    for name in ("one", "two"):
        ws.port(source, made := tmp_path / f"{name}.{suffix}")
        source = made
    with ws.open(source) as found:
        assert list(found) == ["a.weight", "b.weight"]
        assert found.ties == {"b.weight": "a.weight"}
