"""What a plan will cost, told before a byte is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from porting import Shell, count, save

from weightsurgeon.api import open as open_
from weightsurgeon.costs import Cost, bytes_read, cost_of
from weightsurgeon.expr import array
from weightsurgeon.ops.arithmetic import cast, full
from weightsurgeon.ops.movement import concat, crop, permute
from weightsurgeon.ops.reduction import DIFFER
from weightsurgeon.pending import reduction
from weightsurgeon.plan import Check, Plan
from weightsurgeon.surgery import plan_cast, plan_reshard
from weightsurgeon.workers import PIECE_BYTES, SCRATCH_BYTES, WORKERS

BUFFERS = WORKERS * (SCRATCH_BYTES + PIECE_BYTES)


def test_what_is_read_is_what_the_ops_pull() -> None:
    x = array(count(4, 6))
    assert bytes_read(x) == 96
    assert bytes_read(crop(x, 1, 0, 2)) == 32
    assert bytes_read(permute(x, (1, 0)), ((0, 1), (0, 4))) == 16
    assert bytes_read(concat([x, x], 0)) == 192
    assert bytes_read(full((3,), "float32")) == 0


def test_copies_cost_no_buffers(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"w": count(100), "v": count(10)})
    assert cost_of(plan_reshard(source, tmp_path / "o", 200)) == Cost(440, 0, 440, 1, 0)
    half = plan_cast(source, tmp_path / "o.safetensors", "float16", select=["w"])
    assert cost_of(half) == Cost(40, 400, 240, 1, BUFFERS)


def test_reductions_of_a_wave_share_a_pass(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"w": count(100), "v": count(100)})
    with open_(source) as x:
        checks = tuple(
            Check(reduction(DIFFER, x["w"], other), lambda found: AssertionError())  # type: ignore[arg-type,return-value]
            for other in (x["v"], x["v"], cast(x["w"], "float32"))
        )
        plan = Plan({"w": x["w"]}, {"a": x.source}, checks=checks)
        assert cost_of(plan) == Cost(400, 800, 400, 2, BUFFERS)


def test_a_dry_run_tells_the_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save(tmp_path / "a.safetensors", {"w": count(1000)})
    shell, out = Shell(capsys), tmp_path / "o"
    words = ["reshard", source, "-o", out, "--shard-size", "1kB"]
    called = shell(*words, "--dry-run")
    assert "cost: 1 pass: " in called.out
    assert not out.exists()
    told = json.loads(shell(*words, "--dry-run", "--json").out)
    assert told["cost"] == {"copied": 4000, "read": 0, "written": 4000, "passes": 1, "buffers": 0}
    assert "cost" not in json.loads(shell(*words, "--json").out)
