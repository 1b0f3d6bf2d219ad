"""A plan is a value: hashed, stored, read back, told in words, refused whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from strategies import Memory, noise

from weightsurgeon.errors import MappingError, MissingTensor, OutputError, PlanError
from weightsurgeon.expr import show
from weightsurgeon.formats.base import Checkpoint, Meaning, Source
from weightsurgeon.layout import relayout
from weightsurgeon.mapping.derived import Derived
from weightsurgeon.notation import parse
from weightsurgeon.ops.arithmetic import cast, full
from weightsurgeon.ops.movement import concat, crop, take
from weightsurgeon.plan import Draft, Origin, Plan, Target
from weightsurgeon.simplify import simplify


def source() -> Source:
    return Memory({"w": noise((2, 3), "float32"), "v": noise((2, 3), "float32", 1)})


def plan_of(s: Source) -> Plan:
    x = Checkpoint(s, {"w": Meaning(axes=parse("in out"))}, None, "")
    outputs = {
        "turned": simplify(relayout(x["w"], parse("in out"), parse("out in"))),
        "made": full((2,), "float32", 0.5, parse("a")),
        "all": concat([crop(x["w"], 0, 0, 1), take(x["v"], 0, (1, 0))], 0),
        "half": cast(x["v"], "float16"),
    }
    origins = {"turned": Origin("port.yaml:3", ("w",), "layout")}
    target = Target("out.pt", "torch", "torch")
    return Plan(outputs, {"s": s}, target, {"tied": "half"}, origins=origins)


def test_a_plan_as_data_is_read_back() -> None:
    s = source()
    plan = plan_of(s)
    data = json.loads(json.dumps(plan.to_json()))
    again = Plan.from_json(data, {"s": s})
    assert again.outputs == plan.outputs
    assert (again.ties, again.target) == (plan.ties, plan.target)
    assert again.hash() == plan.hash() == data["hash"]


def test_the_hash_is_of_what_is_done() -> None:
    one, other = plan_of(source()), plan_of(source())
    assert one.hash() == other.hash()
    other.sources["s"].path = "elsewhere"
    assert one.hash() == other.hash()
    changed = Plan({**one.outputs, "half": cast(one.outputs["half"], "bfloat16")}, one.sources)
    assert changed.hash() != one.hash()
    assert Plan(one.outputs, one.sources).hash() != one.hash()  # a tie less


def test_the_hash_is_the_same_in_every_process() -> None:
    code = "from test_plan import *; print(plan_of(source()).hash())"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    for seed in ("1", "77"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == plan_of(source()).hash()


def test_a_stored_plan_must_fit_its_sources() -> None:
    data = plan_of(source()).to_json()
    narrow = Memory({"w": noise((2, 3), "float32"), "v": noise((2, 3), "float16")})
    with pytest.raises(PlanError, match="float16"):
        Plan.from_json(data, {"s": narrow})
    with pytest.raises(PlanError, match=r"no tensor v$"):
        Plan.from_json(data, {"s": Memory({"w": noise((2, 3), "float32")})})
    with pytest.raises(PlanError, match=r"no source s$"):
        Plan.from_json(data, {})


def test_a_plan_in_words() -> None:
    lines = list(plan_of(source()).explain())
    assert lines[0] == (
        "turned  float32 [out=3 in=2]  ← permute(w, order=(1, 0))  (port.yaml:3, layout)"
    )
    assert lines[-1] == "tied  = half (tied)"
    assert str(plan_of(source())) == "\n".join(lines)


def test_totals() -> None:
    plan = plan_of(source())
    assert plan.nbytes == 24 + 8 + 36 + 12
    assert {n: s.shape for n, s in plan.specs.items()}["all"] == (3, 3)


def test_a_draft_refuses_once_with_every_reason() -> None:
    draft = Draft()
    draft.refuse_if_problems()
    draft.problem(OutputError("b"))
    draft.problem(PlanError([OutputError("c"), MappingError("x", "a")]))
    draft.line("unused", "not used", ("q",))
    with pytest.raises(PlanError) as caught:
        draft.refuse_if_problems()
    assert str(caught.value).split("\n") == ["b", "c", "x: a"]
    assert draft.lines[0].names == ("q",)


def test_the_result_of_a_step_is_a_checkpoint() -> None:
    derived = Derived(plan_of(source()))
    assert list(derived) == ["turned", "made", "all", "half", "tied"]
    assert derived.ties == {"tied": "half"}
    assert show(derived["tied"]) == "cast(v, dtype=float16, overflow=error)"
    with pytest.raises(MissingTensor, match="the step makes no tensor x"):
        derived["x"]
