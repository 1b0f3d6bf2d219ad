"""Roles that one side alone has: filled, dropped if neutral, kept; counters made and dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import FIRST, Bench, count, mapping

Array = np.ndarray[Any, Any]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


W = count(2, 3)
F = count(3)


def rule(
    kind: str, roles: str, source: str = "keras", target: str = "torch", more: str = ""
) -> Any:
    return mapping(f"- {{layer: a, to: b, kind: {kind}, roles: {roles}{more}}}", source, target)


@pytest.mark.parametrize(
    ("kind", "sides", "tensors", "role", "name", "shape"),
    [
        ("linear", ("keras", "torch"), {"a/kernel": W}, "bias", "b.bias", (3,)),
        ("linear", ("torch", "keras"), {"a.weight": W}, "bias", "b/bias", (2,)),
        ("conv", ("torch", "torch"), {"a.weight": count(5, 2, 3, 3)}, "bias", "b.bias", (5,)),
        (
            "conv_transpose",
            ("torch", "keras"),
            {"a.weight": count(2, 5, 3)},
            "bias",
            "b/bias",
            (5,),
        ),
        ("depthwise", ("keras", "torch"), {"a/kernel": count(3, 3, 2, 4)}, "bias", "b.bias", (8,)),
        ("layernorm", ("keras", "torch"), {"a/gamma": F}, "beta", "b.bias", (3,)),
    ],
)
def test_a_role_is_filled_with_its_neutral_value(
    bench: Bench,
    kind: str,
    sides: tuple[str, str],
    tensors: dict[str, Array],
    role: str,
    name: str,
    shape: tuple[int, ...],
) -> None:
    out = bench.port(tensors, rule(kind, f"{{{role}: fill}}", *sides))
    assert out[name].tolist() == np.zeros(shape).tolist()
    assert bench.actions()[name] == "made"
    assert bench.lines("made") == [f"{role}: made as 0: {name}"]


def test_several_roles_are_filled_from_any_sister(bench: Bench) -> None:
    tensors = {"a/moving_mean": F, "a/moving_variance": F}
    out = bench.port(tensors, rule("batchnorm", "{gamma: fill, beta: fill}"))
    assert out["b.weight"].tolist() == [1, 1, 1]
    assert out["b.bias"].tolist() == [0, 0, 0]
    assert out["b.num_batches_tracked"] == 0


def test_an_einsum_bias_has_the_shape_of_its_outputs(bench: Bench) -> None:
    more = ', options: {equation: "abc,cde->abde", bias_axes: de}, sizes: {out0: 2, out1: 3}'
    out = bench.port(
        {"a.weight": count(6, 4)}, rule("linear", "{bias: fill}", "torch", "keras", more)
    )
    assert out["b/kernel"].shape == (4, 2, 3)
    assert out["b/bias"].shape == (2, 3)


def test_a_role_that_is_there_is_not_filled(bench: Bench) -> None:
    out = bench.port({"a/kernel": W, "a/bias": F}, rule("linear", "{bias: fill}"))
    assert np.array_equal(out["b.bias"], F)


def test_filled_roles_obey_the_base(bench: Bench) -> None:
    base = {"b.weight": W.T, "b.bias": np.zeros(3, "float16")}
    out = bench.port({"a/kernel": W}, rule("linear", "{bias: fill}"), base)
    assert out["b.bias"].dtype == np.float16


def test_a_dropped_role_must_be_neutral(bench: Bench) -> None:
    rules = rule("linear", "{bias: drop}")
    out = bench.port({"a/kernel": W, "a/bias": 0 * F}, rules)
    assert sorted(out) == ["b.weight"]
    assert bench.lines("dropped") == [f"bias: by m.yaml:{FIRST}: a/bias"]
    assert bench.refuse({"a/kernel": W, "a/bias": F}, rules) == [
        f"m.yaml:{FIRST}: unequal: a/bias is dropped, but is not 0 everywhere; first at [1]"
    ]
    rules = rule("layernorm", "{gamma: drop}")
    out = bench.port({"a/gamma": 0 * F + 1, "a/beta": F}, rules)
    assert sorted(out) == ["b.bias"]
    (line,) = bench.refuse({"a/gamma": F, "a/beta": F}, rules)
    assert "is not 1 everywhere; first at [0]" in line


def test_a_role_is_kept_from_the_base(bench: Bench) -> None:
    base = {"b.weight": W.T, "b.bias": F + 5}
    out = bench.port({"a/kernel": W}, rule("linear", "{bias: keep}"), base, into=True)
    assert np.array_equal(out["b.bias"], F + 5)
    assert np.array_equal(out["b.weight"], W.T)
    assert bench.actions()["b.bias"] == "kept"
    strict = rule("linear", "{bias: keep}", more="}\npolicy: {preset: strict")  # kept all the same
    out = bench.port({"a/kernel": W}, strict, base, into=True)
    assert np.array_equal(out["b.bias"], F + 5)


@pytest.mark.parametrize(
    ("base", "into", "why"),
    [
        (None, False, "give --into"),
        ({"b.weight": W.T, "b.bias": F}, False, "give --into"),
        ({"b.weight": W.T}, True, "the base has no such tensor"),
    ],
)
def test_what_cannot_be_kept(
    bench: Bench, base: dict[str, Array] | None, into: bool, why: str
) -> None:
    how: dict[str, Any] = {"into": True} if into else {}
    lines = bench.refuse({"a/kernel": W}, rule("linear", "{bias: keep}"), base, **how)
    assert f"m.yaml:{FIRST}: role: b.bias: the bias cannot be kept: {why}" in lines


BN = {
    "keras": {"a/gamma": F, "a/beta": F, "a/moving_mean": F, "a/moving_variance": F},
    "torch": {"a.weight": F, "a.bias": F, "a.running_mean": F, "a.running_var": F},
}


def test_a_counter_is_made_for_torch_unless_the_base_lacks_it(bench: Bench) -> None:
    rules = mapping("- {layer: a, to: a, kind: batchnorm}", "keras", "torch")
    out = bench.port(BN["keras"], rules)
    assert out["a.num_batches_tracked"].dtype == np.int64
    assert out["a.num_batches_tracked"].shape == ()
    assert bench.lines("made") == ["num_batches_tracked: made as 0: a.num_batches_tracked"]
    assert "a.num_batches_tracked" not in bench.port(BN["keras"], rules, BN["torch"])
    counted = BN["torch"] | {"a.num_batches_tracked": np.array(9, "int32")}
    out = bench.port(BN["keras"], rules, counted)
    assert out["a.num_batches_tracked"].dtype == np.int32
    assert out["a.num_batches_tracked"] == 0


def test_a_counter_is_dropped_on_the_way_back(bench: Bench) -> None:
    rules = mapping("- {layer: a, to: a, kind: batchnorm}", "torch", "keras")
    counted = BN["torch"] | {"a.num_batches_tracked": np.array(9)}
    assert sorted(bench.port(counted, rules)) == sorted(BN["keras"])
    (line,) = bench.lines("dropped")
    assert line == "num_batches_tracked: has no place in the target: a.num_batches_tracked"


def test_a_counter_stays_within_torch(bench: Bench) -> None:
    rules = mapping("- {layer: a, to: b, kind: batchnorm}")
    counted = BN["torch"] | {"a.num_batches_tracked": np.array(9)}
    assert bench.port(counted, rules)["b.num_batches_tracked"] == 9


def test_a_filled_bias_of_joined_outputs(bench: Bench) -> None:
    more = ', options: {equation: "abc,cde->abde", bias_axes: de}'
    rules = rule("linear", "{bias: fill}", "keras", "torch", more)
    out = bench.port({"a/kernel": count(4, 2, 3)}, rules)
    assert out["b.bias"].shape == (6,)


@pytest.mark.parametrize(
    ("layers", "there"),
    [
        ("[dw, pw], to: s", "dw pw"),
        ('["{n}.dw{i:int}", "{n}.pw{i:int}"], to: "{n}/s{i}"', "x.dw3 x.pw3"),
        ('["{l@up}.dw", "{l@up}.pw"], to: "{l@up}"', "one.dw one.pw"),
    ],
)
def test_half_a_separable_layer_is_refused(bench: Bench, layers: str, there: str) -> None:
    first, second = there.split()
    kernels = {f"{first}.weight": count(4, 1, 3, 3), f"{second}.weight": count(5, 4, 1, 1)}
    more = "tables: {up: {one: eins}}"
    rules = mapping(
        f"- {{layer: {layers}, kind: separable, options: {{groups: 4}}}}", "torch", "keras", more
    )
    assert len(bench.port(kernels, rules)) == 2
    for lost, left in ((first, second), (second, first)):
        role = "depthwise_kernel" if lost == first else "pointwise_kernel"
        assert bench.refuse({f"{left}.weight": kernels[f"{left}.weight"]}, rules) == [
            f"m.yaml:{FIRST}: role: {lost} has no weight: a separable without its {role}"
        ]
