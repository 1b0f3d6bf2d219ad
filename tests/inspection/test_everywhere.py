"""Each command on each container, without a framework; a broken file is refused in a line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_json import layer, model, tensor
from porting import Shell
from samples import normal

import weightsurgeon as ws

Array = np.ndarray[Any, Any]
FILES = ("two.keras", "two.weights.h5", "two.h5", "two.pt", "two.safetensors")
CONCAT = ("--concat", "out=num:64,cat:64")
OWN = {"activation": "relu", "use_bias": True}
COMMANDS = ("inspect", "stats", "doctor", "diff", "branches")


def two() -> Any:
    """Inputs → num (64), cat (64) → concat → out."""
    body = [
        layer("InputLayer", "a", batch_shape=[None, 5]),
        layer("InputLayer", "b", batch_shape=[None, 3]),
        layer("Dense", "cat", [tensor("b", 0, (None, 3))], units=64, **OWN),
        layer("Dense", "num", [tensor("a", 0, (None, 5))], units=64, **OWN),
        layer("Concatenate", "cc", [tensor(n, 0, (None, 64)) for n in ("num", "cat")], axis=-1),
        layer("Dense", "out", [tensor("cc", 0, (None, 128))], units=1, use_bias=True),
    ]
    return model(body, [["a", 0, 0], ["b", 0, 0]], ["out", 0, 0])


def values() -> dict[str, Array]:
    shapes = {"cat": (3, 64), "num": (5, 64), "out": (128, 1)}
    found = {f"{n}/kernel": normal(*s, seed=i) for i, (n, s) in enumerate(shapes.items())}
    return found | {f"{n}/bias": normal(s[1], seed=9) for n, s in shapes.items()}


def weights(file: h5py.File) -> None:
    """As Keras 3 stores them: by the class of the layer, counted."""
    for i, name in enumerate(("cat", "num", "out")):
        group = file.create_group(f"layers/dense{f'_{i}' if i else ''}/vars")
        group.attrs["name"] = name
        group["0"], group["1"] = values()[f"{name}/kernel"], values()[f"{name}/bias"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model in every container."""
    folder = tmp_path_factory.mktemp("everywhere")
    with h5py.File(folder / "two.weights.h5", "w") as file:
        weights(file)
    with zipfile.ZipFile(folder / "two.keras", "w") as members:
        members.writestr("config.json", json.dumps(two()))
        members.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        members.writestr("model.weights.h5", (folder / "two.weights.h5").read_bytes())
    with h5py.File(folder / "two.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(two())
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"cat", b"num", b"out"]
        for name in ("cat", "num", "out"):
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [n.encode() for n in names]
            for n in names:
                inner[n] = values()[n.removesuffix(":0")]
    for name in ("two.pt", "two.safetensors"):
        ws.port(folder / "two.keras", folder / name)
    return folder


def words(command: str, path: Path, other: Path) -> list[str]:
    """What is typed to ask a command about a file."""
    found = [command, str(path), *([str(other)] if command == "diff" else [])]
    told = path.suffix == ".keras" or path.name == "two.h5"
    return [*found, *(CONCAT if command == "branches" and not told else ())]


@pytest.mark.parametrize("name", FILES)
def test_every_command_reads_every_container(folder: Path, name: str, shell: Shell) -> None:
    path, other = folder / name, folder / "two.keras"
    said = {c: shell(*words(c, path, other)) for c in COMMANDS}
    assert {c: (x.code, x.err) for c, x in said.items()} == dict.fromkeys(COMMANDS, (0, ""))
    assert "6 tensors" in said["inspect"].out
    assert "6 tensors · 769 values read" in said["stats"].out
    assert "0 of 6 differ" in said["diff"].out
    rows = [line.split() for line in said["branches"].out.splitlines()]
    assert [row[:2] for row in rows if row[0] in ("0:64", "64:128")] == [
        ["0:64", "num"],
        ["64:128", "cat"],
    ]


def test_no_framework_is_imported_for_a_file(folder: Path) -> None:
    lines = [words(c, folder / n, folder / "two.keras") for c in COMMANDS for n in FILES]
    code = f"""
import sys
from weightsurgeon import cli
for words in {lines!r}:
    assert cli._guarded(words) == 0, words
print(sorted({{"torch", "keras", "tensorflow", "jax", "onnx", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.frameworks
def test_a_live_model_is_read_as_its_file_is(folder: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    live = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    torch.save(live.state_dict(), tmp_path / "m.pt")
    for ask in (ws.stats, ws.doctor):
        a, b = ask(live).to_json(), ask(tmp_path / "m.pt").to_json()
        rows = "tensors" if ask is ws.stats else "findings"
        of_values = ("name", "mean", "std", "l2", "quantiles", "code", "tensor")
        assert [[r.get(k) for k in of_values] for r in a[rows]] == [
            [r.get(k) for k in of_values] for r in b[rows]
        ]
    assert not ws.diff(live, tmp_path / "m.pt").differing


REFUSED = {
    "stats": [],
    "inspect": [],
    "doctor": [],
    "diff": ["OTHER"],
    "match": ["OTHER"],
    "track": ["OTHER"],
    "branches": [],
    "heads": [],
    "coef": ["--layer", "x"],
    "report": ["-o", "OUT"],
    "connections": ["--tensor", "x", "--unit", "0"],
    "expand": ["a:b"],
    "plot": ["FIRST"],
}


def lying(kind: str) -> bytes:
    """A file whose header promises what is not there."""
    good = io.BytesIO()
    header = json.dumps({"w": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}).encode()
    good.write(len(header).to_bytes(8, "little") + header)
    if kind == "truncated":
        return good.getvalue() + bytes(100)
    return (2**62).to_bytes(8, "little") + header + bytes(400)


@pytest.mark.parametrize("kind", ["truncated", "lying"])
@pytest.mark.parametrize("command", REFUSED)
def test_a_broken_file_is_refused_in_a_line(
    command: str, kind: str, tmp_path: Path, shell: Shell
) -> None:
    suffix = ".html" if command == "report" else ".png"
    bad, out = tmp_path / "bad.safetensors", (tmp_path / "out").with_suffix(suffix)
    bad.write_bytes(lying(kind))
    places = {"OTHER": str(bad), "OUT": str(out), "FIRST": "kernels"}
    rest = [places.get(word, word) for word in REFUSED[command]]
    line = [*rest, str(bad)] if command == "plot" else [str(bad), *rest]
    more = ["-o", str(out)] if command == "plot" else []
    said = shell(command, *line, *more)
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1, said.err
    assert "bad.safetensors" in said.err
    assert not out.exists()
