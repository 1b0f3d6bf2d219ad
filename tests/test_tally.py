"""What ops count reaches the report, and is no part of what a plan is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from strategies import Memory, noise

from weightsurgeon.expr import Expr, Op, apply, show
from weightsurgeon.outcome import report
from weightsurgeon.plan import Line, Plan, Target
from weightsurgeon.tally import Tally, counted, tallies
from weightsurgeon.writing import write


def _compute(expr: Expr, block: Any, values: Any) -> Any:
    expr.params["tally"].add(negative=int(np.count_nonzero(values[0] < 0)))
    return values[0]


COUNT = Op("count", lambda specs, tally: specs[0], lambda expr, block: [block], _compute)


def test_what_blocks_count_is_in_the_report_once(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 10, dtype="f4")
    source = Memory({"x": values})
    tally = Tally()
    x = apply(COUNT, _leaf(source), tally=tally)
    plan = Plan(
        {"x": x},
        {"s": source},
        Target(str(tmp_path / "o.safetensors"), "safetensors"),
        after=(lambda: [Line("stall", f"{tally.counts['negative']} are negative")],),
    )
    tally.add(negative=7)  # as a reduction would that evaluates x before it is written
    write(plan)
    found = report(plan, "run", written=True)
    assert found.rows[0].counts == {"negative": 5}
    assert found.to_json()["tensors"][0]["counts"] == {"negative": 5}
    assert "elements: 5 negative" in str(found)
    assert "stall: 5 are negative" in str(found)
    assert "stall" not in str(report(plan, "run", written=False))


def _leaf(source: Memory) -> Expr:
    return leaf_of(source, "x")


def leaf_of(source: Memory, name: str) -> Expr:
    from weightsurgeon.expr import leaf

    return leaf(source, name, source.specs[name])


def test_a_tally_is_no_part_of_what_an_expression_is() -> None:
    source = Memory({"x": noise((3,), "float32")})
    one, other = (apply(COUNT, _leaf(source), tally=Tally()) for _ in range(2))
    other.params["tally"].add(negative=1)
    assert one == other
    assert show(one) == "count(x)"
    plans = [Plan({"x": x}, {"s": source}) for x in (one, other)]
    assert plans[0].hash() == plans[1].hash()
    assert counted(other) == {"negative": 1}
    assert len(list(tallies(other))) == 1


def test_what_an_earlier_state_counted_is_not_told_of_the_output() -> None:
    from weightsurgeon.ops.masking import masked

    source = Memory({"x": noise((4,), "float32"), "keep": np.array([True, False, True, True])})
    keep = leaf_of(source, "keep")
    first = masked(_leaf(source), keep, Tally())
    last = masked(first, keep, Tally())
    first.params["tally"].add(zeros=5)  # more than once: for the ranking, and for the values
    last.params["tally"].add(zeros=2)
    assert counted(last) == {"zeros": 2}
