"""Port the three published MTCNN networks to PyTorch and back, and compare every value.

Each step is a command as anyone would type it, shown with what it answers. The last word have the
frameworks: torch loads what was ported to it, Keras what came back, and both are compared, bit for
bit, with what was published.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from networks import NAMES, published_keras, published_torch, save_keras

ROOT = Path(__file__).parents[2]
OUT = Path("demo-out")  # as it stands in the commands, which run in ROOT
COMMAND = (sys.executable, "-m", "weightsurgeon")


class Row(NamedTuple):
    """A network's line of the summary: values that differ, as our command and as others count."""

    name: str
    tensors: int
    values: int
    to_torch: int
    by_torch: int
    to_keras: int
    by_keras: int

    @property
    def differing(self) -> int:
        """All that should be 0."""
        return self.to_torch + self.by_torch + self.to_keras + self.by_keras


def main() -> int:
    """Run the demo; 1 where a single value differs."""
    print("Saving the networks published for Keras, copying those for PyTorch …", flush=True)
    shutil.rmtree(ROOT / OUT, ignore_errors=True)
    save_keras(ROOT / OUT)
    for name, path in published_torch().items():
        shutil.copy(path, ROOT / OUT / f"{name}-published.pt")
    rows = [there_and_back(name) for name in NAMES]
    return summary(rows)


def there_and_back(name: str) -> Row:
    """The commands for one network."""
    keras, torch, published, back = (
        str(OUT / file)
        for file in (f"{name}.keras", f"{name}.pt", f"{name}-published.pt", f"{name}-back.keras")
    )
    print(f"\n━━ {name} " + "━" * 60)
    run("inspect", keras)
    run("port", keras, torch, "--mapping", f"mappings/mtcnn/{name}.yaml")
    run("verify", torch, published)
    run(
        *("port", published, back),
        *("--mapping", f"mappings/mtcnn/{name}-to-keras.yaml", "--template", keras),
    )
    run("verify", back, keras)
    arrays = published_keras(name)
    values = sum(array.size for array in arrays)
    return Row(
        name,
        tensors=len(arrays),
        values=values,
        to_torch=differing_in_verify(torch, published, values),
        by_torch=differing_in_torch(ROOT / torch, published_torch()[name]),
        to_keras=differing_in_verify(back, keras, values),
        by_keras=differing_in_keras(ROOT / back, name),
    )


def run(*words: str) -> None:
    """A command with its output; `verify` may find differences, nothing else may fail."""
    print(f"\n$ {shlex.join(['weightsurgeon', *words])}", flush=True)
    code = subprocess.run([*COMMAND, *words], cwd=ROOT, check=False).returncode
    if code > (words[0] == "verify"):
        sys.exit(f"demo: weightsurgeon {words[0]} ended with exit code {code}")


def differing_in_verify(a: str, b: str, values: int) -> int:
    """Values that differ as `verify` counts them; those it did not compare differ too."""
    words = [*COMMAND, "verify", a, b, "--json"]
    done = subprocess.run(words, cwd=ROOT, check=False, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    return int(found["differing"] + abs(values - found["values"]) or not found["equal"])


def differing_in_torch(path: Path, published: Path) -> int:
    """Values that differ when torch itself loads both files; the same names."""
    import torch

    ours, theirs = (torch.load(p, weights_only=True) for p in (path, published))
    if ours.keys() != theirs.keys():
        sys.exit(f"demo: {path.name} has other names than what was published")
    return differing((ours[n].numpy() for n in theirs), (x.numpy() for x in theirs.values()))


def differing_in_keras(path: Path, name: str) -> int:
    """Values that differ when Keras itself loads the model."""
    import keras

    return differing(keras.saving.load_model(path).get_weights(), published_keras(name))


def differing(ours: Iterable[Any], theirs: Iterable[Any]) -> int:
    """Float32 values that are not the same bits."""
    return sum(
        int((a.view("uint32") != b.view("uint32")).sum()) for a, b in zip(ours, theirs, strict=True)
    )


def summary(rows: list[Row]) -> int:
    """Print the table; 1 where a value differs."""
    print("\n━━ values that differ from what was published " + "━" * 20)
    print(f"{'':8}{'':>8}{'':>10}{'Keras → PyTorch':>20}{'PyTorch → Keras':>20}")
    heads = ("network", "tensors", "values", "verify", "torch", "verify", "Keras")
    print("{:8}{:>8}{:>10}{:>12}{:>8}{:>12}{:>8}".format(*heads))
    for row in rows:
        print("{:8}{:>8}{:>10,}{:>12}{:>8}{:>12}{:>8}".format(*row))
    total = sum(row.differing for row in rows)
    print("\nEvery value is the same, bit for bit." if not total else f"\n{total:,} values differ.")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
