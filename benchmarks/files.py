"""Make the checkpoints that are timed, and judge what came out, independently of all contenders.

The judge reads headers itself, maps both files and compares words, so that neither our own code
nor a framework vouches for itself. Runs as a child process: the harness itself stays small.

    python -m benchmarks.files make KIND PATH GB [SEED]
    python -m benchmarks.files judge VERB SRC DST [TWIN]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

Shapes = dict[str, tuple[int, ...]]

ITEMSIZE = {"F32": 4, "BF16": 2}
SAFETENSORS_KINDS = {
    "f32-pow2": ("F32", 1024),
    "f32-odd": ("F32", 760),
    "bf16-pow2": ("BF16", 1024),
    "bf16-odd": ("BF16", 760),
}


def blocks(width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A network in Keras' layout: dense and convolution kernels, some biases, without an end."""
    yield "stem.conv.kernel", (7, 7, 3, 64)
    half = width // 2
    for i in count():
        yield f"block{i}.query.dense.kernel", (width, width)
        yield f"block{i}.up.dense.kernel", (width, 4 * width)
        yield f"block{i}.up.bias", (4 * width,)
        yield f"block{i}.down.dense.kernel", (4 * width, width)
        yield f"block{i}.spatial.conv.kernel", (3, 3, half, half)
        yield f"block{i}.pointwise.conv.kernel", (1, 1, width, half)
        yield f"block{i}.down.bias", (width,)


def shapes_of(kind: str, gb: float) -> tuple[str, Shapes]:
    """The dtype and shapes of a checkpoint of about that many GB (10⁹ bytes)."""
    if kind == "single":
        return "F32", {"embed.dense.kernel": (int(gb * 1e9 / 4 / 4096), 4096)}
    if kind in {"many", "few"}:
        number = 50_000 if kind == "many" else 300
        return "F32", {
            f"layer{i // 2}.{'bias' if i % 2 else 'weight'}": (8,) for i in range(number)
        }
    dtype, width = SAFETENSORS_KINDS[kind]
    shapes: Shapes = {}
    left = gb * 1e9
    for name, shape in blocks(width):
        if left <= 0:
            break
        shapes[name] = shape
        left -= prod(shape) * ITEMSIZE[dtype]
    return dtype, shapes


def make(kind: str, path: str, gb: str, seed: str = "7") -> None:
    """Write such a checkpoint with random finite values, as `.pt` or safetensors."""
    import numpy as np

    dtype, shapes = shapes_of(kind, float(gb))
    values = _random(np.random.default_rng(int(seed)), dtype, shapes)
    if path.endswith(".pt"):
        _write_pt(path, dtype, values)
        return
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + prod(shape) * ITEMSIZE[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with Path(path).open("wb") as file:
        file.write((len(text) + -len(text) % 8).to_bytes(8, "little"))
        file.write(text.ljust(len(text) + -len(text) % 8))
        for _, array in values:
            file.write(array)


def _random(rng: Any, dtype: str, shapes: Shapes) -> Iterator[tuple[str, Any]]:
    """Words of ±[0.5, 1): finite, and no two tensors alike."""
    word, keep, one = ("u4", 0x807FFFFF, 0x3F000000) if dtype == "F32" else ("u2", 0x807F, 0x3F00)
    for name, shape in shapes.items():
        array = rng.integers(0, 2 ** (8 * ITEMSIZE[dtype]), shape, word)
        array &= keep
        array |= one
        yield name, array


def _write_pt(path: str, dtype: str, values: Iterator[tuple[str, Any]]) -> None:
    import torch

    kind = torch.float32 if dtype == "F32" else torch.bfloat16
    torch.save({name: torch.from_numpy(array).view(kind) for name, array in values}, path)


def read(path: str) -> dict[str, Any]:
    """All tensors of a file as mapped words."""
    import numpy as np

    if path.endswith(".pt"):
        return _read_pt(path)
    raw = np.memmap(path, "u1", "r")
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    header = json.loads(raw[8:start].tobytes())
    header.pop("__metadata__", None)
    return {
        name: raw[start + lo : start + hi].view(f"u{ITEMSIZE[row['dtype']]}").reshape(row["shape"])
        for name, row in header.items()
        for lo, hi in [row["data_offsets"]]
    }


def _read_pt(path: str) -> dict[str, Any]:
    import torch

    words = {4: torch.uint32, 2: torch.uint16}
    tensors = torch.load(path, mmap=True, weights_only=True)
    return {name: t.view(words[t.element_size()]).numpy() for name, t in tensors.items()}


def expected(verb: str, name: str, array: Any) -> tuple[str, Any]:
    """What becomes of a tensor: its new name, and a view of its words."""
    if verb == "same":
        return name, array
    if verb == "rename":
        return f"model.{name}", array
    if name.endswith(".conv.kernel"):
        return name.removesuffix("kernel") + "weight", array.transpose(3, 2, 0, 1)
    if name.endswith(".dense.kernel"):
        return name.removesuffix("kernel") + "weight", array.T
    return name, array


def judge(verb: str, source: str, output: str, twin: str = "") -> None:
    """Exit with what is wrong if the output is not, bit for bit, what the source must become."""
    import numpy as np

    if verb == "prune":
        judge_pruned(read(source), read(output))
        return
    found: dict[str, Any] = {}
    for path in sorted(Path(output).glob("*.safetensors")) if verb == "shards" else [Path(output)]:
        found |= read(str(path))
    other = read(twin) if twin else {}
    for name, array in read(source).items():
        if verb in MIXED:
            target, words = name, MIXED[verb](array, other[name])
        else:
            target, words = expected("same" if verb == "shards" else verb, name, array)
        made = found.pop(target, None)
        if made is None or made.shape != words.shape or not np.array_equal(made, words):
            sys.exit(f"{target} is absent or wrong")
    if found:
        sys.exit(f"{next(iter(found))} should not be there")


def judge_pruned(source: dict[str, Any], output: dict[str, Any]) -> None:
    """Exactly half of all kernel values are zero, the smallest; all others are what they were."""
    import numpy as np

    zeros = total = 0
    largest, smallest = 0.0, np.inf
    for name, array in source.items():
        made = output[name]
        gone = made << 1 == 0  # whoever multiplies by a mask writes −0 as well
        if not np.array_equal(made, np.where(gone, made, array)):
            sys.exit(f"{name} has values of its own")
        if name.endswith(".kernel"):
            zeros, total = zeros + int(gone.sum()), total + array.size
            size = np.abs(array.view("f4"))
            largest = max(largest, float(size.max(where=gone, initial=0)))
            smallest = min(smallest, float(size.min(where=~gone, initial=np.inf)))
        elif gone.any():
            sys.exit(f"{name} is no kernel")
    if zeros != total // 2 or largest > smallest:
        sys.exit(f"{zeros} zeros of {total}, up to {largest}, from {smallest} on kept")


def floats(words: Any) -> Any:
    """float32 or bfloat16 words as float32."""
    import numpy as np

    return words.view("f4") if words.itemsize == 4 else (words.astype("u4") << 16).view(np.float32)


def narrowed(values: Any, words: Any) -> Any:
    """float64 as the words of a dtype of that size, to nearest even, once; values near 1."""
    import numpy as np

    if words.itemsize == 4:
        return values.astype("f4").view("u4")
    bits = values.astype("f8").view("u8")
    bits = bits + ((1 << 44) - 1) + ((bits >> np.uint64(45)) & np.uint64(1))
    bits &= np.uint64(~((1 << 45) - 1) & (2**64 - 1))
    return (bits.view("f8").astype("f4").view("u4") >> 16).astype("u2")


def _soft(t: Any, s: Any) -> Any:
    """tau 0.005, in float32."""
    import numpy as np

    here, there = floats(t), floats(s)
    made = here + np.float32(0.005) * (there - here)
    return narrowed(made if t.itemsize == 4 else made.astype("f8"), t)


def _sum(a: Any, b: Any, one: float, other: float) -> Any:
    return narrowed(floats(a).astype("f8") * one + floats(b).astype("f8") * other, a)


MIXED = {
    "soft": _soft,
    "half": lambda a, b: _sum(a, b, 0.5, 0.5),
    "uneven": lambda a, b: _sum(a, b, 0.3, 0.7),
}


if __name__ == "__main__":
    {"make": make, "judge": judge}[sys.argv[1]](*sys.argv[2:])
