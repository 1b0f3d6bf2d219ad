"""Right weights and other outputs: what a port says of options that differ, or are not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from porting import count, mapping, save

from weightsurgeon.api import open as open_
from weightsurgeon.api import port
from weightsurgeon.conventions.traps import differences, of_keras, unknown
from weightsurgeon.formats.base import Checkpoint, Meaning

WAYS = ("keras", "torch")


def test_an_epsilon_of_both_sides_is_compared() -> None:
    here, there = {"epsilon": 0.001}, {"epsilon": 1e-5}
    assert list(differences("layernorm", here, there)) == ["epsilon is 0.001 here and 1e-05 there"]
    assert not list(differences("layernorm", here, here))
    assert not list(differences("conv", here, there))
    assert unknown("layernorm", here, there, WAYS) is None


def test_an_epsilon_that_is_not_known_is_said() -> None:
    told = {"epsilon": 0.001}
    assert unknown("batchnorm", told, {}, WAYS) == (
        "epsilon is 0.001 here and not known on the other side (torch's default is 1e-05)"
    )
    assert unknown("batchnorm", {}, told, WAYS) == (
        "epsilon is 0.001 there and not known on the other side (keras's default is 0.001)"
    )
    assert unknown("batchnorm", {}, {}, WAYS) == (
        "epsilon is not known on either side (keras's default is 0.001, torch's default is 1e-05)"
    )
    assert unknown("linear", {}, {}, WAYS) is None


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("conv", {"padding": "same", "strides": [2, 2]}, "ZeroPad2d"),
        ("conv", {"padding": "same", "strides": [1, 1]}, None),
        ("conv", {"padding": "valid", "strides": 2}, None),
        ("conv_transpose", {"padding": "same", "strides": 2}, "output_padding=1"),
        ("lstm", {"go_backwards": True}, "reverse its input"),
        ("lstm", {"go_backwards": True, "direction": "backward"}, None),
        ("lstm", {"merge_mode": "sum", "direction": "forward"}, "merge_mode=sum"),
        ("lstm", {"merge_mode": "concat"}, None),
        ("mha", {}, "(query, value, key)"),
    ],
)
def test_what_keras_does_otherwise(kind: str, options: dict[str, Any], words: str | None) -> None:
    found = list(of_keras(kind, options, "torch"))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]
    assert not list(of_keras(kind, options, "onnx"))


def test_a_port_notes_what_it_cannot_change(tmp_path: Path) -> None:
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    tensors = {f"bn_{i}/{leaf}": count(3) for i in range(3) for leaf in leaves}
    source = save(tmp_path / "in.safetensors", tensors)
    rule = mapping('- {layer: "{n}", to: "{n}", kind: batchnorm}', "keras", "torch")
    with open_(source, "keras") as found:
        meanings = {n: Meaning(layer=n.partition("/")[0], options={"epsilon": 0.01}) for n in found}
        known = Checkpoint(found.source, meanings, "keras", "file")
        report = port(known, tmp_path / "out.safetensors", rule)
    assert report.notes == (
        "bn_{0..2}: epsilon is 0.01 here and not known on the other side "
        "(torch's default is 1e-05)",
    )
