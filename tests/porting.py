"""How the tests of mappings speak: tensors and rules in, tensors or refusals out.

Files are written and read by the safetensors package itself, so that nothing of ours judges itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from weightsurgeon import cli
from weightsurgeon.api import port
from weightsurgeon.errors import MappingError, PlanError, SurgeryError
from weightsurgeon.mapping.load import loads
from weightsurgeon.mapping.rules import Mapping as Rules
from weightsurgeon.outcome import Report

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]
FIRST = 5  # the line of the first rule in `document`


def count(*shape: int, dtype: str = "float32", start: int = 0) -> Array:
    """0, 1, 2, … in a shape."""
    size = int(np.prod(shape, dtype=int))
    return np.arange(start, start + size, dtype=dtype).reshape(shape)


def save(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file of these tensors; what is in it stands there as we say, not as numpy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: np.require(v, requirements="C") for k, v in tensors.items()}, path, metadata)
    return path


def document(rules: str, source: str = "torch", target: str = "torch", more: str = "") -> str:
    """A mapping as YAML; the rules start at line `FIRST`."""
    head = (
        f"weightsurgeon: 1\nsource: {{dialect: {source}}}\ntarget: {{dialect: {target}}}\nrules:\n"
    )
    return f"{head}{rules}\n{more}\n"


def mapping(rules: str, source: str = "torch", target: str = "torch", more: str = "") -> Rules:
    """A mapping, read from the file m.yaml."""
    return loads(document(rules, source, target, more), "m.yaml")


class Bench:
    """A folder in which things are ported; `report` is that of the last port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "out.safetensors"
        self.report: Report | None = None

    def port(
        self, tensors: Tensors, rules: Rules | str | None, base: Tensors | None = None, **how: Any
    ) -> dict[str, Array]:
        """What comes out of a port; `base` is the template unless `into=True`."""
        source = save(self.folder / "in.safetensors", tensors)
        if base is not None:
            key = "into" if how.pop("into", False) else "template"
            how[key] = save(self.folder / "base.safetensors", base)
        found = mapping(rules) if isinstance(rules, str) else rules
        self.report = port(source, self.output, found, **how)
        return load_file(self.output) if self.output.exists() else {}

    def refuse(
        self, tensors: Tensors, rules: Rules | str | None, base: Tensors | None = None, **how: Any
    ) -> list[str]:
        """Every line of the refusal; nothing may be left behind."""
        self.output.unlink(missing_ok=True)
        others = {p.name for p in self.folder.iterdir()}
        with pytest.raises(SurgeryError) as caught:
            self.port(tensors, rules, base, **how)
        left = sorted(p.name for p in self.folder.iterdir())
        assert set(left) <= {"in.safetensors", "base.safetensors", *others}, left
        return lines_of(caught.value)

    def lines(self, id: str) -> list[str]:
        """What the last report lists under an id, and the names."""
        assert self.report is not None
        return [f"{x.text}: {', '.join(x.names)}" for x in self.report.lines if x.id == id]

    def actions(self) -> dict[str, str]:
        """What the last report says was done with each tensor."""
        assert self.report is not None
        return {row.name: row.action for row in self.report.rows}


def lines_of(error: SurgeryError) -> list[str]:
    """The problems of an error, one line each."""
    problems = error.problems if isinstance(error, PlanError) else [error]
    lines = [str(p) for p in problems]
    assert lines
    assert all("\n" not in line and len(line) <= 500 for line in lines)
    return lines


def refusals(text: str) -> list[tuple[str, int, str]]:
    """What is wrong with a mapping's YAML: id, line, text."""
    with pytest.raises(PlanError) as caught:
        loads(text, "m.yaml")
    lines_of(caught.value)
    problems = [p for p in caught.value.problems if isinstance(p, MappingError)]
    assert len(problems) == len(caught.value.problems)
    assert all(p.file == "m.yaml" for p in problems)
    return [(p.id, p.line, p.text) for p in problems]


class Call:
    """What a command said and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


class Shell:
    """The command line, called in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> Call:
        self.capsys.readouterr()
        code = cli._guarded([str(word) for word in words])
        out, err = self.capsys.readouterr()
        assert "--debug" in words or "Traceback" not in err + out
        assert "\x1b" not in err + out
        return Call(code, out, err)


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder, by what is in it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
