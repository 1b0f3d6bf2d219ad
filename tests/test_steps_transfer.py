"""transfer into a base: what is made, what is kept, what is pasted; ties and dtypes of the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Array, count, document, lines_of
from safetensors.numpy import load_file
from strategies import Memory

import weightsurgeon as ws
from weightsurgeon.api import run
from weightsurgeon.errors import SurgeryError
from weightsurgeon.formats.base import Checkpoint, Meaning
from weightsurgeon.notation import parse
from weightsurgeon.outcome import Report


class Bench:
    """Memory into memory, by a mapping if there are rules."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out.safetensors"
        self.report: Report | None = None

    def transfer(
        self, new: Checkpoint, base: Checkpoint, rules: str = "", **keys: Any
    ) -> dict[str, Array]:
        if rules:
            (self.folder / "m.yaml").write_text(document(rules))
            keys["mapping"] = self.folder / "m.yaml"
        step = {"from": "new", "into": "base", "unused": "list", "as": "x"} | keys
        output = {"from": "x", "path": self.out}
        plan = {"weightsurgeon": 1, "steps": [{"transfer": step}], "output": output}
        self.report = run(plan, new=new, base=base)
        return load_file(self.out)

    def refuse(self, *args: Any, **keys: Any) -> list[str]:
        with pytest.raises(SurgeryError) as caught:
            self.transfer(*args, **keys)
        return lines_of(caught.value)

    def actions(self) -> dict[str, str]:
        assert self.report is not None
        return {row.name: row.action for row in self.report.rows}


def state(ties: dict[str, str] | None = None, **tensors: Array) -> Checkpoint:
    found = {name.replace("_", "."): x for name, x in tensors.items()}
    axes = {2: "vocab embed", 1: "out"}
    meanings = {
        n: Meaning("embedding", "embedding", parse(axes[x.ndim]), "", {}, "file")
        for n, x in found.items()
        if x.ndim in axes
    }
    return Checkpoint(Memory(found, ties=ties or {}), meanings, "torch", "stated")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


OLD, BASE = count(3, 2), count(5, 2, start=100)


@pytest.mark.parametrize("axis", ["vocab", 0])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("fill", ["base", "zeros"])
def test_a_vocabulary_that_grew(bench: Bench, axis: str | int, at: int, fill: str) -> None:
    paste = {"tok.w": {"axis": axis, "at": at, "fill": fill}}
    base = state(tok_w=BASE, head=count(4))
    out = bench.transfer(state(tok_w=OLD), base, paste=paste)
    wanted = BASE.copy() if fill == "base" else np.zeros_like(BASE)
    wanted[at : at + 3] = OLD
    assert np.array_equal(out["tok.w"], wanted)
    assert np.array_equal(out["head"], count(4))
    assert bench.actions() == {"tok.w": "pasted", "head": "kept"}
    with ws.open(bench.out) as made:
        assert str(made["tok.w"].spec.axes) == "vocab embed"


def test_a_paste_is_renamed_and_takes_the_dtype_of_the_base(bench: Bench) -> None:
    rules = '- {from: "old.{n}", to: "new.{n}"}'
    half = state(new_w=BASE.astype("f2"), rest=count(2))
    paste = {"new.w": {"axis": 0}}
    out = bench.transfer(state(old_w=OLD), half, rules, paste=paste)
    assert out["new.w"].dtype == np.float16
    assert np.array_equal(out["new.w"], np.concatenate([OLD, BASE[3:]]).astype("f2"))
    out = bench.transfer(state(old_w=OLD), half, rules, paste=paste, dtype="source")
    assert np.array_equal(out["new.w"], np.concatenate([OLD, BASE[3:]]))
    assert out["new.w"].dtype == np.float32


@pytest.mark.parametrize(
    ("new", "paste", "words"),
    [
        (OLD, {}, "shape: tok.w → tok.w: float32 [vocab=3 embed=2] does not fit"),
        (OLD, {"tok.w": {"axis": "vocab", "at": 3}}, "3 + 3 entries are more than 5 of axis vocab"),
        (count(7, 2), {"tok.w": {"axis": 0}}, "0 + 7 entries are more than 5"),
        (count(3, 3), {"tok.w": {"axis": 0}}, "differs from"),
        (OLD, {"tok.w": {"axis": "out"}}, "has no axis out of its own"),
        (OLD, {"tok.w": {"axis": 2}}, "has no axis 2"),
        (BASE, {"rest": {"axis": 0}}, "paste.rest: no rule makes such"),
        (BASE, {"nope": {"axis": 0}}, "no rule makes such a tensor of the base"),
        (OLD, {"tok.w": 5}, "wants a map of axis, at, fill"),
        (OLD, {"tok.w": {"axis": -1}}, "paste.tok.w.axis"),
    ],
)
def test_a_paste_that_does_not_fit(bench: Bench, new: Array, paste: Any, words: str) -> None:
    lines = bench.refuse(state(tok_w=new), state(tok_w=BASE, rest=count(2)), paste=paste)
    assert any(words in line for line in lines), lines


def test_the_result_is_like_the_base(bench: Bench) -> None:
    base = state({"head": "tok"}, b=count(2), tok=count(3), head=count(3), a=count(4).astype("f8"))
    out = bench.transfer(state(a=count(4) + 1), base)
    with ws.open(bench.out) as made:
        assert dict(made.ties) == {"head": "tok"}
    assert out["a"].dtype == np.float64
    assert bench.actions() == {"a": "cast", "b": "kept", "tok": "kept", "head": "tied"}


@pytest.mark.parametrize("name", ["tok", "head"])
def test_writing_one_of_two_tied_names_writes_both(bench: Bench, name: str) -> None:
    base = state({"head": "tok"}, tok=count(3), head=count(3), z=count(1))
    tensors: dict[str, Any] = {name: count(3) + 5}
    bench.transfer(state(**tensors), base)
    with ws.open(bench.out) as made:
        assert made["tok"].numpy().tolist() == made["head"].numpy().tolist() == [5, 6, 7]
        assert len(made.ties) == 1


def test_two_values_for_one_tensor(bench: Bench) -> None:
    base = state({"head": "tok"}, tok=count(3), head=count(3))
    (line,) = bench.refuse(state(tok=count(3), head=count(3) + 1), base)
    assert "tied: head and tok are one tensor in the base, but would get different" in line
    bench.transfer(state({"head": "tok"}, tok=count(3), head=count(3)), base)  # tied there too
    with ws.open(bench.out) as made:
        assert len(made.ties) == 1


def test_a_transfer_of_nothing(bench: Bench) -> None:
    lines = bench.refuse(
        state(other=count(1)), state(a=count(2)), '- {from: "a", to: a, optional: true}'
    )
    assert any("nothing is transferred" in line for line in lines), lines
