"""Right weights and other outputs: what a port says of options that differ, or are not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from porting import count, mapping, save

from weightsurgeon.api import open as open_
from weightsurgeon.api import port
from weightsurgeon.conventions.traps import differences, of_keras, unknown, unpadded
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


@pytest.mark.parametrize(
    ("kind", "here", "there", "text"),
    [
        ("conv", {"strides": [2, 2]}, {"strides": 1}, "strides is [2, 2] here and 1 there"),
        ("conv", {"strides": [2, 2]}, {"strides": 2}, None),
        ("conv", {"padding": "valid"}, {"padding": [1, 1]}, "padding is valid here and [1, 1]"),
        ("conv", {"padding": "valid"}, {"padding": [0, 0]}, None),
        ("conv", {"padding": "same"}, {"padding": [1, 1]}, None),  # the kernel would have to tell
        ("conv", {"dilation_rate": [1, 1]}, {"dilation_rate": [2, 2]}, "dilation_rate is [1, 1]"),
        ("rnn", {"activation": "tanh"}, {"activation": "relu"}, "activation is tanh here and relu"),
        ("linear", {"activation": "linear"}, {"activation": None}, None),
        ("batchnorm", {"momentum": 0.99}, {"momentum": 0.9}, "it counts in training alone"),
        ("batchnorm", {"momentum": 0.9}, {"momentum": 0.9}, None),
        ("conv", {"momentum": 0.99}, {"momentum": 0.9}, None),
    ],
)
def test_options_of_both_sides_are_compared(
    kind: str, here: dict[str, Any], there: dict[str, Any], text: str | None
) -> None:
    found = list(differences(kind, here, there))
    assert len(found) == (text is not None)
    assert text is None or text in found[0]
    assert len(list(differences(kind, there, here))) == len(found)


def test_a_momentum_that_one_side_tells_is_said() -> None:
    here = {"epsilon": 0.001, "momentum": 0.99}
    assert unknown("batchnorm", here, {}, WAYS) == (
        "epsilon is 0.001 here and not known on the other side (torch's default is 1e-05); "
        "momentum is 0.99 here and not known on the other side (torch's default is 0.9, there 0.1)"
    )
    assert unknown("batchnorm", here, {"epsilon": 0.001}, WAYS) == (
        "momentum is 0.99 here and not known on the other side (torch's default is 0.9, there 0.1)"
    )


@pytest.mark.parametrize(
    ("activation", "other", "words"),
    [
        ("leaky_relu", "torch", "0.01 in torch"),
        ("hard_sigmoid", "torch", "0.2·x + 0.5 in tf_keras"),
        ("gelu", "flax", "by tanh in Flax"),
        ("gelu", "torch", None),
        ("relu", "torch", None),
    ],
)
def test_activations_that_are_not_everywhere_the_same(
    activation: str, other: str, words: str | None
) -> None:
    found = list(of_keras("linear", {"activation": activation}, other))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_same_and_no_padding_are_told_apart_where_outputs_differ() -> None:
    same, none = {"padding": "same"}, {"padding": [0, 0]}
    for here, there in ((same, none), (none, same)):
        assert "is it padded before?" in (unpadded("conv", here, there) or "")
    assert unpadded("conv", same, same) is None
    assert unpadded("linear", same, none) is None


def test_a_live_module_tells_what_it_computes_with() -> None:
    torch = pytest.importorskip("torch")
    norm = open_(torch.nn.RMSNorm(3)).meaning("weight")
    assert norm.options["epsilon"] == torch.finfo(torch.float32).eps
    assert list(differences("rmsnorm", {"epsilon": 1e-6}, norm.options))
    assert open_(torch.nn.RMSNorm(3, eps=0.5)).meaning("weight").options["epsilon"] == 0.5
    kept = open_(torch.nn.BatchNorm1d(3, momentum=0.1)).meaning("weight").options["momentum"]
    assert kept == 0.9
    counted = open_(torch.nn.BatchNorm1d(3, momentum=None)).meaning("weight").options
    assert "momentum" not in counted
