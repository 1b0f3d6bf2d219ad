"""Layers folded into others: the same function with fewer weights, judged by itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import FIRST, Bench, count, document, mapping, refusals
from strategies import same

from weightsurgeon.expr import array
from weightsurgeon.ops.folding import minus, norm_factor, recentred, scaled
from weightsurgeon.ops.positive import NONPOSITIVE, Nonpositive

Array = np.ndarray[Any, Any]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0.5, 2, shape).astype("float32")


def norm(layer: str, n: int, seed: int = 5) -> dict[str, Array]:
    """A batchnorm of Keras."""
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{layer}/{leaf}": drawn(n, seed=seed + i) for i, leaf in enumerate(leaves)}


# -- eps -------------------------------------------------------------------------------------

EPS = "eps: {source: 1.001e-5, target: 1e-5}"


def test_eps_goes_into_the_variance(bench: Bench) -> None:
    x = norm("bn", 7)
    out = bench.port(x, mapping(f"- {{layer: bn, to: n, kind: batchnorm, {EPS}}}", "keras"))
    added = Fraction("1.001e-5") - Fraction("1e-5")
    exact = [float(Fraction(float(v)) + added) for v in x["bn/moving_variance"]]
    assert same(out["n.running_var"], np.array(exact).astype("f4"))
    assert same(out["n.running_mean"], x["bn/moving_mean"])
    assert bench.lines("eps") == ["variance + 1e-08, as eps differs: n.running_var"]
    assert bench.report is not None
    classes = {row.name: row.class_ for row in bench.report.rows}
    assert classes["n.running_var"] == "rounding"
    assert classes["n.weight"] == "exact"


def test_a_variance_that_is_not_positive_is_refused(bench: Bench) -> None:
    x = norm("bn", 4) | {"bn/moving_variance": np.array([1, 1e-6, 1, 0], "f4")}
    rules = "- {layer: bn, to: n, kind: batchnorm, eps: {source: 1e-5, target: 1e-3}}"
    (line,) = bench.refuse(x, mapping(rules, "keras"))
    assert line.startswith("m.yaml:5: fold: n.running_var: 2 variances are not positive")
    assert "first at flat index 1" in line


# -- a bias into a mean ----------------------------------------------------------------------

INTO_MEAN = """\
- {layer: "c{i:int}", to: "conv{i}", kind: conv, roles: {bias: {fold_into: "bn{i-1}"}}}
- {layer: "b{i:int}", to: "bn{i-1}", kind: batchnorm}"""


def test_a_bias_goes_into_the_mean_behind_it(bench: Bench) -> None:
    x = {"c1/kernel": drawn(1, 1, 2, 3), "c1/bias": np.array([1, 2, 3], "f4"), **norm("b1", 3)}
    x["b1/moving_mean"] = np.array([3, 3, 3], "f4")
    out = bench.port(x, mapping(INTO_MEAN, "keras"))
    assert out["bn0.running_mean"].tolist() == [2, 1, 0]
    assert "conv1.bias" not in out
    assert bench.lines("folded") == ["bias: into the mean of a batchnorm: bn0.running_mean"]
    assert bench.report is not None
    (row,) = (row for row in bench.report.rows if row.name == "bn0.running_mean")
    assert (row.class_, row.action) == ("function", "computed")
    assert row.sources == ("b1/moving_mean", "c1/bias")


def test_a_convolution_without_a_bias_has_nothing_to_fold(bench: Bench) -> None:
    x = {"c1/kernel": drawn(1, 1, 2, 3), **norm("b1", 3)}
    out = bench.port(x, mapping(INTO_MEAN, "keras"))
    assert same(out["bn0.running_mean"], x["b1/moving_mean"])


@pytest.mark.parametrize(
    ("into", "words"),
    [
        ("nope", "fold: a/bias: no rule makes the mean of a batchnorm nope"),
        ("n", "minus: float32 [feature=3] and float32 (2,) do not meet"),
    ],
)
def test_a_bias_that_cannot_be_folded_is_told(bench: Bench, into: str, words: str) -> None:
    x = {"a/kernel": drawn(4, 2), "a/bias": drawn(2), **norm("b", 3)}
    rules = (
        f"- {{layer: a, to: l, kind: linear, roles: {{bias: {{fold_into: {into}}}}}}}\n"
        "- {layer: b, to: n, kind: batchnorm}"
    )
    lines = bench.refuse(x, mapping(rules, "keras"))
    assert any(words in line for line in lines), lines


def test_a_mean_takes_one_bias(bench: Bench) -> None:
    x = {"a1/bias": drawn(3), "a2/bias": drawn(3), **norm("b", 3)}
    x |= {"a1/kernel": drawn(4, 3), "a2/kernel": drawn(4, 3)}
    rules = (
        '- {layer: "a{i:int}", to: "l{i}", kind: linear, roles: {bias: {fold_into: n}}}\n'
        "- {layer: b, to: n, kind: batchnorm}"
    )
    (line,) = bench.refuse(x, mapping(rules, "keras"))
    assert "fold: a2/bias: the mean of n has taken a bias already" in line


# -- a batchnorm into the layer before it ----------------------------------------------------

FOLD = "- {layer: n, fold_into: l, kind: batchnorm, eps: {source: 1e-3}}"


def normed(x: dict[str, Array], y: Array) -> Array:
    gamma, beta, mean, variance = (x[f"n/{leaf}"].astype("f8") for leaf in LEAVES)
    return np.asarray(gamma * (y - mean) / np.sqrt(variance + 1e-3) + beta)


LEAVES = ("gamma", "beta", "moving_mean", "moving_variance")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("target", ["torch", "keras"])
def test_a_batchnorm_goes_into_the_linear_before_it(bench: Bench, bias: bool, target: str) -> None:
    x = {"a/kernel": drawn(4, 3), **norm("n", 3)} | ({"a/bias": drawn(3)} if bias else {})
    rules = mapping(f"- {{layer: a, to: l, kind: linear}}\n{FOLD}", "keras", target)
    out = bench.port(x, rules)
    kernel, found = out.get("l/kernel"), out.get("l/bias", out.get("l.bias"))
    kernel = out["l.weight"].T if kernel is None else kernel
    assert found is not None
    assert len(out) == 2
    inputs = drawn(9, 4, seed=9).astype("f8")
    y = inputs @ x["a/kernel"] + (x["a/bias"] if bias else 0)
    assert np.allclose(inputs @ kernel + found, normed(x, y), rtol=0, atol=2e-6)
    assert bench.report is not None
    assert {row.class_ for row in bench.report.rows} == {"function"}


@pytest.mark.parametrize(
    ("kind", "kernel", "into", "factors"),
    [
        ("conv", (2, 2, 4, 3), "torch", lambda s: s[:, None, None, None]),
        ("conv", (2, 2, 4, 3), "keras", lambda s: s),
        ("conv_transpose", (2, 2, 3, 4), "torch", lambda s: s[None, :, None, None]),
        ("depthwise", (2, 2, 3, 1), "keras", lambda s: s.reshape(3, 1)),
        ("depthwise", (2, 2, 1, 3), "keras", lambda s: s.reshape(1, 3)),
        ("depthwise", (2, 2, 3, 1), "torch", lambda s: s[:, None, None, None]),
    ],
)
def test_the_factors_lie_along_the_output(
    bench: Bench, kind: str, kernel: tuple[int, ...], into: str, factors: Any
) -> None:
    x = {"a/kernel": drawn(*kernel), **norm("n", 3)}
    rule = f"- {{layer: a, to: l, kind: {kind}}}"
    plain = bench.port(x, mapping(f"{rule}\n- {{drop: 'n/*'}}", "keras", into))
    out = bench.port(x, mapping(f"{rule}\n{FOLD}", "keras", into))
    (name,) = plain
    s = x["n/gamma"].astype("f8") / np.sqrt(x["n/moving_variance"].astype("f8") + 1e-3)
    assert same(out[name], (plain[name] * factors(s)).astype("f4"))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("- {layer: a, to: x, kind: linear}\n" + FOLD, "no rule makes the kernel of a layer l"),
        (
            "- {layer: a, to: l, kind: linear}\n- {layer: n, fold_into: l, kind: batchnorm}",
            "its eps is not known; say eps: {source: 1e-3}",
        ),
    ],
)
def test_what_cannot_be_folded_is_told(bench: Bench, rules: str, words: str) -> None:
    x = {"a/kernel": drawn(4, 3), **norm("n", 3)}
    (line,) = bench.refuse(x, mapping(rules, "keras"))
    assert "fold: n/" in line
    assert words in line


def test_a_batchnorm_without_statistics_is_told(bench: Bench) -> None:
    x = {"a/kernel": drawn(4, 3), "n/gamma": drawn(3), "n/moving_mean": drawn(3)}
    lines = bench.refuse(x, mapping(f"- {{layer: a, to: l, kind: linear}}\n{FOLD}", "keras"))
    assert any("role: n/gamma: there is no variance of it" in line for line in lines)


def test_a_base_without_the_bias_refuses(bench: Bench) -> None:
    x = {"a/kernel": drawn(4, 3), **norm("n", 3)}
    rules = mapping(f"- {{layer: a, to: l, kind: linear}}\n{FOLD}", "keras")
    (line,) = bench.refuse(x, rules, {"l.weight": drawn(3, 4)})
    assert "the target has no l.bias to fold it into" in line


def test_a_variance_that_has_no_root_is_refused(bench: Bench) -> None:
    x = {"a/kernel": drawn(4, 3), **norm("n", 3)} | {"n/moving_variance": -drawn(3)}
    (line,) = bench.refuse(x, mapping(f"- {{layer: a, to: l, kind: linear}}\n{FOLD}", "keras"))
    assert "3 variances are not positive" in line


# -- the rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("layer: a, kind: batchnorm", "`to` or `fold_into`, one of them"),
        ("layer: a, to: b, fold_into: c, kind: batchnorm", "`to` or `fold_into`, one of them"),
        ("layer: a, fold_into: c, kind: layernorm", "a batchnorm is folded, as a whole"),
        ("layer: a, fold_into: c, kind: batchnorm, roles: {beta: fill}", "a batchnorm is folded"),
        ("layer: a, to: c, kind: linear, eps: {source: 1, target: 1}", "a number from 0, below 1"),
        ("layer: a, to: c, kind: linear, eps: {source: 0.1, target: 0}", "a linear has no varian"),
        ("layer: a, to: c, kind: batchnorm, eps: {source: 0.1}", "wants source and target here"),
        ("layer: a, to: c, kind: batchnorm, eps: 1e-3", "wants {source: 1e-3, target: 1e-5}"),
        (
            "layer: a, fold_into: c, kind: batchnorm, eps: {source: 0.1, target: 0}",
            "wants source here",
        ),
        ("layer: a, to: c, kind: linear, roles: {kernel: {fold_into: d}}", "kernel is not folded"),
        ("layer: a, to: c, kind: linear, roles: {bias: {fold: d}}", "wants {fold_into: LAYER}"),
        ('layer: a, to: c, kind: linear, roles: {bias: {fold_into: "d{i}"}}', "no capture i"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(rule: str, words: str) -> None:
    found = refusals(document(f"- {{{rule}}}", "keras"))
    assert {line for _, line, _ in found} == {FIRST}
    assert any(words in text for _, _, text in found), found


# -- the ops ---------------------------------------------------------------------------------


def test_the_known_answers() -> None:
    assert minus(array([3.0]), array([1.0])).numpy().tolist() == [2.0]
    s = norm_factor(array([6.0, 1.0]), array([8.0, 3.0]), Fraction(1))
    assert s.numpy().tolist() == [2.0, 0.5]
    assert recentred(array([1.0]), array([2.0]), array([5.0]), array([3.0])).numpy() == [5.0]
    assert scaled(array(np.ones((2, 3))), array([[2.0], [3.0]])).numpy().tolist() == [
        [2.0] * 3,
        [3.0] * 3,
    ]


def test_nonpositive_counts_nan_too() -> None:
    values = np.array([1, 0, -1, np.nan, np.inf], "f4")
    state = NONPOSITIVE.fold(NONPOSITIVE.start(), 10, values)
    assert NONPOSITIVE.finish(state) == Nonpositive(3, 11)
    assert NONPOSITIVE.fold(Nonpositive(), 0, count(3) + 1) == Nonpositive()


@pytest.mark.parametrize("order", ["nm", "mn"])
def test_two_norms_are_folded_in_the_order_of_their_rules(tmp_path: Path, order: str) -> None:
    dice = np.random.default_rng(3)
    kernel, *rest = (dice.uniform(1, 2, (1, 1, 2, 3)), *dice.uniform(1, 2, (9, 3)))
    tensors = {"c/kernel": kernel, "c/bias": rest[0]}
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    for norm, values in (("n", rest[1:5]), ("m", rest[5:])):
        tensors |= {f"{norm}/{leaf}": x for leaf, x in zip(leaves, values, strict=True)}
    rules = "- {layer: c, to: c, kind: conv}\n" + "\n".join(
        f"- {{layer: {x}, fold_into: c, kind: batchnorm, eps: {{source: 0.001}}}}" for x in order
    )
    found = Bench(tmp_path).port(tensors, mapping(rules, "keras", "torch"))
    bias = rest[0]
    for x in order:
        gamma, beta, mean, variance = (tensors[f"{x}/{leaf}"] for leaf in leaves)
        bias = beta + gamma / np.sqrt(variance + 0.001) * (bias - mean)
    np.testing.assert_allclose(found["c.bias"], bias, rtol=1e-12)
