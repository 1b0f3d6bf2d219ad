"""What holds for every step: one set of bytes, memory that does not grow, inputs as outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from memory import peak_kib
from porting import Tensors, count, hashes, save
from safetensors.numpy import load_file

import weightsurgeon as ws
from weightsurgeon.api import run

PLAN = """\
weightsurgeon: 1
sources: {a: a.safetensors, b: b.safetensors}
steps:
- assemble:
    parts:
    - {from: a, take: "x.*", rename: {"x.{n}": "y.{n}"}}
    - {concat: ["a:q.*", "b:q.*"], axis: 1, to: "joined.*"}
    - {stack: "a:e.*", axis: expert, to: stacked}
    - {from: b, prefix: "b."}
    ties: {again: y.w}
    as: whole
- cast: {from: whole, dtype: bfloat16, select: "joined.*", as: half}
output: {from: half, path: out/, shard_size: 150B}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shared = {f"q.{i}": count(3, 4, start=i) for i in range(3)}
    experts = {f"e.{i}": np.full((3,), i, "i4") for i in range(12)}
    save(tmp_path / "a.safetensors", {"x.w": count(5), "x.b": count(7)} | shared | experts)
    save(tmp_path / "b.safetensors", shared)
    (tmp_path / "p.yaml").write_text(PLAN)
    return tmp_path


def test_the_values_are_those_that_numpy_gives(folder: Path) -> None:
    run(folder / "p.yaml")
    with ws.open(folder / "out") as x:
        assert x["stacked"].numpy()[:, 0].tolist() == list(range(12))
        joined = np.concatenate([count(3, 4, start=2)] * 2, 1)
        assert x["joined.2"].numpy().astype("f4").tolist() == joined.tolist()
        assert x["again"].numpy().tolist() == x["y.w"].numpy().tolist() == count(5).tolist()


def test_any_hash_seed_gives_the_same_bytes(folder: Path) -> None:
    """Answer 65."""
    found = set[str]()
    code = "ws.run(sys.argv[1], settings={'output.path': sys.argv[2]})"
    code = f"import sys, weightsurgeon as ws; {code}"
    for seed in ("0", "1", "7"):
        out = folder / f"out{seed}"
        subprocess.run(
            [sys.executable, "-c", code, str(folder / "p.yaml"), f"{out}/"],
            env={"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": seed},
            check=True,
        )
        found.add(str(hashes(out)))
    assert len(found) == 1


def test_the_output_may_be_an_input(tmp_path: Path) -> None:
    """Answer 62: by its path or by a link; a twin of the old file keeps the old data."""
    tensors: Tensors = {"a": count(50), "b": count(60)}
    path = save(tmp_path / "x.safetensors", tensors)
    link, twin = tmp_path / "link.safetensors", tmp_path / "twin.safetensors"
    link.symlink_to(path)
    twin.hardlink_to(path)
    old = twin.read_bytes()
    steps = [{"cast": {"from": "x", "dtype": "float16", "as": "y"}}]
    for out in (path, link):
        plan = {"weightsurgeon": 1, "output": {"from": "x", "path": out}}
        run(plan, x=path)
        assert load_file(path)["b"].tolist() == tensors["b"].tolist()
    run({"weightsurgeon": 1, "steps": steps, "output": {"from": "y", "path": link}}, x=path)
    assert load_file(path)["b"].dtype == np.float16
    assert link.is_symlink()
    assert twin.read_bytes() == old


RESHARD = """
from weightsurgeon.surgery import plan_cast, plan_reshard
from weightsurgeon.writing import write
"""


def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path) -> None:
    """Answer 63, in small: a set of 96 MB, one tensor of 64."""
    source = save(
        tmp_path / "in.safetensors",
        {"big": np.zeros((16, 2**20), "f4"), "z": np.zeros(2**23, "f4")},
    )
    out = str(tmp_path / "out")
    reshard = "write(plan_reshard(sys.argv[1], sys.argv[2], '40MB'), durable=False)"
    assert peak_kib(reshard, str(source), out, setup=RESHARD) < 12 * 1024
    half = "write(plan_cast(sys.argv[1], sys.argv[2], 'bfloat16'), durable=False)"
    assert peak_kib(half, str(source), f"{out}.safetensors", setup=RESHARD) < 64 * 1024
