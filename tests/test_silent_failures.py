"""What other loaders do silently is an error here: its id, with the file and the line of the rule.

Each case is a row of what was seen to load without a word, or to load the wrong tensor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import FIRST, Bench, count, document, lines_of, mapping, refusals

from weightsurgeon.api import port
from weightsurgeon.errors import PlanError
from weightsurgeon.mapping.load import loads

SQUARE = count(4, 4)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_experts_with_a_hole_in_their_numbers(bench: Bench) -> None:
    """Loads without a message elsewhere: the experts behind the hole move up."""
    x = {f"moe.3.experts.{e}.w1": count(2, 2) for e in (0, 1, 2, 7)}
    rule = '- {from: "moe.{i:int}.experts.{e...}.w1", to: "moe.{i}.up", layout: "e | o d -> e o d"}'
    assert bench.refuse(x, rule) == [
        f"m.yaml:{FIRST}: gap: moe.3.experts: {{e}} is 0..2, 7;"
        " missing moe.3.experts.3.w1 and 3 more"
    ]


def test_one_absent_tensor_of_a_group(bench: Bench) -> None:
    x = {f"l.{i}.{p}": count(2, 2) for i in range(3) for p in "qkv" if (i, p) != (1, "k")}
    rule = '- {from: "l.{i:int}.{p:q|k|v...}", to: "l.{i}.qkv", layout: "p | o d -> (p o) d"}'
    assert bench.refuse(x, rule) == [f"m.yaml:{FIRST}: gap: l.1: {{p}} is q, v; missing l.1.k"]


def test_a_square_kernel_that_lies_transposed(bench: Bench) -> None:
    """Loads with nothing mismatched elsewhere, as the shape fits either way."""
    rules = mapping("- {layer: q, to: q, kind: linear}", "keras", "keras")
    bench.port({"q/kernel": SQUARE}, rules)
    known = bench.output.rename(bench.folder / "known.safetensors")
    wrong = mapping(
        '- {from: q/kernel, to: q.weight, layout: "out in -> out in"}', "keras", "torch"
    )
    with pytest.raises(PlanError) as caught:
        port(known, bench.output, wrong)
    (line,) = lines_of(caught.value)
    assert line.startswith(f"m.yaml:{FIRST}: axes: q/kernel → q.weight: the layout reads [out in]")
    assert line.endswith("the file says [in out]")


def test_two_sources_for_one_target(bench: Bench) -> None:
    """The last one wins elsewhere."""
    rules = "- {from: a, to: w}\n- {from: b, to: w}"
    assert bench.refuse({"a": count(2), "b": count(2)}, rules) == [
        f"m.yaml:{FIRST + 1}: collision: w is made from b and from a (m.yaml:{FIRST})"
    ]


def test_two_sources_for_one_target_within_a_gather(bench: Bench) -> None:
    rules = """\
- {from: "e.{e...}.w", to: w, layout: "e | d -> e d"}
- {from: v, to: w}"""
    x = {"e.0.w": count(2), "e.1.w": count(2), "v": count(2, 2)}
    assert bench.refuse(x, rules) == [
        f"m.yaml:{FIRST + 1}: collision: w is made from v and from e.0.w, e.1.w (m.yaml:{FIRST})"
    ]


def test_a_rule_that_matches_nothing(bench: Bench) -> None:
    rules = '- {from: "blok.{i:int}.w", to: "b.{i}.w"}\n- {from: "{n:path}", to: "{n}"}'
    (line,) = bench.refuse({"block.0.w": count(2)}, rules)
    assert line.startswith(f"m.yaml:{FIRST}: dead-rule: 'blok.{{i:int}}.w' matches no tensor")
    assert line.endswith("nearest: block.0.w")
    rules = '- {from: "{n:path}", to: "{n}"}\n- {from: a.w, to: b.w}'
    (line,) = bench.refuse({"a.w": count(2)}, rules)
    assert line == (
        f"m.yaml:{FIRST + 1}: dead-rule: 'a.w' matches only what m.yaml:{FIRST} took, as a.w"
    )


def test_a_capture_that_one_side_does_not_name() -> None:
    """A second capture becomes the literal text of its escape elsewhere."""
    found = refusals(document('- {from: "a.{i:int}.{leaf}", to: "b.{i}"}'))
    assert found == [("capture", FIRST, "both sides name the same captures; only one has leaf")]


def test_names_match_whole(bench: Bench) -> None:
    """`lin.weight` hits `a.my_lin_weight` and `linxweight` elsewhere."""
    x = {"a.my_lin.weight": count(2), "linxweight": count(2), "lin.weight": count(2)}
    lines = bench.refuse(x, "- {from: lin.weight, to: fc.weight}")
    assert [line.split(":")[1].strip() for line in lines] == ["unmatched-source"] * 2
    assert all(line.startswith("m.yaml: unmatched-source: ") for line in lines)


def test_a_mapping_is_not_applied_twice(bench: Bench) -> None:
    """Saved after loading, a prefix rule gives `encoder.encoder.layers.0` elsewhere."""
    rules = mapping('- {from: "{n:path}", to: "encoder.{n}"}')
    bench.port({"layers.0.w": count(2)}, rules)
    made = bench.output.rename(bench.folder / "made.safetensors")
    with pytest.raises(PlanError) as caught:
        port(made, bench.output, rules)
    (line,) = lines_of(caught.value)
    assert line.startswith("m.yaml: twice: ")
    assert "was made by this mapping; use the original, or --again" in line


def test_norms_under_other_names(bench: Bench) -> None:
    """A table of warnings and random norms elsewhere."""
    x = {"fc.weight": SQUARE, "norm.gain": count(4)}
    base = {"fc.weight": SQUARE, "norm.scale": count(4)}
    lines = bench.refuse(x, "- {from: fc.weight, to: fc.weight}", base)
    assert lines == [
        "m.yaml: unmatched-source: norm.gain float32 (4,): no rule takes it; drop it or map it",
        "m.yaml: unmatched-target: norm.scale float32 (4,): no rule makes it",
    ]


def test_counts_agree_and_shapes_do_not(bench: Bench) -> None:
    """Reshaped to the target elsewhere."""
    (line,) = bench.refuse({"w": count(2, 6)}, "- {from: w, to: w}", {"w": count(3, 4)})
    assert line.startswith(f"m.yaml:{FIRST}: shape: w → w: ")
    assert "reshape is never implied" in line
    rule = '- {from: [a, b], to: w, layout: "p | o d -> (p o) d"}'
    x = {"a": count(2, 6), "b": count(2, 6)}
    (line,) = bench.refuse(x, rule, {"w": count(6, 4)})
    assert line == (
        f"m.yaml:{FIRST}: shape: a, b → w: float32 (4, 6) does not fit float32 (6, 4);"
        " reshape is never implied"
    )


def test_a_prefix_is_one_decision_for_a_file(bench: Bench) -> None:
    """For each key, the first with that suffix elsewhere."""
    text = document("- {from: w, to: w}").replace(
        "source: {dialect: torch}", 'source: {dialect: torch, optional_prefix: "net."}'
    )
    (line, *_) = bench.refuse({"net.w": count(2), "w": count(2)}, loads(text, "m.yaml"))
    assert line.startswith("m.yaml: prefix: ")
    assert "'net.'" in line
    assert all(name in line for name in ("net.w", "and w are one"))


def test_tied_copies_that_differ(bench: Bench) -> None:
    """Not checked elsewhere."""
    rules = "- {drop: head.w, equal_to: emb.w}\n- {from: emb.w, to: emb.w}"
    x = {"emb.w": count(2, 2), "head.w": np.array([[0, 1], [9, 3]], "float32")}
    (line,) = bench.refuse(x, rules)
    assert line.startswith(f"m.yaml:{FIRST}: unequal: head.w differs from emb.w")
    assert "first at [1, 0]" in line


def test_gates_heads_and_maps_are_told_by_the_kind(bench: Bench) -> None:
    """Reordered by hand elsewhere, where the wrong order fits too."""
    rule = mapping("- {layer: gru/gru_cell, to: gru, kind: gru}", "keras", "torch")
    x = {
        "gru/gru_cell/kernel": np.array([[1, 2, 3]], "float32"),
        "gru/gru_cell/recurrent_kernel": np.array([[1, 2, 3]], "float32"),
    }
    assert bench.port(x, rule)["gru.weight_ih_l0"].tolist() == [[2], [1], [3]]
    wrong = (
        '- {from: gru/gru_cell/kernel, to: gru.weight_ih_l0, layout: "i (g:zrn u) -> (g:abc u) i"}'
    )
    found = refusals(document(wrong, "keras"))
    assert [(id, line) for id, line, _ in found] == [("layout", FIRST)]
