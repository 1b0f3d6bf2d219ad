"""Layers of which a role lies in one tensor here and in several there: lstm, gru, mha."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import FIRST, Array, Bench, count, document, mapping, refusals
from safetensors.numpy import load_file


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def same(found: dict[str, Array], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        assert np.array_equal(found[name], np.asarray(x, "float32")), name


def row(*values: float) -> Array:
    return np.array(values, "float32")


LSTM = {
    "lstm/lstm_cell/kernel": row(1, 2, 3, 4)[None],
    "lstm/lstm_cell/recurrent_kernel": row(5, 6, 7, 8)[None],
    "lstm/lstm_cell/bias": row(1, 2, 3, 4),
}
TORCH_LSTM = {
    "rnn.weight_ih_l0": row(1, 2, 3, 4)[:, None],
    "rnn.weight_hh_l0": row(5, 6, 7, 8)[:, None],
    "rnn.bias_ih_l0": row(1, 2, 3, 4),
    "rnn.bias_hh_l0": row(0, 0, 0, 0),
}
THERE = "- {layer: lstm/lstm_cell, to: rnn, kind: lstm}"
BACK = "- {layer: rnn, to: lstm/lstm_cell, kind: lstm}"


def test_an_lstm_has_two_biases_there_and_their_sum_here(bench: Bench) -> None:
    same(bench.port(LSTM, mapping(THERE, "keras", "torch")), TORCH_LSTM)
    assert bench.lines("sum") == []
    assert {r.class_ for r in bench.report.rows} == {"exact"}  # type: ignore[union-attr]
    both = {**TORCH_LSTM, "rnn.bias_hh_l0": row(10, 20, 30, 40)}
    out = bench.port(both, mapping(BACK, "torch", "keras"))
    same(out, {**LSTM, "lstm/lstm_cell/bias": row(11, 22, 33, 44)})
    assert bench.lines("sum") == ["b added up: lstm/lstm_cell/bias"]
    (bias,) = [r for r in bench.report.rows if r.name.endswith("/bias")]  # type: ignore[union-attr]
    assert (bias.action, bias.class_) == ("computed", "function")
    assert bias.sources == ("rnn.bias_ih_l0", "rnn.bias_hh_l0")


def test_a_gru_keeps_both_biases_with_its_gates_in_another_order(bench: Bench) -> None:
    here = {
        "gru/gru_cell/kernel": row(1, 2, 3)[None],
        "gru/gru_cell/recurrent_kernel": row(4, 5, 6)[None],
        "gru/gru_cell/bias": np.stack([row(1, 2, 3), row(4, 5, 6)]),
    }
    there = {
        "gru.weight_ih_l0": row(2, 1, 3)[:, None],
        "gru.weight_hh_l0": row(5, 4, 6)[:, None],
        "gru.bias_ih_l0": row(2, 1, 3),
        "gru.bias_hh_l0": row(5, 4, 6),
    }
    same(bench.port(here, mapping("- {layer: gru/gru_cell, to: gru, kind: gru}", "keras")), there)
    rule = "- {layer: gru, to: gru/gru_cell, kind: gru}"
    same(bench.port(there, mapping(rule, "torch", "keras")), here)


MHA = {
    "mha/query/kernel": np.arange(4).reshape(1, 2, 2).astype("float32"),
    "mha/key/kernel": count(1, 2, 2, start=10),
    "mha/value/kernel": count(1, 2, 2, start=20),
    "mha/query/bias": count(2, 2),
    "mha/key/bias": count(2, 2, start=10),
    "mha/value/bias": count(2, 2, start=20),
    "mha/attention_output/kernel": count(2, 2, 1),
    "mha/attention_output/bias": count(1),
}


def test_an_attention_packs_its_projections(bench: Bench) -> None:
    there = bench.port(MHA, mapping("- {layer: mha, to: attn, kind: mha}", "keras"))
    packed = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]
    same(there, {
        "attn.in_proj_weight": np.array(packed)[:, None],
        "attn.in_proj_bias": packed,
        "attn.out_proj.weight": [[0, 1, 2, 3]],
        "attn.out_proj.bias": [0],
    })  # fmt: skip
    back = "- {layer: attn, to: mha, kind: mha, options: {heads: 2}}"
    same(bench.port(there, mapping(back, "torch", "keras")), MHA)
    unknown = mapping(back.replace(", options: {heads: 2}", ""), "torch", "keras")
    lines = bench.refuse(there, unknown)
    assert any("size: attn.in_proj_weight → mha: (12, 1) as" in line for line in lines), lines
    same(bench.port(there, unknown, sizes={"head": 2}), MHA)
    apart = mapping("- {layer: mha, to: attn, kind: mha, options: {packed: false}}", "keras")
    three = bench.port(MHA, apart)
    assert three["attn.k_proj_weight"].tolist() == [[10], [11], [12], [13]]
    same({n: x for n, x in three.items() if "_proj_weight" not in n},
         {n: x for n, x in there.items() if "in_proj_weight" not in n})  # fmt: skip
    rule = "- {layer: attn, to: mha, kind: mha, options: {heads: 2, packed: false}}"
    same(bench.port(three, mapping(rule, "torch", "keras")), MHA)


def test_a_tensor_of_a_role_that_is_missing(bench: Bench) -> None:
    some = {n: x for n, x in MHA.items() if n != "mha/key/kernel"}
    (line,) = bench.refuse(some, mapping("- {layer: mha, to: attn, kind: mha}", "keras"))
    assert line == f"m.yaml:{FIRST}: gap: mha: the qkv_kernel of a mha: missing key/kernel"
    no_bias = {n: x for n, x in TORCH_LSTM.items() if n != "rnn.bias_hh_l0"}
    (line,) = bench.refuse(no_bias, mapping(BACK, "torch", "keras"))
    assert line.endswith("gap: rnn: the bias of a lstm: missing bias_hh_l0")


STACK = """\
- {layer: "lstm{n:nth}/lstm_cell", to: rnn, kind: lstm, options: {level: "{n:int}"}}
- {layer: bi/forward_lstm/lstm_cell, to: birnn, kind: lstm}
- {layer: bi/backward_lstm/lstm_cell, to: birnn, kind: lstm, options: {direction: backward}}"""
STACK_BACK = """\
- {layer: rnn, to: "lstm{n:nth}/lstm_cell", kind: lstm, options: {level: "{n:int}"}}
- {layer: birnn, to: bi/backward_lstm/lstm_cell, kind: lstm, options: {direction: backward}}
- {layer: birnn, to: bi/forward_lstm/lstm_cell, kind: lstm}"""


def test_levels_and_directions_stand_in_the_leaves(bench: Bench) -> None:
    layers = ["lstm", "lstm_1", "bi/forward_lstm", "bi/backward_lstm"]
    x = {
        name.replace("lstm/lstm_cell", f"{layer}/lstm_cell", 1): value + 10 * i
        for i, layer in enumerate(layers)
        for name, value in LSTM.items()
    }
    out = bench.port(x, mapping(STACK, "keras"))
    places = ["rnn|_l0", "rnn|_l1", "birnn|_l0", "birnn|_l0_reverse"]
    wanted = {}
    for i, place in enumerate(places):
        layer, end = place.split("|")
        for name, value in TORCH_LSTM.items():
            leaf = name.removeprefix("rnn.").replace("_l0", end)
            wanted[f"{layer}.{leaf}"] = value if "bias_hh" in name else value + 10 * i
    same(out, wanted)
    same(bench.port(out, mapping(STACK_BACK, "torch", "keras")), x)


def test_biases_that_are_missing_are_filled_both(bench: Bench) -> None:
    no_bias = {n: x for n, x in LSTM.items() if "bias" not in n}
    rule = mapping(THERE.replace("}", ", roles: {bias: fill}}"), "keras")
    out = bench.port(no_bias, rule)
    zero = row(0, 0, 0, 0)
    same(out, {**TORCH_LSTM, "rnn.bias_ih_l0": zero, "rnn.bias_hh_l0": zero})


def test_a_cell_of_torch_has_no_level_in_its_names(bench: Bench) -> None:
    cell = {n.replace("_l0", ""): x for n, x in TORCH_LSTM.items()}
    same(bench.port(cell, mapping(BACK, "torch", "keras")), LSTM)
    same(bench.port(LSTM, mapping(THERE, "keras"), cell), cell)


def test_what_the_options_may_not_say() -> None:
    for options, words in (
        ("{level: -1}", "options.level wants a whole number from 0"),
        ('{level: "{n}"}', "'{n}' is no number"),
        ("{direction: up}", "options.direction wants forward | backward"),
    ):
        found = refusals(document(THERE.replace("}", f", options: {options}}}"), "keras"))
        assert any(words in text for _, _, text in found), found


def test_a_level_that_nothing_tells_is_refused(bench: Bench) -> None:
    rule = '- {layer: lstm/lstm_cell, to: "r{n:int}", kind: lstm, options: {level: "{n:int}"}}'
    lines = bench.refuse(LSTM, mapping(rule, "keras"))
    assert any("capture: level '{n:int}': nothing tells it in lstm/lstm_cell" in x for x in lines)


def test_kinds_that_torch_leaves_tell_are_mapped_without_a_rule(bench: Bench) -> None:
    """A state dict tells LSTM and attention by their leaves; a Keras template the names."""
    from porting import save

    from weightsurgeon.api import port

    source = save(bench.folder / "in.safetensors", {**TORCH_LSTM}, {"format": "pt"})
    port(source, bench.output, to="keras")
    same(load_file(bench.output), {
        n.replace("lstm/lstm_cell", "rnn/lstm_cell"): x for n, x in LSTM.items()
    })  # fmt: skip
