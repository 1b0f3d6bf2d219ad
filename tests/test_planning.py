"""From what the user names to a plan: steps, dialects, containers; the plan as data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from porting import Bench, count, document, lines_of, mapping, save
from safetensors.numpy import load_file

from weightsurgeon.api import run
from weightsurgeon.errors import OutputError, PlanError
from weightsurgeon.plan import Plan
from weightsurgeon.planning import plan_port

A, B = count(2), count(3)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def plan_of(folder: Path, steps: str, output: str = "b", sources: str = "") -> Path:
    path = folder / "plans" / "p.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "weightsurgeon: 1\n"
        f"sources:\n  a: ../a.safetensors\n{sources}"
        f"steps:\n{steps}\n"
        f"output: {{from: {output}, path: ../out.safetensors}}\n"
    )
    return path


def write_mapping(folder: Path, name: str, rules: str, more: str = "") -> None:
    (folder / "plans").mkdir(exist_ok=True)
    (folder / "plans" / name).write_text(document(rules, "keras", "torch", more))


# -- plans in YAML ---------------------------------------------------------------------------


def test_one_step_with_paths_relative_to_the_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.sep)
    save(bench.folder / "a.safetensors", {"fc/kernel": count(2, 3)})
    write_mapping(bench.folder, "m.yaml", "- {layer: fc, to: head, kind: linear}")
    report = run(plan_of(bench.folder, "- transfer: {from: a, mapping: m, as: b}"))
    out = load_file(bench.output)
    assert np.array_equal(out["head.weight"], count(2, 3).T)
    assert (report.command, report.rows[0].rule) == ("run", "m.yaml:5")
    assert report.rows[0].sources == ("fc/kernel",)


def test_a_plan_without_steps_is_a_copy(bench: Bench) -> None:
    save(bench.folder / "a.safetensors", {"x.w": A, "y": B})
    path = plan_of(bench.folder, "[]", output="a")
    path.write_text(path.read_text().replace("steps:\n[]", "steps: []"))
    run(path)
    assert sorted(load_file(bench.output)) == ["x.w", "y"]


STEPS = """\
- transfer: {from: a, mapping: one, as: b}
- transfer: {from: b, mapping: two, into: old, as: c}"""


def two_steps(bench: Bench, copy: bool = False) -> Path:
    tensors = {"fc/kernel": count(2, 3), "fc/bias": B}
    save(bench.folder / "a.safetensors", tensors | ({"twin/bias": B + 1} if copy else {}))
    save(bench.folder / "old.safetensors", {"z.weight": count(3, 2), "z.bias": B, "rest": 9 * A})
    drop = '- {drop: "twin/*", equal_to: fc/bias, optional: true}\n'
    write_mapping(
        bench.folder, "one.yaml", f"{drop}- {{layer: fc, to: y, kind: linear}}", "notes: [first]"
    )
    rules = document('- {from: "y.{l}", to: "z.{l}"}', more="notes: [second]")
    (bench.folder / "plans" / "two.yaml").write_text(rules)
    return plan_of(bench.folder, STEPS, "c", "  old: {path: ../old.safetensors}\n")


def test_a_step_reads_what_another_makes(bench: Bench) -> None:
    report = run(two_steps(bench))
    out = load_file(bench.output)
    assert np.array_equal(out["z.weight"], count(2, 3).T)
    assert np.array_equal(out["rest"], 9 * A)
    assert report.notes == ("first", "second")  # of both mappings
    assert [(x.id, x.names) for x in report.lines] == [("kept", ("rest",))]


def test_every_step_is_checked_before_anything_is_written(bench: Bench) -> None:
    with pytest.raises(PlanError) as caught:
        run(two_steps(bench, copy=True))
    (line,) = lines_of(caught.value)
    assert "one.yaml:5: unequal: twin/bias differs from fc/bias" in line
    assert not bench.output.exists()


def test_the_mappings_of_all_steps_are_recorded(bench: Bench) -> None:
    run(two_steps(bench))
    for name in ("one", "two"):
        from weightsurgeon.api import port

        with pytest.raises(PlanError, match="twice"):
            port(bench.output, bench.folder / "x.safetensors", bench.folder / f"plans/{name}.yaml")


def test_into_in_a_plan_can_refuse_to_keep(bench: Bench) -> None:
    path = two_steps(bench)
    path.write_text(path.read_text().replace("into: old,", "into: old, kept: error,"))
    with pytest.raises(PlanError, match="unmatched-target: rest"):
        run(path)


def test_what_is_unused_in_a_step_can_be_listed(bench: Bench) -> None:
    save(bench.folder / "a.safetensors", {"x.w": A, "y": B})
    write_mapping(bench.folder, "m.yaml", "- {from: x.w, to: x.w}")
    for unused, count_ in (("list", 1), ("ignore", 0)):
        step = f"- transfer: {{from: a, mapping: m, as: b, unused: {unused}}}"
        report = run(plan_of(bench.folder, step))
        assert len(report.lines) == count_
    with pytest.raises(PlanError, match="unmatched-source: y"):
        run(plan_of(bench.folder, "- transfer: {from: a, mapping: m, as: b}"))


def test_sizes_and_a_template_in_a_step(bench: Bench) -> None:
    save(bench.folder / "a.safetensors", {"q": count(6, 4)})
    save(bench.folder / "t.safetensors", {"q": np.zeros((4, 3, 2), "f4")})
    write_mapping(bench.folder, "m.yaml", '- {from: q, to: q, layout: "(h k) d -> d h k"}')
    step = "- transfer: {from: a, mapping: m, template: t, sizes: {h: 3}, as: b}"
    run(plan_of(bench.folder, step, sources="  t: ../t.safetensors\n"))
    wanted = count(6, 4).reshape(3, 2, 4).transpose(2, 0, 1)
    assert np.array_equal(load_file(bench.output)["q"], wanted)


def test_ties_pass_through_steps(bench: Bench) -> None:
    save(bench.folder / "a.safetensors", {"tok": A})
    write_mapping(bench.folder, "m.yaml", "- {from: tok, to: tok}\n- {tie: head, with: tok}")
    (bench.folder / "plans" / "n.yaml").write_text(document('- {from: "{n}", to: "x.{n}"}'))
    steps = "- transfer: {from: a, mapping: m, as: b}\n- transfer: {from: b, mapping: n, as: c}"
    report = run(plan_of(bench.folder, steps, "c"))
    assert {row.name: row.action for row in report.rows} == {"x.tok": "copied", "x.head": "tied"}


# -- the plan as data ------------------------------------------------------------------------

RULES = """\
- {from: q, to: q, layout: "(h k) d -> -d h k", sizes: {h: 3}}
- {from: r, to: r, layout: "(g:ifgo u) d -> d (g:ifog u)", cast: bfloat16}
- {from: s, to: t}
- {init: new, shape: [2, 2], value: 0.5, dtype: float16}
- {layer: bn, to: bn, kind: batchnorm}
- {tie: other, with: t}"""
TENSORS = {
    "q": count(6, 4),
    "r": count(4, 3),
    "s": A,
    **{f"bn/{x}": A for x in ("gamma", "beta", "moving_mean", "moving_variance")},
}


def compiled(folder: Path, output: str = "out.safetensors") -> Plan:
    source = save(folder / "in.safetensors", TENSORS)
    return plan_port(source, folder / output, mapping(RULES, "keras", "torch"))


def test_a_plan_is_data_and_comes_back(bench: Bench) -> None:
    plan = compiled(bench.folder)
    data = json.loads(json.dumps(plan.to_json()))
    again = Plan.from_json(data, plan.sources)
    assert again.hash() == plan.hash() == data["hash"]
    assert again.specs == plan.specs
    assert list(again.outputs) == list(plan.outputs)
    assert again.ties == plan.ties == {"other": "t"}
    assert again.lines == plan.lines
    assert again.target == plan.target
    for name, expr in plan.outputs.items():
        assert again.outputs[name].numpy().tobytes() == expr.numpy().tobytes()
    assert Plan.from_json(again.to_json(), plan.sources).to_json() == again.to_json()


def test_a_plan_does_not_fit_other_files(bench: Bench, tmp_path: Path) -> None:
    from weightsurgeon.api import open as open_

    plan = compiled(bench.folder)
    save(tmp_path / "other.safetensors", TENSORS | {"s": B})
    with open_(tmp_path / "other.safetensors") as other, pytest.raises(PlanError):
        Plan.from_json(plan.to_json(), {"source": other.source})


def test_the_hash_is_independent_of_paths(bench: Bench, tmp_path: Path) -> None:
    one = compiled(bench.folder)
    other = compiled(tmp_path / "elsewhere", "y.safetensors")
    assert one.hash() == other.hash()
    renamed = mapping(
        RULES.replace("to: t}", "to: u}").replace("with: t", "with: u"), "keras", "torch"
    )
    assert plan_port(bench.folder / "in.safetensors", "x.safetensors", renamed).hash() != one.hash()


def test_a_plan_explains_itself(bench: Bench) -> None:
    text = str(compiled(bench.folder))
    assert "new  float16 (2, 2)  ← full(" in text
    assert "(m.yaml:5, exact)" in text
    assert "other  = t (tied)" in text


# -- containers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.xyz", "no container has this suffix; known: .safetensors .safetensors.index.json"),
        ("out", "no container has this suffix"),
        ("out.keras", "keras needs a structure to fill: give --template or --into"),
        ("out.weights.h5", "needs a structure to fill"),
    ],
)
def test_a_container_that_cannot_be_made(bench: Bench, name: str, words: str) -> None:
    source = save(bench.folder / "in.safetensors", {"fc.bias": A})
    rules = mapping("- {from: fc.bias, to: fc/bias}", "torch", "keras")
    with pytest.raises((OutputError, PlanError), match=words):
        plan_port(source, bench.folder / name, rules)


def test_a_dtype_or_a_name_that_the_container_cannot_hold(bench: Bench) -> None:
    source = save(bench.folder / "in.safetensors", {"a": np.zeros(2, "uint16"), "__metadata__x": A})
    with pytest.raises(PlanError) as caught:
        plan_port(source, bench.output, mapping("- {from: a, to: __metadata__}\n- {drop: '*'}"))
    (line,) = lines_of(caught.value)
    assert "__metadata__ cannot be a tensor's name in safetensors" in line
