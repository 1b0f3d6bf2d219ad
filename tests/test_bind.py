"""How a tensor gets there: layouts, sizes, axes and dtypes, for rules and for kinds, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import FIRST, Bench, count, lines_of, mapping, save

Array = np.ndarray[Any, Any]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def laid(bench: Bench, x: Array, layout: str, more: str = "", **how: Any) -> Array:
    """One tensor through one layout."""
    rules = mapping(f'- {{from: a, to: b, layout: "{layout}"{more}}}', "torch", "keras")
    return bench.port({"a": x}, rules, **how)["b"]


X = count(4, 6)


@pytest.mark.parametrize(
    ("layout", "more", "x", "wanted"),
    [
        ("i o -> o i", "", X, X.T),
        ("(h d) i -> i h d", ", sizes: {h: 2}", X, X.reshape(2, 2, 6).transpose(2, 0, 1)),
        (
            "(h d) i -> (d h) i",
            ", sizes: {d: 2}",
            X,
            X.reshape(2, 2, 6).swapaxes(0, 1).reshape(4, 6),
        ),
        ("i o -> -i o", "", X, X[::-1]),
        ("-i o -> -i o", "", X, X),
        ("i o -> i 1 o", "", X, X[:, None]),
        ("(g:ifgo u) i -> i (g:ifog u)", "", X, X[[0, 1, 3, 2]].T),
        ("K i o -> o i K", "", count(2, 3, 4, 5), count(2, 3, 4, 5).transpose(3, 2, 0, 1)),
        ("K i o -> o i K", "", count(3, 4, 5), count(3, 4, 5).transpose(2, 1, 0)),
        ("K i o -> o i K", "", count(4, 5), count(4, 5).T),
        ("o (c y x) -> (y x c) o", ", sizes: {y: 3, x: 1}", X, None),
    ],
)
def test_a_layout_moves(
    bench: Bench, layout: str, more: str, x: Array, wanted: Array | None
) -> None:
    if wanted is None:
        wanted = x.reshape(4, 2, 3, 1).transpose(2, 3, 1, 0).reshape(6, 4)
    out = laid(bench, x, layout, more)
    assert out.shape == wanted.shape
    assert out.tobytes() == np.ascontiguousarray(wanted).tobytes()


def test_movement_keeps_every_bit_of_every_dtype(bench: Bench) -> None:
    for dtype in ("float16", "int8", "uint64", "bool", "float64", ml_dtypes.bfloat16):
        x = np.frombuffer(bytes(range(24)) * 8, np.uint8)[: 6 * np.dtype(dtype).itemsize]
        x = (x & 1 if dtype == "bool" else x).view(dtype).reshape(2, 3)
        out = laid(bench, x, "a b -> b a")
        assert out.tobytes() == np.ascontiguousarray(x.T).tobytes()


@pytest.mark.parametrize(
    ("layout", "more", "words"),
    [
        ("(h k) d -> d h k", "", "size: a → b: (4, 6) as [(h k) d]: h, k unknown; give sizes: {h:"),
        (
            "(h k) d -> d h k",
            ", sizes: {h: 3}",
            "shape: a → b: (4, 6) does not fit [(h k) d]: 4 is",
        ),
        ("a b c -> c b a", "", "shape: a → b: a tensor of shape (4, 6) cannot be read as [a b c]"),
        ("a 1 -> 1 a", "", "shape: a → b: (4, 6) does not fit [a 1]: 6 is not 1"),
        ("(g:ifo u) i -> i (g:oif u)", "", "shape: a → b: (4, 6) does not fit [(g:ifo u) i]"),
        ("K a b c -> K a b c", "", "shape: a → b: [K a b c] leaves -1 spatial axes"),
    ],
)
def test_sizes_that_do_not_fit(bench: Bench, layout: str, more: str, words: str) -> None:
    rules = mapping(f'- {{from: a, to: b, layout: "{layout}"{more}}}')
    (line,) = bench.refuse({"a": X}, rules)
    assert line.startswith(f"m.yaml:{FIRST}: {words}")


def test_sizes_come_from_the_rule_the_file_the_command_or_the_base(bench: Bench) -> None:
    wanted = X.reshape(2, 2, 6).transpose(2, 0, 1)
    rule = '- {from: a, to: b, layout: "(h k) d -> d h k"SIZES}'
    for sizes, more, how in (
        (", sizes: {h: 2}", "sizes: {h: 4}", {}),  # the rule is nearer than the file
        ("", "sizes: {h: 2}", {}),
        ("", "sizes: {h: 4}", {"sizes": {"h": 2}}),  # the command replaces
        ("", "", {"sizes": {"k": 2}}),
        ("", "", {"base": {"b": count(6, 2, 2)}}),
    ):
        found = mapping(rule.replace("SIZES", sizes), more=more)
        assert np.array_equal(bench.port({"a": X}, found, **how)["b"], wanted)


def test_a_size_that_no_layout_uses_is_refused(bench: Bench) -> None:
    rules = mapping('- {from: a, to: b, layout: "(head k) d -> d head k"}')
    assert bench.refuse({"a": X}, rules, sizes={"head": 2, "haed": 2}) == [
        "m.yaml: size: haed is an axis of no layout; did you mean head?"
    ]
    assert bench.refuse({"a": X}, "- {from: a, to: b}", sizes={"h": 2}) == [
        "m.yaml: size: h is an axis of no layout; axes here: none"
    ]
    assert bench.refuse({"a": X}, None, sizes={"h": 2})[0].endswith("axes here: none")


# -- axes ------------------------------------------------------------------------------------

SQUARE = count(4, 4)


def known(bench: Bench, dialect: str, name: str = "known.safetensors") -> Path:
    """A file whose metadata says how its square kernel lies."""
    kernel = {"keras": "fc/kernel", "torch": "fc.weight"}[dialect]
    rules = mapping("- {layer: fc, to: fc, kind: linear}", dialect, dialect)
    bench.port({kernel: SQUARE}, rules)
    return bench.output.rename(bench.folder / name)


def test_a_square_matrix_is_not_taken_for_its_transpose(bench: Bench) -> None:
    from weightsurgeon.api import port

    source = known(bench, "keras")  # in out
    for layout in ("a b -> a b", "a b -> b a"):
        rules = mapping(
            f'- {{from: fc/kernel, to: fc.weight, layout: "{layout}"}}', "keras", "torch"
        )
        template = known(bench, "torch", "template.safetensors")  # out in
        if layout == "a b -> b a":
            port(source, bench.output, rules, template)
            bench.output.unlink()
            continue
        with pytest.raises(Exception, match="axes: ") as caught:
            port(source, bench.output, rules, template)
        assert str(caught.value) == (
            f"m.yaml:{FIRST}: axes: fc/kernel → fc.weight: a is `in` here and `out` in the target"
        )


def test_between_dialects_a_matrix_needs_a_layout_or_a_kind(bench: Bench) -> None:
    rules = mapping("- {from: a, to: b}", "keras", "torch")
    (line,) = bench.refuse({"a": SQUARE}, rules)
    assert line == (
        f"m.yaml:{FIRST}: axes: a → b: float32 (4, 4) goes from keras to torch and may lie "
        "otherwise there; give the rule a layout or a kind"
    )
    assert bench.port({"a": count(4)}, rules)["b"].shape == (4,)  # a vector lies in one way only


def test_without_a_layout_known_axes_must_agree(bench: Bench) -> None:
    from weightsurgeon.api import port

    source, base = known(bench, "keras"), known(bench, "torch", "t.safetensors")
    rules = mapping("- {from: fc/kernel, to: fc.weight}", "keras", "torch")
    with pytest.raises(Exception, match=r"axes: .*lies as \[in out\], the target as \[out in\]"):
        port(source, bench.output, rules, base)


# -- shapes and dtypes of the base -----------------------------------------------------------


def test_a_shape_that_does_not_fit_names_one_that_would(bench: Bench) -> None:
    tensors = {"a": count(2, 3), "b": count(4, 5), "c": count(7)}
    rules = "- {from: a, to: x}\n- {from: b, to: y}\n- {from: c, to: z}"
    base = {"x": count(5, 4), "y": count(4, 5), "z": count(8)}
    assert bench.refuse(tensors, rules, base) == [
        f"m.yaml:{FIRST}: shape: a → x: float32 (2, 3) does not fit float32 (5, 4); "
        "reshape is never implied; b fits",
        f"m.yaml:{FIRST + 2}: shape: c → z: float32 (7,) does not fit float32 (8,); "
        "reshape is never implied",
    ]


def test_equal_counts_are_no_reason_to_reshape(bench: Bench) -> None:
    (line,) = bench.refuse({"a": count(2, 6)}, "- {from: a, to: a}", {"a": count(3, 4)})
    assert "reshape is never implied" in line
    (line,) = bench.refuse({"a": count(2, 3)}, "- {from: a, to: a}", {"a": count(3, 2)})
    assert not line.endswith("a fits")  # it does not fit itself


def test_a_cast_that_loses_is_refused_unless_asked_for(bench: Bench) -> None:
    x = np.array([1.0, 1.00390625, 3.0e38], "float32")
    rules = "- {from: a, to: a}"
    (line,) = bench.refuse({"a": x}, rules, {"a": x.astype(ml_dtypes.bfloat16)})
    assert line == (
        f"m.yaml:{FIRST}: lossy-cast: a → a: float32 would lose digits as bfloat16; "
        "say cast: bfloat16, or --policy lossy_cast=list"
    )
    wanted = x.astype(ml_dtypes.bfloat16)
    out = bench.port({"a": x}, rules, {"a": wanted}, policy=["lossy_cast=list"])
    assert out["a"].dtype == ml_dtypes.bfloat16
    assert out["a"].tobytes() == wanted.tobytes()
    assert bench.lines("lossy-cast") == ["float32 rounded to bfloat16: a"]
    bench.port({"a": x}, rules, {"a": wanted}, policy=["lossy_cast=ignore"])
    assert bench.lines("lossy-cast") == []
    bench.port({"a": x}, "- {from: a, to: a, cast: bfloat16}")
    assert bench.lines("lossy-cast") == []  # asked for
    assert bench.actions() == {"a": "cast"}


def test_widening_loses_nothing(bench: Bench) -> None:
    x = np.array([1, 2], "float16")
    out = bench.port({"a": x}, "- {from: a, to: a}", {"a": count(2)})
    assert out["a"].dtype == np.float32
    assert bench.report is not None
    assert bench.report.rows[0].class_ == "exact"


@pytest.mark.parametrize("policy", ["strict", "transfer"])
def test_integers_are_copied_never_cast(bench: Bench, policy: str) -> None:
    (line,) = bench.refuse(
        {"a": count(2, dtype="int64")}, "- {from: a, to: a}", {"a": count(2)}, policy=policy
    )
    assert "shape: a → a: int64 (2,) is no float32: only floats are cast" in line


def test_a_finite_value_without_a_place_is_refused(bench: Bench) -> None:
    x = np.array([1.0, 1e6], "float32")
    (line,) = bench.refuse({"a": x}, "- {from: a, to: a, cast: float16}")
    assert "a: 1 finite values have no place in float16" in line
    out = bench.port({"a": x}, "- {from: a, to: a, cast: float16}", policy=["nonfinite=ignore"])
    assert np.isinf(out["a"][1])


# -- kinds -----------------------------------------------------------------------------------

F = count(2)
CASES: dict[str, tuple[str, dict[str, Array], dict[str, Array], str, str]] = {
    # kind: (kind, Keras leaves, torch leaves, more of the rule there, more of it back)
    "linear": (
        "linear",
        {"kernel": count(2, 3), "bias": count(3)},
        {"weight": count(2, 3).T, "bias": count(3)},
        "",
        "",
    ),
    "conv1": (
        "conv",
        {"kernel": count(3, 2, 4)},
        {"weight": count(3, 2, 4).transpose(2, 1, 0)},
        "",
        "",
    ),
    "conv2": (
        "conv",
        {"kernel": count(3, 2, 4, 5), "bias": count(5)},
        {"weight": count(3, 2, 4, 5).transpose(3, 2, 0, 1), "bias": count(5)},
        "",
        "",
    ),
    "conv3": (
        "conv",
        {"kernel": count(2, 3, 2, 4, 5)},
        {"weight": count(2, 3, 2, 4, 5).transpose(4, 3, 0, 1, 2)},
        "",
        "",
    ),
    "conv_transpose": (
        "conv_transpose",
        {"kernel": count(3, 2, 4, 5)},
        {"weight": count(3, 2, 4, 5).transpose(3, 2, 0, 1)},
        "",
        "",
    ),
    "depthwise": (
        "depthwise",
        {"kernel": count(3, 3, 2, 2), "bias": count(4)},
        {"weight": count(3, 3, 2, 2).transpose(2, 3, 0, 1).reshape(4, 1, 3, 3), "bias": count(4)},
        "",
        ", options: {groups: 2}",
    ),
    "embedding": ("embedding", {"embeddings": count(5, 3)}, {"weight": count(5, 3)}, "", ""),
    "batchnorm": (
        "batchnorm",
        {"gamma": F, "beta": F + 1, "moving_mean": F + 2, "moving_variance": F + 3},
        {
            "weight": F,
            "bias": F + 1,
            "running_mean": F + 2,
            "running_var": F + 3,
            "num_batches_tracked": np.array(0),
        },
        "",
        "",
    ),
    "layernorm": ("layernorm", {"gamma": F, "beta": F + 1}, {"weight": F, "bias": F + 1}, "", ""),
    "groupnorm": ("groupnorm", {"gamma": F, "beta": F + 1}, {"weight": F, "bias": F + 1}, "", ""),
    "rmsnorm": ("rmsnorm", {"scale": F}, {"weight": F}, "", ""),
    "flatten": (
        "linear",
        {"kernel": count(12, 2), "bias": F},
        {
            "weight": count(12, 2).reshape(2, 3, 2, 2).transpose(3, 2, 0, 1).reshape(2, 12),
            "bias": F,
        },
        ", options: {flatten_from: [2, 3, 2]}",
        ", options: {flatten_from: [2, 3, 2]}",
    ),
    "flatten1": (
        "linear",
        {"kernel": count(6, 2)},
        {"weight": count(6, 2).reshape(3, 2, 2).transpose(2, 1, 0).reshape(2, 6)},
        ", options: {flatten_from: [3, 2]}",
        ", options: {flatten_from: [3, 2]}",
    ),
    "einsum": (
        "linear",
        {"kernel": count(4, 2, 3), "bias": count(2, 3)},
        {"weight": count(4, 2, 3).reshape(4, 6).T, "bias": count(6)},
        ', options: {equation: "abc,cde->abde", bias_axes: de}',
        ', options: {equation: "abc,cde->abde", bias_axes: de}, sizes: {out0: 2, out1: 3}',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kind_goes_there_and_back(bench: Bench, case: str) -> None:
    kind, keras, torch, there, back = CASES[case]
    keras = {f"in/net/{k}": v for k, v in keras.items()}
    torch = {f"body.net.{k}": v for k, v in torch.items()}
    rules = mapping(f"- {{layer: in/net, to: body.net, kind: {kind}{there}}}", "keras", "torch")
    out = bench.port(keras, rules)
    assert {k: v.tolist() for k, v in out.items()} == {k: v.tolist() for k, v in torch.items()}
    rules = mapping(f"- {{layer: body.net, to: in/net, kind: {kind}{back}}}", "torch", "keras")
    out = bench.port(torch, rules)
    assert {k: v.tolist() for k, v in out.items()} == {k: v.tolist() for k, v in keras.items()}
    assert bool(bench.lines("dropped")) == (case == "batchnorm")  # the counter


def test_a_depthwise_kernel_needs_its_groups_or_a_base(bench: Bench) -> None:
    keras = {"d/kernel": count(3, 3, 2, 2)}
    torch = {"d.weight": count(3, 3, 2, 2).transpose(2, 3, 0, 1).reshape(4, 1, 3, 3)}
    rules = mapping("- {layer: d, to: d, kind: depthwise}", "torch", "keras")
    (line,) = bench.refuse(torch, rules)
    assert (
        "size: d.weight → d/kernel: (4, 1, 3, 3) as [(in mult) 1 kh kw]: in, mult unknown" in line
    )
    for how in ({"base": keras}, {"sizes": {"mult": 2}}):
        out = bench.port(torch, rules, **how)
        assert np.array_equal(out["d/kernel"], keras["d/kernel"])


def test_a_separable_convolution_is_two_layers_in_torch(bench: Bench) -> None:
    depth, point = count(3, 3, 2, 2), count(1, 1, 4, 5, start=9)
    keras = {"s/depthwise_kernel": depth, "s/pointwise_kernel": point, "s/bias": count(5)}
    torch = {
        "s.0.weight": depth.transpose(2, 3, 0, 1).reshape(4, 1, 3, 3),
        "s.1.weight": point.transpose(3, 2, 0, 1),
        "s.1.bias": count(5),
    }
    there = mapping("- {layer: s, to: [s.0, s.1], kind: separable}", "keras", "torch")
    out = bench.port(keras, there)
    assert {k: v.tolist() for k, v in out.items()} == {k: v.tolist() for k, v in torch.items()}
    rule = "- {layer: [s.0, s.1], to: s, kind: separable, options: {groups: 2}}"
    out = bench.port(torch, mapping(rule, "torch", "keras"))
    assert {k: v.tolist() for k, v in out.items()} == {k: v.tolist() for k, v in keras.items()}
    back = mapping("- {layer: [s.0, s.1], to: s, kind: separable}", "torch", "keras")
    out = bench.port(torch, back, base=keras)
    assert {k: v.tolist() for k, v in out.items()} == {k: v.tolist() for k, v in keras.items()}


def test_a_slope_has_the_axes_that_the_base_shares(bench: Bench) -> None:
    there = mapping("- {layer: p, to: p, kind: prelu}", "keras", "torch")
    back = mapping("- {layer: p, to: p, kind: prelu}", "torch", "keras")
    shared = {"p/alpha": count(1, 1, 3)}
    assert bench.port(shared, there)["p.weight"].tolist() == [0, 1, 2]
    for alpha in (count(1, 1, 3), count(3)):
        out = bench.port({"p.weight": count(3)}, back, base={"p/alpha": alpha})
        assert np.array_equal(out["p/alpha"], alpha)
    (line,) = bench.refuse({"p.weight": count(3)}, back)
    assert "kind: " in line
    assert "give a template" in line
    lines = bench.refuse({"p/alpha": count(2, 2, 3)}, there)  # not shared: no torch PReLU
    assert len(lines) == 1


def test_a_transposed_linear_of_gpt2(bench: Bench) -> None:
    rules = "- {layer: c_fc, to: fc, kind: linear_t -> linear}"
    out = bench.port({"c_fc.weight": X, "c_fc.bias": count(6)}, rules)
    assert np.array_equal(out["fc.weight"], X.T)


def test_within_a_dialect_a_kind_moves_nothing(bench: Bench) -> None:
    rules = mapping("- {layer: a, to: b/c, kind: conv}", "keras", "keras")
    x = count(3, 3, 2, 4)
    assert np.array_equal(bench.port({"a/kernel": x}, rules)["b/c/kernel"], x)
    assert bench.actions() == {"b/c/kernel": "copied"}


def test_a_role_that_the_other_kind_lacks_is_not_lost(bench: Bench) -> None:
    (line,) = bench.refuse(
        {"a.weight": X, "a.bias": F}, mapping("- {layer: a, to: b, kind: linear -> embedding}")
    )[:1]
    assert line.startswith(f"m.yaml:{FIRST}: role: a.")
    assert "of the target has no" in line


def test_a_layer_without_its_kernel_is_refused(bench: Bench) -> None:
    rules = mapping("- {layer: a, to: b, kind: linear}", "torch", "keras")
    assert bench.refuse({"a.bias": F}, rules) == [
        f"m.yaml:{FIRST}: role: a has no weight: a linear without its kernel"
    ]
    first = '- {from: a.weight, to: b/kernel, layout: "o i -> i o"}\n'  # another rule has it
    rules = mapping(f"{first}- {{layer: a, to: b, kind: linear}}", "torch", "keras")
    assert sorted(bench.port({"a.bias": F, "a.weight": X}, rules)) == ["b/bias", "b/kernel"]


def test_rms_scaling_is_refused(bench: Bench) -> None:
    rule = "- {layer: n, to: n, kind: layernorm, options: {rms_scaling: true}}"
    (line,) = bench.refuse({"n/gamma": F}, mapping(rule, "keras", "torch"))
    assert "kind: n → n: rms_scaling=True" in line


def test_a_size_of_the_file_does_not_change_the_map_that_was_flattened(bench: Bench) -> None:
    """`h` is the heads of the file and the height of the map."""
    keras = {"f/kernel": count(12, 2), "a/q": count(4, 4)}
    rules = mapping(
        "- {layer: f, to: f, kind: linear, options: {flatten_from: [2, 3, 2]}}\n"
        '- {from: a/q, to: a.q, layout: "d (h k) -> h k d"}',
        "keras",
        "torch",
        "sizes: {h: 4}",
    )
    out = bench.port(keras, rules)
    assert out["a.q"].shape == (4, 1, 4)
    wanted = count(12, 2).reshape(2, 3, 2, 2).transpose(3, 2, 0, 1).reshape(2, 12)
    assert np.array_equal(out["f.weight"], wanted)


def test_names_within_a_dialect_keep_their_separators(bench: Bench) -> None:
    names = {"a.b/c.d": F, "x": F, "..": F}
    save(bench.folder / "in.safetensors", names)
    assert sorted(bench.port(names, None)) == sorted(names)
    rules = mapping('- {from: "a.b/{n:path}", to: "z/{n}"}', "keras", "keras")
    assert sorted(bench.port({"a.b/c.d": F}, rules)) == ["z/c.d"]


# -- what the file states of itself ----------------------------------------------------------


def stating(axes: str, kind: str) -> dict[str, str]:
    """Metadata that says how `c.weight` lies and of which kind it is."""
    layer = {"layer": {"kind": kind, "name": "c"}} if kind else {}
    entry = {"axes": axes, "role": "kernel", **layer}
    return {
        "weightsurgeon.version": "1",
        "weightsurgeon.tensors": json.dumps({"c.weight": entry}),
    }


@pytest.mark.parametrize(
    ("axes", "stated", "kind", "words"),
    [
        ("in out", "", "linear", "axes: c.weight → c/kernel: "),
        ("in out", "linear", "linear", "axes: c.weight → c/kernel: "),
        ("in out", "linear", "linear_t -> linear", ""),
        ("out in", "linear", "linear", ""),
        ("out in", "linear", "linear_t -> linear", "axes: c.weight → c/kernel: "),
        ("in out kh kw", "conv_transpose", "conv", "kind: c.weight → c/kernel: the file says"),
        ("in out kh kw", "conv_transpose", "conv_transpose", ""),
        ("in out kw kh", "", "conv_transpose", "axes: c.weight → c/kernel: "),
        ("(in mult) 1 kh kw", "depthwise", "conv", "kind: c.weight → c/kernel: the file says"),
    ],
)
def test_a_rule_does_not_override_what_the_file_states(
    bench: Bench, axes: str, stated: str, kind: str, words: str
) -> None:
    from weightsurgeon.api import port
    from weightsurgeon.errors import PlanError

    square = count(4, 4) if "kh" not in axes else count(4, 1 if "mult" in axes else 4, 3, 3)
    meta = stating(axes, stated)
    source = save(bench.folder / "in.safetensors", {"c.weight": square}, meta)
    rules = mapping(f"- {{layer: c, to: c, kind: {kind}}}", "torch", "keras")
    if not words:
        port(source, bench.output, rules)
        return
    with pytest.raises(PlanError) as caught:
        port(source, bench.output, rules)
    assert lines_of(caught.value)[0].startswith(f"m.yaml:{FIRST}: {words}")
    assert not bench.output.exists()


def test_a_rule_does_not_override_what_the_base_states(bench: Bench) -> None:
    meta = stating("in out", "")
    base = save(bench.folder / "base.safetensors", {"c.weight": SQUARE}, meta)
    rules = mapping("- {layer: c, to: c, kind: linear}", "keras", "torch")
    (line,) = bench.refuse({"c/kernel": SQUARE}, rules, template=base)
    assert line.startswith(f"m.yaml:{FIRST}: axes: c/kernel → c.weight: ")


def test_a_kind_of_a_newer_version_is_not_known(bench: Bench) -> None:
    from weightsurgeon.api import port
    from weightsurgeon.errors import PlanError

    source = save(bench.folder / "in.safetensors", {"c.weight": SQUARE}, stating("out in", "lstm9"))
    for rules, words in (
        (
            mapping("- {layer: c, to: c, kind: auto}", "torch", "keras"),
            "kind auto: of c the files do not tell",
        ),
        (mapping("- {layer: c, to: c, kind: linear}", "torch", "keras"), "says that it is a lstm9"),
    ):
        with pytest.raises(PlanError, match=f"kind: .*{words}"):
            port(source, bench.output, rules)
    with pytest.raises(PlanError, match="the kind of c is not known"):
        port(source, bench.folder / "out.weights.h5", to="keras")
    moves = mapping("- {from: c.weight, to: d.weight}")
    port(source, bench.output, moves)
    assert bench.output.exists()


def test_a_layout_may_not_call_an_axis_by_its_opposite(bench: Bench) -> None:
    from weightsurgeon.api import port
    from weightsurgeon.errors import PlanError

    source = save(bench.folder / "in.safetensors", {"c.weight": SQUARE}, stating("in out", ""))
    rules = mapping('- {from: c.weight, to: b, layout: "out in -> in out"}')
    with pytest.raises(PlanError) as caught:
        port(source, bench.output, rules)
    words = "axes: c.weight → b: the layout reads [out in], the file says [in out]"
    assert lines_of(caught.value) == [f"m.yaml:{FIRST}: {words}"]
