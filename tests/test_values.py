"""The value keys of a rule: crop, pad, scale, shift, on the axes of its layout, in this order."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import FIRST, Bench, count, document, mapping, refusals
from strategies import same

Array = np.ndarray[Any, Any]
X = count(4, 6)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def valued(bench: Bench, x: Array, keys: str, base: Array | None = None, **how: Any) -> Array:
    """One tensor through one rule with these keys."""
    rules = mapping(f"- {{from: a, to: b, {keys}}}")
    return bench.port({"a": x}, rules, None if base is None else {"b": base}, **how)["b"]


PADDED = np.concatenate([np.zeros((1, 6), "f4"), X, np.zeros((2, 6), "f4")])


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ('layout: "v d -> v d", crop: {v: [1, 3]}', X[1:3]),
        ('layout: "v d -> d v", crop: {v: [1, 3], d: [0, 2]}', X[1:3, :2].T),
        (
            'layout: "(h k) d -> h d k", sizes: {h: 2}, crop: {k: [1, 2]}',
            X.reshape(2, 2, 6)[:, 1:].swapaxes(1, 2),
        ),
        ('layout: "v d -> v d", pad: {v: {from: 4, to: 7, at: 1, fill: 0}}', PADDED),
        ('layout: "v d -> d v", pad: {v: {to: 7, at: 1}}', PADDED.T),
        ('layout: "v d -> v d", crop: {v: [2, 4]}, pad: {v: {to: 3}}', [*X[2:], [0] * 6]),
        ("scale: 2", X * 2),
        ('scale: "1/2"', X / 2),
        ("scale: 0.5, shift: 1", X / 2 + 1),
        ("shift: -1.5", X - 1.5),
        ('layout: "v d -> v d", scale: "sqrt(v)"', X * 2),
        ('layout: "v d -> v d", scale: "1/sqrt(v)"', X / 2),
        ('layout: "v d -> v d", pad: {v: {to: 7, at: 1}}, shift: 3', PADDED + 3),
        ('layout: "v d -> v d", crop: {v: [0, 1]}, scale: "sqrt(v)"', X[:1]),
    ],
)
def test_a_value_key_does_what_it_says(bench: Bench, keys: str, wanted: Any) -> None:
    wanted = np.asarray(wanted, "f4")
    assert same(valued(bench, X, keys), np.ascontiguousarray(wanted))


@pytest.mark.parametrize(
    ("keys", "class_", "action"),
    [
        ('layout: "v d -> d v", pad: {v: {to: 7}}', "exact", "relaid"),
        ('layout: "v d -> v d", crop: {v: [1, 3]}', "needs base", "relaid"),
        ("scale: 2", "rounding", "computed"),
        ("cast: float64", "exact", "cast"),
        ("cast: float16", "lossy", "cast"),
        ("scale: 2, cast: float16", "lossy", "computed"),
    ],
)
def test_a_rule_has_a_class(bench: Bench, keys: str, class_: str, action: str) -> None:
    valued(bench, X, keys)
    assert bench.report is not None
    (row,) = bench.report.rows
    assert (row.class_, row.action) == (class_, action)


def test_arithmetic_rounds_once_to_the_declared_dtype(bench: Bench) -> None:
    x = np.arange(1, 1000).astype(ml_dtypes.bfloat16)
    out = valued(bench, x, 'scale: "1/3"')
    exact = [Fraction(float(v)) / 3 for v in x]
    assert out.dtype == x.dtype
    gap = [abs(Fraction(float(v)) - e) / e for v, e in zip(out, exact, strict=True)]
    assert max(gap) <= Fraction(1, 2**8)
    out = valued(bench, np.array([1 + 2**-8], "f4"), "scale: 1.000000001, cast: bfloat16")
    assert float(out[0]) == 1 + 2**-7  # by way of float32 it would be a tie, and 1


BASE = -count(7, 6) - 1


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (
            'layout: "v d -> v d", pad: {v: {to: base, at: 2, fill: base}}',
            [*BASE[:2], *X, *BASE[6:]],
        ),
        ('layout: "v d -> v d", pad: {v: {to: 7, fill: base}}, shift: 1', [*(X + 1), *BASE[4:]]),
        ('layout: "v d -> v d", pad: {v: {to: base}}', [*X, *np.zeros((3, 6))]),
    ],
)
def test_the_base_s_entries_stay_around_what_is_pasted(
    bench: Bench, keys: str, wanted: Any
) -> None:
    assert same(valued(bench, X, keys, BASE, into=True), np.array(wanted, "f4"))
    assert bench.actions()["b"] == ("pasted" if "fill: base" in keys else "relaid")


def test_several_axes_are_pasted_in_the_base(bench: Bench) -> None:
    base = -count(3, 2, 9) - 1
    keys = (
        'layout: "(h k) d -> h k d", sizes: {h: 2},'
        " pad: {h: {to: base, at: 1, fill: base}, d: {to: base, at: 2, fill: base}}"
    )
    wanted = base.copy()
    wanted[1:, :, 2:8] = X.reshape(2, 2, 6)
    assert same(valued(bench, X, keys, base, into=True), wanted)


def test_a_narrower_base_is_pasted_in_its_dtype(bench: Bench) -> None:
    base = BASE.astype(ml_dtypes.bfloat16)
    keys = 'layout: "v d -> v d", pad: {v: {to: base, fill: base}}'
    out = valued(bench, X, keys, base, into=True)
    assert out.dtype == base.dtype
    assert same(out[4:], base[4:])


@pytest.mark.parametrize(
    ("keys", "x", "words"),
    [
        ("scale: 2", count(3, dtype="int64"), "affine: int64 (3,) is copied or refused"),
        ("shift: 1", count(3, dtype="int64"), "affine: int64 (3,) is copied or refused"),
        ('layout: "v d -> v d", crop: {v: [2, 9]}', X, "crop: 2..9 does not lie in the 4 of v"),
        ('layout: "v d -> v d", pad: {v: {to: 3}}', X, "pad: 4 entries of v from 0 on do not lie"),
        ('layout: "v d -> v d", pad: {v: {from: 5, to: 9}}', X, "4 is not v=5"),
        ('layout: "v d -> v d", pad: {v: {to: base}}', X, "size: a → b: pad: v grows to the base"),
        ('layout: "v d -> v d", pad: {v: {to: 9, fill: base}}', X, "give --into"),
        ("scale: 3, cast: float16", X + 30000, "finite values have no place in float16"),
    ],
)
def test_what_cannot_be_is_refused(bench: Bench, keys: str, x: Array, words: str) -> None:
    (line,) = bench.refuse({"a": x}, mapping(f"- {{from: a, to: b, {keys}}}"))
    assert words in line


@pytest.mark.parametrize("more", ["", ", scale: 3"])
def test_new_entries_may_be_the_mean_of_the_others(bench: Bench, more: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 5)).astype("f4")
    out = valued(bench, x, f'layout: "v d -> d v", pad: {{v: {{to: 8, at: 1, fill: mean}}}}{more}')
    mean = x.astype("f8").mean(0) * (3 if more else 1)
    assert same(out[:, 1:7], np.ascontiguousarray((x.astype("f8") * (3 if more else 1)).T, "f4"))
    assert np.array_equal(out[:, 0], out[:, 7])
    assert np.abs(out[:, 0] - mean).max() <= np.spacing(np.abs(mean).max().astype("f4"))


def test_integers_have_no_mean(bench: Bench) -> None:
    rules = '- {from: a, to: b, layout: "v -> v", pad: {v: {to: 9, fill: mean}}}'
    (line,) = bench.refuse({"a": count(3, dtype="int64")}, rules)
    assert "fill: mean: int64 (3,) is copied or refused" in line


def test_integers_may_be_cropped_and_padded(bench: Bench) -> None:
    x = count(4, 6, dtype="int64")
    out = valued(bench, x, 'layout: "v d -> v d", crop: {v: [1, 3]}, pad: {d: {to: 7}}')
    assert out.tolist() == [[*row, 0] for row in x[1:3].tolist()]


@pytest.mark.parametrize(
    ("keys", "id", "words"),
    [
        ("crop: {v: [0, 3]}", "layout", "v is an axis of no layout here"),
        ('layout: "a b -> b a", crop: {v: [0, 3]}', "layout", "v is an axis of no layout here"),
        ('scale: "sqrt(d)"', "layout", "d is an axis of no layout here"),
        ("crop: {v: 3}", "schema", "wants a half-open range"),
        ("crop: {v: [3, 3]}", "schema", "wants a range that is not empty"),
        ("crop: {v: [1, x]}", "schema", "wants a whole number"),
        ("pad: {v: 3}", "schema", "wants a map"),
        ("pad: {v: {from: 3}}", "schema", "wants `to`"),
        ("pad: {v: {to: 3, by: 2}}", "schema", "is no key of a pad"),
        ("pad: {v: {to: 3, fill: 1}}", "schema", "wants 0 | mean | base"),
        ("pad: {v: {from: 4, to: 3}}", "schema", "4 entries from 0 on do not lie in 3"),
        ("scale: 0", "schema", "0 leaves nothing"),
        ("scale: 1e305", "schema", "beyond float64"),
        ("scale: 1e999", "schema", "beyond float64"),
        ('scale: "1/0"', "schema", "is no number"),
        ("scale: cube(d)", "schema", "is no number"),
        ("scale: [1]", "schema", "is no number"),
        ('shift: "sqrt(d)"', "schema", "is no number"),
        ("shift: true", "schema", "is no number"),
    ],
)
def test_what_is_no_value_key_is_told_with_its_line(keys: str, id: str, words: str) -> None:
    found = refusals(document(f"- {{from: a, to: b, {keys}}}"))
    assert found
    assert {(i, line) for i, line, _ in found} == {(id, FIRST)}
    assert any(words in text for _, _, text in found)
