"""Ports without a mapping: layers keep their names, and what is not known is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import Bench, count, lines_of, mapping, save

from weightsurgeon.api import open as open_
from weightsurgeon.api import port
from weightsurgeon.errors import PlanError
from weightsurgeon.formats.base import Checkpoint, Meaning, Slot
from weightsurgeon.mapping.auto import automatic


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


A = count(2)


@pytest.mark.parametrize(
    "names", [["a.b", "c/d", "", "x..y", "\n", "{i}"], ["fc.weight"], ["fc/kernel"]]
)
def test_within_a_dialect_every_name_is_kept(bench: Bench, names: list[str]) -> None:
    tensors = {name: count(2, start=i) for i, name in enumerate(names)}
    out = bench.port(tensors, None)
    assert out.keys() == tensors.keys()
    assert all(np.array_equal(out[name], x) for name, x in tensors.items())
    assert set(bench.actions().values()) == {"copied"}


def known(bench: Bench, dialect: str = "keras") -> Path:
    """A file whose metadata tells the kinds of its layers."""
    rules = "- {layer: net/fc, to: net/fc, kind: linear}\n"
    rules += "- {layer: net/bn, to: net/bn, kind: batchnorm}"
    tensors = {
        "net/fc/kernel": count(2, 3),
        "net/fc/bias": count(3),
        **{f"net/bn/{x}": count(3) for x in ("gamma", "beta", "moving_mean", "moving_variance")},
    }
    bench.port(tensors, mapping(rules, dialect, dialect))
    return bench.output.rename(bench.folder / "known.safetensors")


def test_between_dialects_layers_keep_their_names(bench: Bench) -> None:
    source = known(bench)
    report = port(source, bench.output, to="torch")
    with open_(bench.output) as found:
        assert sorted(found) == [
            "net.bn.bias",
            "net.bn.num_batches_tracked",
            "net.bn.running_mean",
            "net.bn.running_var",
            "net.bn.weight",
            "net.fc.bias",
            "net.fc.weight",
        ]
        assert np.array_equal(found["net.fc.weight"].numpy(), count(2, 3).T)
        assert found.dialect == "torch"
    assert report.dialect == "torch"
    back = bench.folder / "back.safetensors"
    port(bench.output, back, to="keras")
    with open_(back) as found, open_(source) as wanted:
        assert sorted(found) == sorted(wanted)
        for name in wanted:
            assert np.array_equal(found[name].numpy(), wanted[name].numpy())


def test_the_template_may_know_the_kinds(bench: Bench) -> None:
    template = known(bench)
    tensors = {
        "net.fc.weight": count(3, 2),
        "net.fc.bias": A,
        **{f"net.bn.{x}": count(3) for x in ("weight", "bias", "running_mean", "running_var")},
    }
    (line,) = bench.refuse(tensors, None, to="keras")
    assert line.startswith("kind: the kind of net.fc is not known: write a mapping (--mapping)")
    tensors["net.fc.bias"] = count(3)
    out = bench.port(tensors, None, template=template)
    assert np.array_equal(out["net/fc/kernel"], count(3, 2).T)


def test_unknown_kinds_are_listed_in_groups(bench: Bench) -> None:
    tensors = {f"l.{i}.weight": count(2, 2) for i in range(9)} | {"head.weight": A, "weight": A}
    lines = bench.refuse(tensors, None, to="keras")
    assert lines == [
        "kind: the kind of head, l.{0..8}, (the layer itself) is not known: "
        "write a mapping (--mapping), or give a template that knows (--template)"
    ]


def test_an_unknown_dialect_is_told(bench: Bench) -> None:
    (line,) = bench.refuse({"fc.odd": A}, None, to="keras")
    assert "the source's dialect is not known: state it, or write a mapping" in line


def test_a_layer_that_becomes_two_is_refused(bench: Bench) -> None:
    rules = mapping(
        "- {layer: [s.0, s.1], to: s, kind: separable, options: {groups: 2}}", "torch", "keras"
    )
    tensors = {"s.0.weight": count(2, 1, 3, 3), "s.1.weight": count(4, 2, 1, 1)}
    bench.port(tensors, rules)
    source = bench.output.rename(bench.folder / "keras.safetensors")
    with pytest.raises(PlanError) as caught:
        port(source, bench.output, to="torch")
    (line,) = lines_of(caught.value)
    assert line.startswith("kind: a separable, as s, is no single layer there")


@pytest.mark.parametrize("to", ["torch", "keras"])
def test_a_dialect_that_contradicts_is_refused(bench: Bench, to: str) -> None:
    source = known(bench)
    rules = mapping('- {from: "{n:path}", to: "{n}"}', "keras", "keras")
    if to == "keras":
        port(source, bench.output, rules, to=to)
        return
    with pytest.raises(Exception, match="torch is asked for, but the mapping says keras"):
        port(source, bench.output, rules, to=to)
    with pytest.raises(Exception, match="keras is asked for, but the container torch says torch"):
        port(source, bench.folder / "x.pt", to="keras")


def test_tensors_of_the_optimizer_are_left_out_with_a_line(bench: Bench) -> None:
    source = save(
        bench.folder / "in.safetensors", {"fc.weight": count(2, 2), "opt.m": A, "opt.v": A}
    )
    with open_(source) as found:
        meanings = {
            "fc.weight": Meaning("kernel", "linear", None, "fc"),
            "opt.m": Meaning("optimizer"),
            "opt.v": Meaning("optimizer"),
        }
        known_ = Checkpoint(found.source, meanings, "torch", "file")
        rules = automatic(known_, None, "torch", "keras")
        report = port(known_, bench.output, rules)
    assert [row.name for row in report.rows] == ["fc/kernel"]
    assert [(x.id, x.text) for x in report.lines] == [
        ("optimizer", "2 tensors of the optimizer are left out")
    ]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (
            "CuDNNLSTM",
            "x, a CuDNNLSTM: its kernels and biases lie as that library wants them; load",
        ),
        ("Mine", "no row says what x, a Mine, is in another dialect: write a mapping"),
    ],
)
def test_a_layer_without_rows_is_called_by_its_class(bench: Bench, word: str, why: str) -> None:
    with open_(save(bench.folder / "in.safetensors", {"x/kernel": count(2, 2)}), "keras") as found:
        found.source.slots["x/kernel"] = Slot("x", word, {}, "kernel")
        source = Checkpoint(found.source, {}, "keras", "file")
        with pytest.raises(PlanError) as caught:
            port(source, bench.output, to="torch")
    (line,) = lines_of(caught.value)
    assert line.startswith(f"kind: {why}")
