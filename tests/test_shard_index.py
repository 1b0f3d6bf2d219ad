"""The index of a set of shards: the greedy rule, names, and what is no index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsurgeon.errors import BrokenFile
from weightsurgeon.formats.base import Limits
from weightsurgeon.formats.shard_index import (
    decoded,
    divided,
    encoded,
    is_shard_of,
    listed,
    named,
    shard_name,
    stem_of,
)
from weightsurgeon.spec import DTYPES, TensorSpec


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 20))
def test_shards_are_full_and_in_order(sizes: list[int], limit: int) -> None:
    """Answer 60: an oversize tensor stands alone, a sum equal to the limit stays."""
    specs = {f"t{i}": TensorSpec(DTYPES["uint8"], (n,)) for i, n in enumerate(sizes)}
    shards = divided(specs, limit)
    assert [name for shard in shards for name in shard] == list(specs)
    totals = [sum(specs[n].nbytes for n in shard) for shard in shards]
    for i, shard in enumerate(shards):
        assert totals[i] <= limit or sum(specs[n].nbytes > 0 for n in shard) == 1
        if i:  # the first of a shard would have been too much for the one before
            assert totals[i - 1] + specs[shard[0]].nbytes > limit


def test_names() -> None:
    name = shard_name("model", 2, 11)
    assert name == "model-00002-of-00011.safetensors"
    tagged = shard_name("model", 2, 11, "0123abcd")
    assert tagged == "model-00002-of-00011-0123abcd.safetensors"
    assert is_shard_of("model", name)
    assert is_shard_of("model", tagged)
    for other in (
        "model.safetensors",
        "other-00001-of-00002.safetensors",
        f"../{name}",
        f"x{name}",
    ):
        assert not is_shard_of("model", other)
    assert stem_of("a/model.safetensors.index.json") == stem_of("a/model.safetensors") == "a/model"
    assert stem_of("a/model") == "a/model"


def test_an_index_comes_back_and_is_sorted() -> None:
    data = encoded({"b": "f2", "a": "f1"}, 7, {"z": "1", "format": "pt"})
    assert decoded(data, "i", Limits()) == (
        {"a": "f1", "b": "f2"},
        {"total_size": 7, "z": "1", "format": "pt"},
    )
    assert list(json.loads(data)["weight_map"]) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "{",
        '{"weight_map": []}',
        '{"weight_map": null}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "x", "a": "y"}}',
        '{"weight_map": {}, "metadata": []}',
    ],
)
def test_what_is_no_index(text: str) -> None:
    with pytest.raises(BrokenFile):
        decoded(text.encode(), "i", Limits())
    assert named(text.encode(), "model") == set()


def test_only_names_of_shards_count() -> None:
    files = ["model-00001-of-00002.safetensors", "../model-00002-of-00002.safetensors", "notes.txt"]
    data = encoded({str(i): file for i, file in enumerate(files)}, 0, {})
    assert named(data, "model") == {files[0]}
    assert named(data, "other") == set()


def test_a_list_is_short(tmp_path: Path) -> None:
    assert listed("ab") == "a, b"
    assert listed("abcdef") == "a, b, c and 3 more"
