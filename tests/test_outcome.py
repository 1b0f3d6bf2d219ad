"""The report says what was done, as text and as data."""

from __future__ import annotations

import json

from strategies import Memory, noise

from weightsurgeon.expr import array
from weightsurgeon.formats.base import Checkpoint, Meaning
from weightsurgeon.layout import relayout
from weightsurgeon.notation import parse
from weightsurgeon.ops.arithmetic import cast, full
from weightsurgeon.ops.movement import permute, reshape
from weightsurgeon.outcome import action_of, report
from weightsurgeon.plan import Line, Origin, Plan, Target


def plan_of() -> Plan:
    source = Memory({f"l{i}/kernel": noise((2, 3), "float32", i) for i in range(3)})
    source.remarks.append("odd but legal")
    meanings = {name: Meaning(axes=parse("in out")) for name in source.specs}
    x = Checkpoint(source, meanings, "keras", "file")
    outputs = {
        f"l{i}.weight": relayout(x[f"l{i}/kernel"], parse("in out"), parse("out in"))
        for i in range(3)
    }
    origins = {n: Origin("port\x1b.yaml:1", (n.replace(".weight", "/kernel"),)) for n in outputs}
    outputs["half"] = cast(x["l0/kernel"], "float16")
    outputs["both"] = cast(permute(x["l0/kernel"], (1, 0)), "float16")
    outputs["step"] = full((), "int64")
    origins["step"] = Origin(class_="made", action="made")
    unused = (*(f"u.{i}" for i in range(9)), "b", "c")
    lines = (Line("unused", "not used by any rule", unused),)
    target = Target("out.pt", "torch", "torch")
    return Plan(outputs, {"s": source}, target, {"tied": "half"}, origins=origins, lines=lines,
                notes=("a note\x07",))  # fmt: skip


def test_what_happens_to_each_output() -> None:
    plan = plan_of()
    assert {name: action_of(plan, name) for name in plan.outputs} == {
        "l0.weight": "relaid", "l1.weight": "relaid", "l2.weight": "relaid",
        "half": "cast", "both": "computed", "step": "made",
    }  # fmt: skip


def test_the_report_in_words() -> None:
    found = report(plan_of(), "port", written=True)
    assert str(found).split("\n") == [
        "l{0..2}.weight ×3  relaid    in out → out in  port\\x1b.yaml:1",
        "half               cast",
        "both               computed  in out → out in",
        "step               made",
        "tied               tied      = half",
        "unused: not used by any rule: u.{0..8} ×9, b, c",
        "remark: odd but legal",
        "note: a note\\x07",
        "3 relaid, 1 cast, 1 computed, 1 made, 1 tied · 104 B → out.pt",
    ]
    assert str(report(plan_of(), "port", written=False)).endswith("104 B would go to out.pt")


def test_long_lists_are_cut_unless_all_is_asked_for() -> None:
    line = Line("unused", "not used", tuple("abcdefgh"))
    found = report(Plan({}, {}, lines=(line,)), "port", written=False)
    assert next(found.text()) == "unused: not used: a, b, c, d, e and 3 more (--all)"
    assert next(found.text(everything=True)) == "unused: not used: a, b, c, d, e, f, g, h"
    assert str(found).split("\n")[-1] == "no tensors · 0 B would go to nowhere"


def test_the_report_as_data() -> None:
    data = json.loads(json.dumps(report(plan_of(), "port", written=True).to_json()))
    assert data["weightsurgeon_json"] == 1
    assert data["output"] == {
        "path": "out.pt", "container": "torch", "dialect": "torch", "tensors": 7, "bytes": 104,
        "written": True,
    }  # fmt: skip
    assert data["tensors"][0] == {
        "name": "l0.weight", "from": ["l0/kernel"], "rule": "port\x1b.yaml:1", "action": "relaid",
        "class": "exact",
    }  # fmt: skip
    assert [line["id"] for line in data["lines"]] == ["unused", "remark"]
    assert data["inputs"] == [{"path": "memory"}]


def test_what_keeps_its_values_is_copied_however_it_is_read() -> None:
    found = report(Plan({"x": reshape(array([1]), (1, 1))}, {}), "port", written=False)
    assert found.rows[0].action == "copied"
