"""assemble: parts chosen, renamed, joined, stacked, cut, renumbered; what is refused and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from porting import Array, Shell, Tensors, count, document, lines_of, save
from safetensors.numpy import load_file
from strategies import Memory, noise

import weightsurgeon as ws
from weightsurgeon.api import assemble, run
from weightsurgeon.errors import SurgeryError
from weightsurgeon.formats.base import Checkpoint, Meaning
from weightsurgeon.neutral import ties_of
from weightsurgeon.notation import parse
from weightsurgeon.outcome import Report
from weightsurgeon.planning import plan_run


class Bench:
    """States in memory, assembled into a file."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out.safetensors"
        self.report: Report | None = None

    def make(self, states: dict[str, Any], *parts: Any, **keys: Any) -> dict[str, Array]:
        bound: dict[str, Any] = {n: state(s) for n, s in states.items()}
        self.report = run(self.plan(*parts, **keys), **bound)
        return load_file(self.out)

    def plan(self, *parts: Any, **keys: Any) -> dict[str, Any]:
        step = {"parts": list(parts), "as": "x"} | keys
        output = {"from": "x", "path": self.out}
        return {"weightsurgeon": 1, "steps": [{"assemble": step}], "output": output}

    def refuse(self, states: dict[str, Any], *parts: Any, **keys: Any) -> list[str]:
        with pytest.raises(SurgeryError) as caught:
            self.make(states, *parts, **keys)
        assert not self.out.exists()
        return lines_of(caught.value)

    def lines(self, id: str) -> list[tuple[str, ...]]:
        assert self.report is not None
        return [x.names for x in self.report.lines if x.id == id]


def state(tensors: Any) -> Checkpoint:
    """Tensors as a state: `{name: array}`, or a Checkpoint."""
    if isinstance(tensors, Checkpoint):
        return tensors
    return Checkpoint(Memory(tensors), {}, None, "")


def meaning(tensors: Tensors, axes: dict[str, str], dialect: str | None = None) -> Checkpoint:
    """A state whose axes have names."""
    found = {n: Meaning("kernel", "linear", parse(a), "", {}, "file") for n, a in axes.items()}
    return Checkpoint(Memory(tensors), found, dialect, "stated")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


A, B = {"w": count(2), "b": count(3)}, {"w": count(2) + 5}


# -- from ------------------------------------------------------------------------------------


def test_parts_stand_under_their_prefixes(bench: Bench) -> None:
    out = bench.make({"a": A, "b": B}, {"from": "a", "prefix": "x."}, {"from": "b", "prefix": "y/"})
    assert {n: v.tolist() for n, v in out.items()} == {
        "x.w": [0, 1],
        "x.b": [0, 1, 2],
        "y/w": [5, 6],
    }


def test_take_drop_and_rename_come_before_the_prefix(bench: Bench) -> None:
    tensors = {"head.a.w": count(1), "head.aux.w": count(2), "body.w": count(3)}
    part = {"from": "h", "take": "head.*", "drop": "*.aux.*", "prefix": "p."}
    out = bench.make({"h": tensors}, part | {"rename": {"head.{n:path}": "classifier.{n}"}})
    assert list(out) == ["p.classifier.a.w"]
    assert bench.lines("unmatched-source") == [("head.aux.w", "body.w")]  # answer 59: listed


def test_a_part_through_a_mapping(bench: Bench, tmp_path: Path) -> None:
    rules = "- {layer: fc, to: head, kind: linear}"
    (tmp_path / "m.yaml").write_text(document(rules, "keras", "torch"))
    tensors = {"fc/kernel": count(2, 3), "fc/bias": count(3)}
    out = bench.make({"k": tensors}, {"from": "k", "mapping": tmp_path / "m.yaml", "prefix": "m."})
    assert np.array_equal(out["m.head.weight"], count(2, 3).T)


def test_parts_of_two_frameworks(bench: Bench) -> None:
    tensors = {"fc/kernel": count(2, 3)}
    about = Meaning("kernel", "linear", parse("in out"), "fc", {}, "file")
    keras = Checkpoint(Memory(tensors), {"fc/kernel": about}, "keras", "stated")
    torch = meaning({"l.weight": count(3, 2)}, {"l.weight": "out in"}, "torch")
    parts = {"from": "k", "prefix": "k."}, {"from": "t", "prefix": "t."}
    (line,) = bench.refuse({"k": keras, "t": torch}, *parts)
    assert "several dialects (k keras, t torch): say `to`" in line
    out = bench.make({"k": keras, "t": torch}, *parts, to="torch")
    assert np.array_equal(out["k.fc.weight"], count(2, 3).T)
    assert np.array_equal(out["t.l.weight"], count(3, 2))


# -- concat, stack, crop ---------------------------------------------------------------------


@given(
    rows=st.lists(st.integers(0, 3), min_size=2, max_size=4),
    axis=st.integers(0, 2),
    dtype=st.sampled_from(["float32", "bfloat16", "int8", "bool"]),
)
def test_concat_is_that_of_numpy(rows: list[int], axis: int, dtype: str) -> None:
    """Answer 57: uneven shards, any axis, by its name."""
    shapes = [tuple(n if i == axis else 2 for i in range(3)) for n in rows]
    arrays = [noise(shape, dtype, i) for i, shape in enumerate(shapes)]
    names = ("out", "in", "kw")
    states = {f"s{i}": meaning({"q.w": x}, {"q.w": " ".join(names)}) for i, x in enumerate(arrays)}
    part = {"concat": [f"{alias}:*.w" for alias in states], "axis": names[axis]}
    step = {"assemble": {"parts": [part], "as": "x"}}
    out = {"from": "x", "path": "never.safetensors"}
    plan = plan_run({"weightsurgeon": 1, "steps": [step], "output": out}, aliases=states)
    assert plan.outputs["q.w"].numpy().tobytes() == np.concatenate(arrays, axis).tobytes()
    assert str(plan.specs["q.w"].axes) == "out in kw"


TP = {"tp0": {"a.q": count(2, 2), "b.q": count(2, 2)}, "tp1": {"a.q": count(1, 2) + 9}}


def test_what_does_not_join_is_told(bench: Bench) -> None:
    part = {"concat": ["tp0:*.q", "tp1:*.q"], "axis": 0}
    (line,) = bench.refuse(TP, part)
    assert "steps.0.assemble.parts.0: tp1:b.q is not there" in line
    (line,) = bench.refuse(TP, part | {"concat": ["tp0:a.q", "tp1:a.q"], "axis": 1})
    assert "tp0:a.q, tp1:a.q: concat along axis 1" in line
    (line,) = bench.refuse(TP, part | {"concat": ["tp0:a.q", "tp1:a.q"], "axis": "out"})
    assert "its axes have no names; give the number" in line
    out = bench.make(TP, part | {"concat": ["tp0:a.q", "tp1:a.q"], "to": "c"})
    assert np.array_equal(out["c"], np.concatenate([TP["tp0"]["a.q"], TP["tp1"]["a.q"]]))
    assert bench.lines("axis") == [("c",)]
    assert bench.lines("unmatched-source") == [("b.q",)]


def test_dtypes_that_differ_are_not_joined(bench: Bench) -> None:
    """Answer 73."""
    states = {"a": {"w": noise((2,), "bfloat16")}, "b": {"w": count(2)}}
    (line,) = bench.refuse(states, {"concat": ["a:w", "b:w"], "axis": 0})
    assert "a:w, b:w: concat: dtypes differ, float32 (2,) and bfloat16 (2,)" in line


def test_a_stack_is_in_the_order_of_numbers(bench: Bench) -> None:
    """Answer 57: 10 comes after 9."""
    experts = {f"e.{i}.w": np.full((2,), i, "f4") for i in [10, 1, *range(2, 10), 0]}
    moe = meaning(experts, dict.fromkeys(experts, "out"))
    part = {"stack": "moe:e.*.w", "axis": "expert", "to": "e.w"}
    out = bench.make({"moe": moe}, part)
    assert out["e.w"][:, 0].tolist() == list(range(11))
    with ws.open(bench.out) as made:
        assert str(made["e.w"].spec.axes) == "expert out"
    bench.out.unlink()
    holes = {n: x for n, x in experts.items() if n not in ("e.3.w", "e.7.w")}
    (line,) = bench.refuse({"moe": holes}, part)
    assert "moe:e.*.w: no 3, 7" in line


def test_a_crop_by_name(bench: Bench) -> None:
    big = meaning({"tok": count(5, 2)}, {"tok": "vocab embed"})
    part = {"crop": "big:tok", "axis": "vocab", "range": [1, 3]}
    out = bench.make({"big": big}, part)
    assert np.array_equal(out["tok"], count(5, 2)[1:3])
    bench.out.unlink()
    (line,) = bench.refuse({"big": big}, part | {"range": [1, 9]})
    assert "big:tok: crop: 1..9 does not lie in axis 0" in line


# -- layers ----------------------------------------------------------------------------------


def deep(n: int, start: int = 0) -> Tensors:
    return {f"h.{i}.w": np.full(1, i + start, "f4") for i in range(n)} | {"tok": count(1)}


def test_layers_are_numbered_anew(bench: Bench) -> None:
    of = [{"from": "a", "range": [0, 3]}, {"from": "b", "range": [1, 3]}]
    layers = {"layers": "h.{i}.", "of": of}
    out = bench.make({"a": deep(4), "b": deep(3, 50)}, layers, {"from": "a", "take": "tok"})
    assert [int(out[f"h.{i}.w"][0]) for i in range(5)] == [0, 1, 2, 51, 52]
    assert bench.lines("unmatched-source") == [("h.3.w",), ("h.0.w", "tok")]
    twice = [{"from": "a", "range": [0, 3]}, {"from": "a", "range": [1, 4]}]  # depth up-scaling
    out = bench.make({"a": deep(4)}, layers | {"of": twice}, {"from": "a", "take": "tok"})
    assert [int(out[f"h.{i}.w"][0]) for i in range(6)] == [0, 1, 2, 1, 2, 3]
    bench.out.unlink()
    (line,) = bench.refuse({"a": deep(2), "b": deep(3)}, layers)
    assert "a:h.{i}. has no layer 2" in line


# -- conflicts, ties, expectations -----------------------------------------------------------


def test_a_name_of_two_parts(bench: Bench) -> None:
    """Answer 59."""
    parts = {"from": "a"}, {"from": "b"}
    (line,) = bench.refuse({"a": A, "b": {"w": A["w"]}}, *parts)  # equal bytes or not
    assert "w comes from steps.0.assemble.parts.0 and steps.0.assemble.parts.1" in line
    assert bench.make({"a": A, "b": B}, *parts, conflicts="last")["w"].tolist() == [5, 6]
    assert bench.lines("collision") == [("w",)]
    assert bench.make({"a": A, "b": B}, *parts, conflicts="first")["w"].tolist() == [0, 1]


def tied() -> Checkpoint:
    source = Memory({"tok": count(2), "head": count(2)}, ties={"head": "tok"})
    return Checkpoint(source, {}, None, "")


def ties(path: Path) -> dict[str, str]:
    with ws.open(path) as made:
        return dict(made.ties) | ties_of(made.source)


def test_ties_live_on_under_the_new_names(bench: Bench) -> None:
    out = bench.make({"a": tied()}, {"from": "a", "prefix": "x."})
    assert list(out) == ["x.tok"]
    assert ties(bench.out) == {"x.head": "x.tok"}
    bench.make({"a": tied()}, {"from": "a", "take": "head"})  # one of the two names alone
    assert ties(bench.out) == {}
    bench.make(
        {"a": tied(), "b": {"tok": count(2)}}, {"from": "a"}, {"from": "b"}, conflicts="last"
    )
    assert ties(bench.out) == {}
    assert sorted(load_file(bench.out)) == ["head", "tok"]


def test_ties_that_the_plan_asks_for(bench: Bench) -> None:
    part = {"from": "a"}
    bench.make({"a": A}, part, ties={"other": "w"})
    assert ties(bench.out) == {"other": "w"}
    bench.make({"a": A | {"z": A["w"]}}, part, ties={"z": "w"})  # the same bytes: stored once
    assert ties(bench.out) == {"z": "w"}
    assert sorted(load_file(bench.out)) == ["b", "w"]
    bench.make({"a": tied()}, part, ties={"head": "tok", "tok": "head", "more": "head"})
    assert ties(bench.out) == {"head": "tok", "more": "tok"}
    bench.out.unlink()
    for asked, words in {
        "x": "ties.z: there is no x",
        "z": "a tensor tied to itself",
        "b": "z and b are tied, but differ: float32 (2,) and float32 (3,)",
        "w": "z and w are tied, but differ; first at flat index 0",
    }.items():
        (line,) = bench.refuse({"a": A | {"z": B["w"]}}, part, ties={"z": asked})
        assert words in line


def test_what_is_expected(bench: Bench) -> None:
    like = {"b": count(3), "new": count(4), "w": count(2)}
    states = {"a": A, "t": like}
    part, expect = {"from": "a"}, {"like": "t"}
    (line,) = bench.refuse(states, part, expect=expect)
    assert "unmatched-target: steps.0.assemble.expect: new float32 (4,): no part makes it" in line
    out = bench.make(states, part, expect=expect, missing={"fill": "zeros"})
    assert out["new"].tolist() == [0] * 4
    out = bench.make(states, part, expect=expect, missing={"from": "t"})
    assert out["new"].tolist() == [0, 1, 2, 3]
    assert bench.lines("kept") == [("new",)]
    bench.out.unlink()
    lines = bench.refuse(
        {"a": A | {"odd": count(1)}, "t": like | {"w": count(3)}}, part, expect=expect
    )
    assert any("no-such-target" in x and "odd is made" in x for x in lines)
    assert any("shape" in x and "w is float32 (2,), expected is float32 (3,)" in x for x in lines)
    assert len(lines) == 3


def test_metadata_of_the_first_part_stays(tmp_path: Path) -> None:
    a = save(tmp_path / "a.safetensors", {"x": count(1)}, {"author": "a", "note": "n"})
    b = save(tmp_path / "b.safetensors", {"y": count(1)}, {"author": "b", "more": "m"})
    report = assemble({"": a, "b.": b}, out=tmp_path / "o.safetensors")
    with ws.open(tmp_path / "o.safetensors") as made:
        found = {k: v for k, v in made.source.metadata.items() if not k.startswith("weights")}
    assert found == {"author": "a", "note": "n", "more": "m"}
    assert [(x.id, x.names) for x in report.lines] == [("metadata", ("author",))]


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (5, "a part has exactly one of from, concat, stack, crop, layers"),
        ({"from": "a", "crop": "a:w"}, "a part has exactly one of"),
        ({"from": "z"}, "there is no 'z' here; known: a"),
        ({"from": "a", "take": "q*"}, "yields nothing: it takes 0 of 2 tensors"),
        ({"from": "a", "drop": "*"}, "it takes 2 of 2 tensors and drops 2"),
        ({"from": "a", "drop": "q"}, "parts.0.drop: matches nothing that is taken"),
        ({"from": "a", "take": 5}, "parts.0.take: a selector is a glob"),
        ({"from": "a", "rename": {"q.{x}": "r.{x}"}}, "rename.q.{x}: renames nothing"),
        ({"from": "a", "rename": {"{x}": "r"}}, "only one has x"),
        (
            {"from": "a", "rename": {"{x}": "{x}"}, "mapping": "m"},
            "`mapping` or `rename`, not both",
        ),
        ({"from": "a", "mapping": "no-such"}, "there is no mapping no-such"),
        ({"concat": ["a:w"], "axis": 0}, "wants two tensors or more"),
        ({"concat": ["a:w", "a:*"], "axis": 0}, "all of them with a * or none"),
        ({"concat": ["w", "a:b"], "axis": 0}, "'w': wants ALIAS:NAME"),
        ({"concat": ["a:w", "a:b"], "axis": 7}, "has no axis 7"),
        ({"concat": ["a:w", "a:b"], "axis": 0, "to": "*"}, "`to` has a * where the tensors"),
        ({"concat": ["a:*x*", "a:b"], "axis": 0}, "in which one * may stand"),
        ({"stack": "a:w", "axis": "expert", "to": "x"}, "wants one * where the number stands"),
        ({"stack": "a:*", "axis": "expert", "to": "x"}, "'w' is no number"),
        ({"stack": "a:*", "axis": "(", "to": "x"}, "axis: layout '('"),
        ({"stack": "a:q*", "axis": "e", "to": "x"}, "a:q* matches no tensor"),
        ({"crop": "a:w", "axis": 0, "range": [1]}, "range wants two rising numbers"),
        ({"crop": "a:w", "axis": 0, "range": [2, 1]}, "range wants two rising numbers"),
        ({"layers": "h.", "of": []}, "wants one {i} with a separator"),
        ({"layers": "h.{i}.", "of": [{"from": "a", "range": [2, 2]}]}, "two rising numbers"),
        ({"layers": "h.{i}.", "of": [{"from": "a"}]}, "the key 'range' is missing"),
    ],
)
def test_a_part_is_refused(bench: Bench, part: Any, words: str) -> None:
    lines = bench.refuse({"a": A}, part)
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"missing": "error"}, "missing: has a meaning beside `expect` only"),
        ({"expect": {"like": "a"}, "missing": "zeros"}, "wants error | {from: STATE} | {fill"),
        ({"expect": 5}, "expect: wants a map of like"),
        ({"conflicts": "newest"}, "conflicts wants error | first | last"),
        ({"parts": []}, "parts: wants one part or more"),
        ({"to": "jax"}, "to wants keras | torch"),
    ],
)
def test_an_assembly_is_refused(bench: Bench, keys: dict[str, Any], words: str) -> None:
    lines = bench.refuse({"a": A}, {"from": "a"}, **keys)
    assert any(words in line for line in lines), lines


def test_problems_of_all_parts_are_told_at_once(bench: Bench) -> None:
    lines = bench.refuse(
        {"a": A}, {"from": "a", "take": "q"}, {"crop": "a:w", "axis": 0, "range": [0, 9]}
    )
    assert len(lines) == 2


# -- the command line ------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = save(tmp_path / "a.safetensors", {"w": count(2)})
    b = save(tmp_path / "b.safetensors", {"w": count(2)})
    shell, out = Shell(capsys), tmp_path / "o.safetensors"
    words = ["assemble", "-o", out, "--part", f"={a}", "--part", f"x.={b}", "--tie", "t=w"]
    called = shell(*words, "--explain")
    assert (called.code, sorted(load_file(out))) == (0, ["w", "x.w"])
    assert "steps.0.assemble.parts.1" in called.out
    assert ties(out) == {"t": "w"}
    assert "stands twice" in shell(*words, "--part", f"={b}").err
    assert "--part wants NAME=VALUE" in shell("assemble", "-o", out, "--part", "x").err
