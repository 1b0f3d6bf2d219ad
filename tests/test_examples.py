"""The numbered examples run as they stand, without a framework unless they train, and leave
nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
# what each prints, among other things
SAYS = {
    "01_inspect.py": ["conv1/kernel", "kh kw in out", "(h w c) out", "batchnorm", "each filter"],
    "02_port_with_mapping.py": ["(h w c) out → out (c h w)", "02_mapping.yaml:9", "small.pt"],
    "03_port_in_python.py": ["equal: 11 tensors", "refused: wrong.yaml:6: axes: fc2/kernel"],
    "04_run_plan.py": ["kh kw in out → out in kh kw", "dropped: ", "encoder.0.weight"],
    "05_dqn.py": ["of 0.48", "goes right everywhere: True", "updates: 1500"],
    "06_average.py": ["2 merged", "better than all: True"],
    "07_prune_while_training.py": ["dense: 1.00 right", "90.0% of the kernels zero"],
    "08_two_frameworks.py": ["All keys matched", "(1, 3)", "the head is as it was: True"],
}
TRAINS = dict.fromkeys(
    ("05_dqn.py", "06_average.py", "07_prune_while_training.py", "08_two_frameworks.py"), "torch"
)  # examples of live models, and the framework that they need
CODE = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
known = {"torch", "keras", "tensorflow"} - {*sys.argv[2:]}
sys.exit(f"imported {found}" if (found := known & {*sys.modules}) else 0)
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    needs = TRAINS.get(path.name)
    if needs is not None:
        pytest.importorskip(needs)
    before = tree()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path), *filter(None, [needs])],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [text for text in SAYS[path.name] if text not in done.stdout] == []
    assert tree() == before
    left = [x.name for x in tmp_path.iterdir()]
    if needs == "torch":  # its optimizers make an empty cache folder, whoever uses them
        left = [name for name in left if not name.startswith("torchinductor_")]
    assert left == []


def tree() -> set[Path]:
    """The files beside the examples."""
    return {path for path in (ROOT / "examples").rglob("*") if "__pycache__" not in path.parts}


def test_every_example_is_known() -> None:
    assert [path.name for path in EXAMPLES] == sorted(SAYS)
