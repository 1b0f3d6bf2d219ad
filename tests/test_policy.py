"""Policies: presets, single ids, and what they may not be."""

from __future__ import annotations

from typing import Any

import pytest

from weightsurgeon.mapping.policy import PRESET, STRICT, preset, read


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("strict", dict(STRICT) | {PRESET: "strict"}),
        (
            "transfer",
            {
                PRESET: "transfer",
                "unmatched_source": "list",
                "dead_rule": "list",
                "unmatched_target": "keep",
                "gap": "error",
                "shape": "error",
                "axes": "error",
                "lossy_cast": "list",
                "nonfinite": "list",
            },
        ),
        ("audit", dict.fromkeys(STRICT, "list") | {PRESET: "audit"}),
        (["gap=skip"], {"gap": "skip"}),
        (["lossy-cast=ignore"], {"lossy_cast": "ignore"}),  # ids as they are printed
        ({"gap": "skip"}, {"gap": "skip"}),
        ([], {}),
    ],
)
def test_a_policy_is_read(words: Any, wanted: dict[str, str]) -> None:
    assert read(words) == wanted


def test_single_ids_change_a_preset_wherever_they_stand() -> None:
    assert read(["gap=skip", "transfer"]) == preset("transfer") | {"gap": "skip"}
    assert read({"shape": "skip", "preset": "audit"}) == preset("audit") | {"shape": "skip"}


def test_whatever_a_preset_does_can_be_made_an_error() -> None:
    for id in STRICT:
        assert read(["audit", f"{id}=error"])[id] == "error"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lax", "no policy 'lax'; known: strict, transfer, audit"),
        ("", "no policy ''"),
        (["size=ignore"], "no policy for 'size'; known: unmatched_source"),
        (["axes=skip"], "axes cannot be 'skip'; known: error, list"),
        (["unmatched_target=ignore"], "unmatched_target cannot be 'ignore'"),
        (["gap="], "gap cannot be ''"),
        ({"collision": "list"}, "no policy for 'collision'"),
    ],
)
def test_what_no_policy_may_say(words: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(words)
