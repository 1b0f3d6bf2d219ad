"""The numbered examples run as they stand, without a framework, and leave nothing behind."""

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
}
CODE = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
sys.exit(f"imported {found}" if (found := {"torch", "keras", "tensorflow"} & {*sys.modules}) else 0)
"""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    before = tree()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path)],
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
    assert not list(tmp_path.iterdir())


def tree() -> set[Path]:
    """The files beside the examples."""
    return {path for path in (ROOT / "examples").rglob("*") if "__pycache__" not in path.parts}


def test_every_example_is_known() -> None:
    assert [path.name for path in EXAMPLES] == sorted(SAYS)
