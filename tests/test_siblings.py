"""What a torch state dict tells of its layers: statistics, recurrent kernels, in_proj."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from weightsurgeon.conventions.siblings import told_by_siblings
from weightsurgeon.formats.base import Slot
from weightsurgeon.spec import DTYPES, TensorSpec


def told(shapes: Mapping[str, tuple[int, ...]], kind: str = "") -> dict[str, tuple[str, str, Any]]:
    """Name → kind, leaf, options."""
    slots, specs = {}, {}
    for name, shape in shapes.items():
        layer, _, leaf = name.rpartition(".")
        slots[name], specs[name] = Slot(layer, kind, {}, leaf), TensorSpec(DTYPES["float32"], shape)
    found = told_by_siblings("torch", slots, specs).items()
    return {name: (t.kind, t.slot.leaf, dict(t.slot.options)) for name, t in found}


def recurrent(gates: int, units: int = 3) -> dict[str, tuple[int, ...]]:
    return {"r.weight_ih_l0": (gates * units, 5), "r.weight_hh_l0": (gates * units, units)}


@pytest.mark.parametrize(("gates", "kind"), [(4, "lstm"), (3, "gru"), (1, "rnn")])
@pytest.mark.parametrize("units", [1, 3, 4])
def test_gates_tell_a_recurrent_layer(gates: int, kind: str, units: int) -> None:
    found = told(recurrent(gates, units))
    assert {k for k, _, _ in found.values()} == {kind}
    assert len(found) == 2


def test_levels_and_directions_are_read() -> None:
    shapes = {f"weight_{w}_l{n}{r}": (8, 2) for w in ("ih", "hh") for n in (0, 11) for r in
        ("", "_reverse")}  # fmt: skip
    found = told(shapes)
    assert found["weight_hh_l11_reverse"] == (
        "lstm", "weight_hh_l11_reverse", {"level": 11, "direction": "backward"},
    )  # fmt: skip
    assert found["weight_ih_l0"][2] == {"level": 0, "direction": "forward"}
    assert told({"c.weight_hh": (6, 2), "c.bias_ih": (6,)})["c.bias_ih"] == ("gru", "bias_ih", {})


def test_a_projection_is_that_of_an_lstm() -> None:
    shapes = {"r.weight_hh_l0": (12, 2), "r.weight_hr_l0": (2, 3)}
    assert {k for k, _, _ in told(shapes).values()} == {"lstm"}


@pytest.mark.parametrize("shape", [(10, 5), (7, 3), (0, 0), (4,), (4, 4, 4), (2, 4)])
def test_other_recurrent_kernels_tell_nothing(shape: tuple[int, ...]) -> None:
    assert not told({"r.weight_hh_l0": shape, "r.weight_ih_l0": shape})


def test_levels_that_differ_tell_nothing() -> None:
    assert not told({"r.weight_hh_l0": (8, 2), "r.weight_hh_l1": (6, 2)})


@pytest.mark.parametrize("layer", ["", "a.", "a.out_proj."])
def test_an_attention_is_one_layer_with_its_output(layer: str) -> None:
    shapes = {f"{layer}in_proj_weight": (6, 2), f"{layer}in_proj_bias": (6,),
        f"{layer}out_proj.weight": (2, 2), "other.out_proj.weight": (2, 2)}  # fmt: skip
    found = told(shapes)
    assert {name: (k, leaf) for name, (k, leaf, _) in found.items()} == {
        f"{layer}{leaf}": ("mha", leaf)
        for leaf in ("in_proj_weight", "in_proj_bias", "out_proj.weight")
    }
    apart = {f"{layer}{p}_proj_weight": (2, 2) for p in "qkv"}
    assert {tuple(o.items()) for _, _, o in told(apart).values()} == {(("packed", False),)}
    assert not told({f"{layer}q_proj_weight": (2, 2)})


def test_a_stated_kind_is_not_told_again() -> None:
    assert not told(recurrent(4), kind="Mine")
    assert not told_by_siblings("keras", {}, {})
