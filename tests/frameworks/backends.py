"""The worker's results: once for each backend and test run, whatever processes run the tests."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BACKENDS = ("torch", "tensorflow")
PATHS = (ROOT, ROOT / "tests", ROOT / "examples" / "mtcnn")


class Results:
    """What the frameworks said, by case; both backends are asked at once, when one is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def found(self) -> dict[str, Any]:
        """The results by backend."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock"):
            if not (self.folder / "done").exists():
                run(self.folder)
                (self.folder / "done").touch()
        files = {b: self.folder / b / "results.json" for b in BACKENDS}
        return {b: json.loads(file.read_text()) for b, file in files.items() if file.exists()}

    def of(self, backend: str, case: str) -> dict[str, Any]:
        """The result of a case; where it failed, the test fails with its traceback."""
        if find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        result: dict[str, Any] = self.found[backend][case]
        if "error" in result:
            pytest.fail(result["error"], pytrace=False)
        return result


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; another process waits until it is free."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(folder: Path) -> None:
    """Run the worker for every backend that is installed, side by side."""
    at_work = {b: start(folder / b, b) for b in BACKENDS if find_spec(b) is not None}
    for backend, process in at_work.items():
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the worker of {backend} ended early:\n{errors}")


def start(folder: Path, backend: str) -> subprocess.Popen[str]:
    """Start the worker in a process of its own."""
    folder.mkdir()
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(map(str, PATHS)),
        "OMP_NUM_THREADS": "1",  # tiny tensors, and another backend at work beside this one
    }
    command = [sys.executable, "-m", "frameworks.worker", str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run see, and no other run."""
    base = factory.getbasetemp()
    parallel = (
        "PYTEST_XDIST_WORKER" in os.environ
    )  # each of whose processes has a folder of its own
    return (base.parent if parallel else base) / "frameworks"
