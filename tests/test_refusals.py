"""What no layer of a dialect can hold: by option, by role, each with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from porting import Bench, count, mapping

from weightsurgeon.conventions.refusals import REFUSED, UNHELD, refusal, unheld


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("layernorm", {"rms_scaling": True}, "rms_scaling=True: it divides by the deviation"),
        ("gru", {"reset_after": False}, "reset_after=False: it resets the state before"),
        ("lstm", {"activation": "relu"}, "activation=relu: "),
        ("lstm", {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation=hard_sigmoid: "),
        ("rnn", {"activation": "sigmoid"}, "activation=sigmoid: "),
        (
            "lstm",
            {"direction": "forward", "go_backwards": True},
            "go_backwards=True of the forw",
        ),
        ("gru", {"direction": "backward", "go_backwards": False}, "go_backwards=False of the back"),
        ("mha", {"use_gate": True}, "use_gate=True: it multiplies its output by a gate"),
        ("linear", {"quantized": ["kernel_scale"]}, "it is quantised, and a linear of torch"),
    ],
)
def test_an_option_is_refused_by_the_dialect_that_lacks_it(
    kind: str, options: dict[str, Any], why: str
) -> None:
    found = refusal(kind, options, "torch")
    assert found is not None
    assert found.startswith(why)
    assert refusal(kind, options, "keras") is refusal(kind, options, "tf") is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("layernorm", {"rms_scaling": False}),
        ("gru", {"reset_after": True, "activation": "tanh"}),
        ("gru", {}),
        ("lstm", {"direction": "forward", "go_backwards": False}),
        ("lstm", {"direction": "backward", "go_backwards": True}),
        ("lstm", {"go_backwards": True}),  # that is a note: reverse the input
        ("rnn", {"activation": "relu"}),
        ("lstm", {"recurrent_activation": "sigmoid", "activation": None}),
    ],
)
def test_what_torch_has_is_not_refused(kind: str, options: dict[str, Any]) -> None:
    assert refusal(kind, options, "torch") is None


def test_a_layer_that_is_refused_is_one_line(tmp_path: Path) -> None:
    rule = "- {layer: a, to: b, kind: gru, options: {reset_after: false}}"
    parts = {"kernel": count(2, 9), "recurrent_kernel": count(3, 9), "bias": count(9)}
    tensors = {f"a/{leaf}": x for leaf, x in parts.items()}
    (line,) = Bench(tmp_path).refuse(tensors, mapping(rule, "keras", "torch"))
    assert line.startswith("m.yaml:5: kind: a → b: reset_after=False: it resets the state")


def test_every_row_gives_a_reason() -> None:
    assert all(len(row.why) > 20 for row in REFUSED)
    for (kind, role, dialect), why in UNHELD.items():
        assert unheld(kind, role, dialect) == why
    assert unheld("lstm", "projection", "tf") == unheld("lstm", "projection", "keras")
    assert unheld("batchnorm", "mean", "keras") is None


@pytest.mark.parametrize("roles", ["", ", roles: {mean: drop, variance: drop}"])
def test_an_instance_norm_with_statistics_is_another_function(tmp_path: Path, roles: str) -> None:
    tensors = {"n.weight": count(2), "n.running_mean": count(2) * 0, "n.running_var": count(2)}
    rule = f"- {{layer: n, to: n, kind: instancenorm{roles}}}"
    lines = Bench(tmp_path).refuse(tensors, mapping(rule, "torch", "keras"))
    assert len(lines) == 2
    assert lines[0].startswith(
        "m.yaml:5: kind: n.running_mean: a instancenorm of keras cannot hold"
    )


def test_what_only_training_uses_is_dropped_and_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    names = "gamma beta moving_mean moving_variance moving_stddev renorm_mean renorm_stddev"
    tensors = {f"n/{name}": count(2) for name in names.split()}
    out = bench.port(tensors, mapping("- {layer: n, to: n, kind: batchnorm}", "keras", "torch"))
    assert sorted(out) == [
        "n.bias", "n.num_batches_tracked", "n.running_mean", "n.running_var", "n.weight",
    ]  # fmt: skip
    assert bench.lines("dropped") == [
        f"{role}: has no place in the target: n/{leaf}"
        for role, leaf in (
            ("stddev", "moving_stddev"),
            ("renorm_mean", "renorm_mean"),
            ("renorm_stddev", "renorm_stddev"),
        )
    ]
