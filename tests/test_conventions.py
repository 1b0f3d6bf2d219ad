"""The rows: every one parses, names the same axes in all dialects, and gives known answers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from weightsurgeon.conventions import (
    AXES,
    LEAVES,
    ROLE_GROUPS,
    SUMS,
    WORDS,
    axes_of,
    describe,
    group_of,
    leaves,
    parts,
    refusal,
    sizes_of,
)
from weightsurgeon.expr import array
from weightsurgeon.formats.base import Slot
from weightsurgeon.layout import relayout
from weightsurgeon.notation import atoms, expand_spatial, parse, parse_side
from weightsurgeon.spec import DTYPES, TensorSpec

PACKED: dict[str, Any] = {"mha.qkv_kernel@unpacked": {"packed": False}}


@pytest.mark.parametrize("row", AXES)
def test_a_row_names_the_same_axes_in_every_dialect(row: str) -> None:
    kind, _, role = row.partition("@")[0].partition(".")
    assert kind in LEAVES
    assert role in {key.partition("@")[0] for key in LEAVES[kind]}
    named = dict[str, set[str]]()
    for dialect, text in AXES[row].items():
        side = parse_side(text)
        inside = atoms(expand_spatial(side.axes, None, 2))
        named[dialect] = {a.name for a in (*side.over, *inside)} - {
            "S",
            SUMS.get(row.partition("@")[0]),
        }
        tensors = [len(axis.letters) for axis in side.over] or [1]
        if leaf := leaves(kind, dialect, PACKED.get(row)).get(role):
            assert [len(leaf.cells)] == tensors, "a leaf for each tensor of the bar"
    for (one, a), (other, b) in combinations(named.items(), 2):
        assert a == b, (one, other)


def test_every_word_and_role_has_its_place() -> None:
    assert set(WORDS.values()) <= LEAVES.keys()
    for kind, roles in LEAVES.items():
        for role in roles:
            assert group_of(role.partition("@")[0]), f"{kind}.{role} stands in no group"
    every = [role for roles in ROLE_GROUPS.values() for role in roles]
    assert len(every) == len(set(every))
    assert group_of(None) is None
    assert group_of("num_batches_tracked") == "counter"


@pytest.mark.parametrize(
    ("kind", "rank", "options", "keras", "torch"),
    [
        ("linear", 2, {}, "in out", "out in"),
        ("linear", 2, {"flatten_from": (2, 3, 4)}, "(h w c) out", "out (c h w)"),
        ("linear", 2, {"flatten_from": (7,)}, "in out", "out in"),
        ("conv", 3, {}, "kw in out", "out in kw"),
        ("conv", 4, {}, "kh kw in out", "out in kh kw"),
        ("conv", 5, {}, "kd kh kw in out", "out in kd kh kw"),
        ("conv_transpose", 4, {}, "kh kw out in", "in out kh kw"),
        ("depthwise", 4, {}, "kh kw in mult", "(in mult) 1 kh kw"),
    ],
)
def test_how_kernels_lie(kind: str, rank: int, options: Any, keras: str, torch: str) -> None:
    assert str(axes_of(kind, "kernel", "keras", rank, options)) == keras
    assert str(axes_of(kind, "kernel", "tf", rank, options)) == keras
    there = axes_of(kind, "kernel", "torch", rank, options)
    assert str(there) == torch
    assert axes_of(kind, "kernel", "torch", None, options, like=parse(keras)) == there


def test_where_no_row_says_nothing_is_known() -> None:
    assert axes_of("linear_t", "kernel", "onnx", 2) is None
    assert axes_of("linear", "kernel", "torch", 3) is None
    assert axes_of("linear", "other", "torch", 2) is None
    assert axes_of("prelu", "alpha", "keras", None) is None


def test_depthwise_known_answer() -> None:
    x = array(np.arange(6).reshape(1, 1, 2, 3))
    have, want = (axes_of("depthwise", "kernel", d, 4) for d in ("keras", "torch"))
    assert have is not None
    assert want is not None
    assert relayout(x, have, want).numpy().reshape(-1).tolist() == [0, 1, 2, 3, 4, 5]


def test_flatten_known_answer() -> None:
    options = {"flatten_from": (1, 2, 2)}
    have, want = (axes_of("linear", "kernel", d, 2, options) for d in ("keras", "torch"))
    assert have is not None
    assert want is not None
    x = array(np.arange(4).reshape(4, 1))
    assert relayout(x, have, want, sizes_of("linear", options)).numpy().tolist() == [[0, 2, 1, 3]]


def test_sizes_that_options_tell() -> None:
    assert sizes_of("linear", {"flatten_from": [5, 6, 7]}) == {"h": 5, "w": 6, "c": 7}
    assert sizes_of("linear", {"flatten_from": (5,)}) == {}
    assert sizes_of("depthwise", {"groups": 8}) == {"in": 8}
    assert sizes_of("conv", {"groups": 8}) == {}


def test_leaves_and_parts() -> None:
    assert leaves("batchnorm", "torch")["mean"].names == ("running_mean",)
    assert leaves("batchnorm", "torch")["gamma"].names[0] == "weight"
    assert leaves("separable", "torch")["pointwise_kernel"].part == 1
    assert parts("separable", "torch") == 2
    assert parts("separable", "keras") == parts("linear", "torch") == 1


def test_what_a_dialect_cannot_hold() -> None:
    why = refusal("layernorm", {"rms_scaling": True}, "torch")
    assert why is not None
    assert why.startswith("rms_scaling=True: ")
    assert refusal("layernorm", {"rms_scaling": False}, "torch") is None
    assert refusal("layernorm", {"rms_scaling": True}, "keras") is None


def spec(*shape: int) -> TensorSpec:
    return TensorSpec(DTYPES["float32"], shape)


def test_what_a_file_says_becomes_a_meaning() -> None:
    slots = {
        "c/kernel": Slot("c", "Conv2D", {"groups": 1}, "kernel"),
        "c/odd": Slot("c", "Conv2D", {}, "odd"),
        "d/kernel": Slot("d", "Dense", {}, "kernel"),
        "m/x": Slot("m", "Mystery", {}, "x"),
        "m/y": Slot("m", "Mystery", {"units": 3}, "y"),
    }
    shapes = {"c/kernel": spec(3, 3, 1, 2), "c/odd": spec(1), "d/kernel": spec(2), "m/x": spec(2)}
    shapes["m/y"] = spec(2)
    found = describe("keras", slots, shapes)
    assert str(found["c/kernel"].axes) == "kh kw in out"
    assert (found["c/kernel"].role, found["c/kernel"].ground) == ("kernel", "file")
    assert (found["c/odd"].role, found["c/odd"].kind, found["c/odd"].axes) == (None, "conv", None)
    assert (found["d/kernel"].role, found["d/kernel"].axes) == (
        "kernel",
        None,
    )  # no Dense has rank 1
    assert "m/x" not in found
    assert (found["m/y"].kind, found["m/y"].options) == (None, {"units": 3})
    assert describe(None, slots, shapes) == {}


def test_siblings_tell_a_batch_norm() -> None:
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    slots = {f"bn.{n}": Slot("bn", "", {}, n) for n in names}
    slots["fc.weight"] = Slot("fc", "", {}, "weight")
    found = describe("torch", slots, dict.fromkeys(slots, spec(4)))
    assert [found[f"bn.{n}"].role for n in names] == [
        "gamma", "beta", "mean", "variance", "num_batches_tracked",
    ]  # fmt: skip
    assert {found[f"bn.{n}"].ground for n in names} == {"inferred"}
    assert "fc.weight" not in found


@pytest.mark.parametrize("equation", ["ab,zc->ac", "ab,bbc->ac", ",,->", "ab,b-c->ac"])
def test_an_equation_that_is_none_gives_no_kernel_axes(equation: str) -> None:
    from weightsurgeon.errors import SpecError

    with pytest.raises(SpecError, match="kernel"):
        axes_of("linear", "kernel", "keras", 2, {"equation": equation})
