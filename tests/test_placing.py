"""Recurrent layers and attentions without a mapping: where their parts go, or why nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Array, Bench, count, lines_of

from weightsurgeon.api import open as open_
from weightsurgeon.api import port
from weightsurgeon.errors import PlanError
from weightsurgeon.formats.base import Checkpoint, Slot


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def cell(layer: str, kind: str = "LSTM", units: int = 2, into: int = 3, **options: Any) -> Any:
    """The tensors of a Keras cell, each with its slot."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[kind]
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (into, gates * units),
        "recurrent_kernel": (units, gates * units),
        "bias": (2, gates * units) if kind == "GRU" else (gates * units,),
    }
    return {
        f"{layer}/{leaf}": (count(*shape), Slot(layer, f"{kind}Cell", options, leaf))
        for leaf, shape in shapes.items()
    }


def attention(layer: str, shapes: dict[str, tuple[int, ...]], **options: Any) -> Any:
    """The kernels of a Keras attention, each with its slot."""
    found = {}
    for part, shape in shapes.items():
        name = f"{layer}/{'attention_output' if part == 'output' else part}"
        equation = "abc,bcd->ad" if part == "output" else "ab,bcd->acd"
        told = {"equation": equation, "module": layer, "part": part, **options}
        found[f"{name}/kernel"] = count(*shape), Slot(name, "EinsumDense", told, "kernel")
    return found


def heads(q: int = 4, k: int = 4, v: int = 4, h: int = 2, d: int = 2, out: int = 4) -> Any:
    return {"query": (q, h, d), "key": (k, h, d), "value": (v, h, d), "output": (h, d, out)}


def keras(bench: Bench, tensors: Any, name: str = "keras") -> Checkpoint:
    """A Keras checkpoint that knows its layers."""
    from porting import save

    from weightsurgeon.conventions import describe

    path = save(bench.folder / f"{name}.safetensors", {n: x for n, (x, _) in tensors.items()})
    found = open_(path, "keras").source
    slots = {n: slot for n, (_, slot) in tensors.items()}
    return Checkpoint(found, describe("keras", slots, found.specs), "keras", "file")


def to_torch(bench: Bench, tensors: Any) -> dict[str, tuple[int, ...]]:
    bench.report = port(keras(bench, tensors), bench.output, to="torch")
    with open_(bench.output) as found:
        return {name: found[name].spec.shape for name in sorted(found)}


def refused(bench: Bench, source: Any, **how: Any) -> list[str]:
    with pytest.raises(PlanError) as caught:
        port(source, bench.output, **how)
    assert not bench.output.exists()
    return lines_of(caught.value)


# -- recurrent layers ------------------------------------------------------------------------


def test_a_cell_is_the_first_level_of_its_module(bench: Bench) -> None:
    found = to_torch(bench, cell("net/x/lstm_cell", module="net/x"))
    assert found == {
        "net.x.bias_hh_l0": (8,),
        "net.x.bias_ih_l0": (8,),
        "net.x.weight_hh_l0": (8, 2),
        "net.x.weight_ih_l0": (8, 3),
    }


def test_directions_and_levels_are_leaves_of_one_module(bench: Bench) -> None:
    both = {
        **cell("b/forward_gru/gru_cell", "GRU", module="b", direction="forward"),
        **cell("b/backward_gru/gru_cell", "GRU", module="b", direction="backward"),
    }
    assert [n for n in to_torch(bench, both) if "weight_ih" in n] == [
        "b.weight_ih_l0", "b.weight_ih_l0_reverse",
    ]  # fmt: skip
    levels = {
        **cell("r/s/c", module="r", level=0),
        **cell("r/s/d", into=2, module="r", level=1),
    }
    assert [n for n in to_torch(bench, levels) if "weight_hh" in n] == [
        "r.weight_hh_l0", "r.weight_hh_l1",
    ]  # fmt: skip


def test_a_cell_by_itself_keeps_its_name(bench: Bench) -> None:
    assert "c.weight_ih_l0" in to_torch(bench, cell("c"))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (cell("r/d", units=5, into=2, module="r", level=1), "the levels of r have units [2, 5]"),
        (cell("r/d", "GRU", into=2, module="r", level=1), "the levels of r have kinds gru, lstm"),
        (
            cell("r/d", into=2, module="r", level=1, direction="backward"),
            "each direction of r is a stack of its own, torch's second level sees both",
        ),
    ],
)
def test_cells_that_no_module_holds_are_refused(bench: Bench, other: Any, why: str) -> None:
    source = keras(bench, {**cell("r/c", module="r", level=0), **other})
    (line,) = refused(bench, source, to="torch")
    alike = ", those of a torch module are alike" if "levels" in why else ""
    assert line == f"kind: {why}{alike}; give each level a layer rule of its own"


def torch_lstm(*ends: str, units: int = 2) -> dict[str, Array]:
    """An LSTM as torch keeps it, with levels and directions by their ends."""
    found = {}
    for end in ends:
        found[f"x.weight_ih{end}"] = count(4 * units, 3)
        found[f"x.weight_hh{end}"] = count(4 * units, units)
        found[f"x.bias_ih{end}"] = found[f"x.bias_hh{end}"] = count(4 * units)
    return found


@pytest.mark.parametrize(
    ("ends", "layers"),
    [
        (("_l0",), {"x/lstm_cell"}),
        (("_l0", "_l0_reverse"), {"x/forward_lstm/lstm_cell", "x/backward_lstm/lstm_cell"}),
        (("",), {"x"}),
    ],
)
def test_the_names_that_keras_gives_by_itself(
    bench: Bench, ends: tuple[str, ...], layers: set[str]
) -> None:
    out = bench.port(torch_lstm(*ends), None, to="keras")
    assert {name.rpartition("/")[0] for name in out} == layers
    for layer in layers:
        assert out[f"{layer}/bias"].tolist() == [2 * i for i in range(8)]


def test_names_without_a_template_are_not_guessed(bench: Bench) -> None:
    lines = bench.refuse(torch_lstm("_l0", "_l1"), None, to="keras")
    assert lines == [
        f"kind: level {n} of x has no certain name among layers of Keras; give a template that has "
        "it, or a layer rule with kind: lstm and options: {level: …, direction: …}"
        for n in (0, 1)
    ]


def test_a_template_tells_the_names(bench: Bench) -> None:
    tensors = {
        **cell("x/s/first", module="x", level=0),
        **cell("x/s/second", into=3, module="x", level=1),
    }
    from porting import save

    source = save(bench.folder / "in.safetensors", torch_lstm("_l0", "_l1"))
    port(source, bench.output, template=keras(bench, tensors))
    with open_(bench.output) as found:
        assert set(found) == set(tensors)
        assert found["x/s/second/kernel"].numpy().tolist() == count(8, 3).T.tolist()
    (bench.output).unlink()
    fewer = keras(bench, cell("x/s/first", module="x", level=0), "fewer")
    (line,) = refused(bench, source, template=fewer)
    assert line.startswith("kind: level 1 of x has no certain name")


def test_a_projection_is_refused(bench: Bench) -> None:
    tensors = {**torch_lstm("_l0"), "x.weight_hr_l0": count(2, 2)}
    lines = bench.refuse(tensors, None, to="keras")
    assert any("a lstm of keras cannot hold it: the state is projected" in x for x in lines)


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("LSTM", {"activation": "relu"}, "activation=relu: "),
        ("GRU", {"reset_after": False}, "reset_after=False: it resets the state before"),
        ("SimpleRNN", {"activation": "sigmoid"}, "activation=sigmoid: "),
    ],
)
def test_functions_that_torch_lacks_are_refused(
    bench: Bench, kind: str, options: Any, why: str
) -> None:
    source = keras(bench, cell("x/c", kind, module="x", **options))
    (line,) = refused(bench, source, to="torch")
    assert line.startswith(f"kind: x: {why}")


# -- attention -------------------------------------------------------------------------------


def test_an_attention_that_torch_holds_is_packed(bench: Bench) -> None:
    found = to_torch(bench, attention("a/b", heads()))
    assert found == {"a.b.in_proj_weight": (12, 4), "a.b.out_proj.weight": (4, 4)}
    assert bench.report is not None
    assert any("(query, value, key)" in note for note in bench.report.notes)


def test_other_widths_of_keys_and_values_are_kept_apart(bench: Bench) -> None:
    found = to_torch(bench, attention("a", heads(k=5, v=6)))
    assert found == {
        "a.k_proj_weight": (4, 5), "a.out_proj.weight": (4, 4),
        "a.q_proj_weight": (4, 4), "a.v_proj_weight": (4, 6),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        (heads(d=3), "heads × key_dim = 6, heads × value_dim = 6 is not the width of its query, 4"),
        (heads(out=5), "its output = 5 is not the width of its query, 4"),
        ({**heads(), "key": (4, 1, 2)}, "2 heads of the query share 1 of the key"),
    ],
)
def test_an_attention_that_torch_cannot_hold_is_linears(
    bench: Bench, shapes: Any, why: str
) -> None:
    found = to_torch(bench, attention("a", shapes))
    assert set(found) == {f"a.{n}.weight" for n in ("query", "key", "value", "attention_output")}
    assert bench.report is not None
    text = f"a: one Linear a projection, no nn.MultiheadAttention, as {why}"
    assert text in bench.report.notes


def test_a_gate_is_refused(bench: Bench) -> None:
    shapes = {**heads(), "gate": (4, 2, 2)}
    source = keras(bench, attention("a", shapes, use_gate=True))
    (line,) = refused(bench, source, to="torch")
    assert line.startswith("kind: a: use_gate=True: it multiplies its output by a gate of its own")


def packed(bias: bool = False) -> dict[str, Array]:
    found = {"a.in_proj_weight": count(12, 4), "a.out_proj.weight": count(4, 4)}
    if bias:
        found |= {"a.in_proj_bias": count(12), "a.out_proj.bias": count(4)}
    return found


def test_an_attention_goes_back_to_its_projections(bench: Bench) -> None:
    (line,) = bench.refuse(packed(), None, to="keras", )[:1]  # fmt: skip
    assert "head" in line
    out = bench.port(packed(bias=True), None, to="keras", sizes={"head": 2})
    assert out["a/key/kernel"].tolist() == count(12, 4)[4:8].T.reshape(4, 2, 2).tolist()
    assert out["a/value/bias"].tolist() == [[8, 9], [10, 11]]
    assert out["a/attention_output/kernel"].shape == (2, 2, 4)


def test_a_template_tells_the_heads(bench: Bench) -> None:
    from porting import save

    source = save(bench.folder / "in.safetensors", packed())
    port(source, bench.output, template=keras(bench, attention("a", heads(h=4, d=1))))
    with open_(bench.output) as found:
        assert found["a/query/kernel"].spec.shape == (4, 4, 1)


@pytest.mark.parametrize("leaf", ["bias_k", "bias_v"])
def test_a_learned_key_or_value_is_refused(bench: Bench, leaf: str) -> None:
    tensors = {**packed(), f"a.{leaf}": np.zeros((1, 1, 4), "f4")}
    lines = bench.refuse(tensors, None, to="keras", sizes={"head": 2})
    assert len(lines) == 1
    assert "a mha of keras cannot hold it: a learned" in lines[0]


def test_a_torch_base_decides_between_the_forms(bench: Bench) -> None:
    from porting import save

    source = keras(bench, attention("a", heads()))
    linears = {f"a.{n}.weight": count(4, 4) for n in ("query", "key", "value", "attention_output")}
    base = save(bench.folder / "linears.safetensors", linears)
    port(source, bench.output, template=base)
    with open_(bench.output) as found:
        assert set(found) == set(linears)
    bench.output.unlink()
    other = keras(bench, attention("a", heads(d=3)), "other")
    base = save(bench.folder / "module.safetensors", packed())
    (line,) = refused(bench, other, template=base)
    assert line.startswith("kind: a: no nn.MultiheadAttention holds it: heads × key_dim = 6")
