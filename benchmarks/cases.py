"""The tables: which jobs are timed, and who does them. A contender is a row.

In a command `{src}`, `{twin}` (same tensors, other values), `{dst}` and `{mapping}` are paths; one
that starts with `python` runs under `child.py`, which notes its peak memory. The first contender of
a case is its reference.
"""

from __future__ import annotations

from typing import NamedTuple

MAPPINGS = {
    "rename": """\
weightsurgeon: 1
source: {dialect: torch}
target: {dialect: torch}
rules:
  - {from: "{n:path}", to: "model.{n}"}
""",
    "port": """\
weightsurgeon: 1
source: {dialect: keras}
target: {dialect: torch}
rules:
  - {from: "{n:path}.dense.kernel", to: "{n}.dense.weight", layout: "in out -> out in"}
  - from: "{n:path}.conv.kernel"
    to: "{n}.conv.weight"
    layout: "kh kw in out -> out in kh kw"
    optional: true
  - {from: "{n:path}.bias", to: "{n}.bias", optional: true}
""",
}


class Contender(NamedTuple):
    """Who: a command, the suffix of the files it reads and writes, the package it needs."""

    name: str
    command: str
    suffix: str = ".safetensors"
    needs: str = ""


class Case(NamedTuple):
    """What: a kind of checkpoint, the verb that says what must come out (none: nothing does).

    `gb` is of each GB asked for. A `twin` is made where a job has two inputs. `live` is a job of
    `benchmarks.live`, in one process: how many thousand parameters, and what they are.
    """

    name: str
    kind: str
    contenders: tuple[Contender, ...]
    verb: str = ""
    gb: float = 1.0
    twin: bool = False
    live: str = ""


CP = Contender("cp", "cp {src} {dst}")
CP_SYNC = Contender("cp, sync FILE", "sh -c 'cp {src} {dst} && sync {dst}'")  # as durable as ours
OURS = Contender("weightsurgeon", "python weightsurgeon port {src} {dst} --mapping {mapping}")
OURS_AS_CP = Contender("weightsurgeon --no-fsync", f"{OURS.command} --no-fsync")  # no more than cp
BARE = Contender("python -c pass", "bare -c pass")


def files(verb: str, *, with_pt: bool) -> tuple[Contender, ...]:
    """Who makes a file of a file."""
    peer = f"python benchmarks.peers {verb}"
    rows = (
        CP,
        CP_SYNC,
        OURS_AS_CP,
        OURS,
        Contender("safetensors.torch", f"{peer}-safetensors {{src}} {{dst}}", needs="safetensors"),
    )
    pt = Contender("torch.load, torch.save", f"{peer}-torch {{src}} {{dst}}", ".pt", needs="torch")
    return (*rows, pt) if with_pt else rows


def inspect(suffix: str) -> tuple[Contender, ...]:
    """Who lists the tensors of a file."""
    peer = "python benchmarks.peers list"
    rows = {
        ".safetensors": Contender("safe_open", f"{peer}-safetensors {{src}}", needs="safetensors"),
        ".pt": Contender("torch.load(mmap)", f"{peer}-torch {{src}}", needs="torch"),
    }
    ours = Contender("weightsurgeon", "python weightsurgeon inspect {src}")
    return tuple(row._replace(suffix=suffix) for row in (BARE, ours, rows[suffix]))


def surgery(peer: str, command: str, needs: str = "safetensors") -> tuple[Contender, ...]:
    """Who makes one file of one or two: ours without and with waiting for the disk, a peer."""
    ours = Contender("weightsurgeon", f"python weightsurgeon {command}")
    unsynced = Contender("weightsurgeon --no-fsync", f"{ours.command} --no-fsync")
    rows = (CP, CP_SYNC, unsynced, ours)
    if not peer:
        return rows
    words = f"python benchmarks.peers {peer} {{src}} {{twin}} {{dst}}"
    return (*rows, Contender(f"safetensors.torch, {peer}", words, needs=needs))


SOFT = surgery("lerp", "soft-update {twin} {src} -o {dst} --tau 0.005")
HALF = surgery("half", "merge linear {src}=0.5 {twin}=0.5 -o {dst}")
UNEVEN = surgery("uneven", "merge linear {src}=0.3 {twin}=0.7 -o {dst}")
PRUNE = (
    *surgery("", "prune {src} -o {dst} --sparsity 0.5 --scope global --include *.kernel"),
    Contender(
        "global_unstructured", "python benchmarks.peers prune-torch {src} {dst}", needs="torch"
    ),
    Contender("numpy.partition", "python benchmarks.peers prune-numpy {src} {dst}"),
)
RESHARD = surgery("", "reshard {src} -o {dst}/ --shard-size 100MB")

HELP = (
    BARE,
    Contender("weightsurgeon --help", "python weightsurgeon --help"),
    Contender("import numpy", "bare -c 'import numpy'", needs="numpy"),
    Contender("import torch", "bare -c 'import torch'", needs="torch"),
)

CASES = (
    Case("rename, f32", "f32-pow2", files("rename", with_pt=True), "rename"),
    Case("rename, bf16", "bf16-pow2", files("rename", with_pt=False), "rename"),
    Case("port, f32, width 1024", "f32-pow2", files("port", with_pt=True), "port"),
    Case("port, f32, width 760", "f32-odd", files("port", with_pt=False), "port"),
    Case("port, bf16, width 1024", "bf16-pow2", files("port", with_pt=False), "port"),
    Case("port, bf16, width 760", "bf16-odd", files("port", with_pt=False), "port"),
    Case("port, one tensor, half the size", "single", files("port", with_pt=False), "port", 0.5),
    Case("soft update, f32", "f32-pow2", SOFT, "soft", twin=True),
    Case("soft update, bf16", "bf16-pow2", SOFT, "soft", twin=True),
    Case("merge, bf16, 1/2 and 1/2", "bf16-pow2", HALF, "half", twin=True),
    Case("merge, bf16, 0.3 and 0.7", "bf16-pow2", UNEVEN, "uneven", twin=True),
    Case("prune, f32, global 50 %", "f32-pow2", PRUNE, "prune"),
    Case("reshard, f32, 100 MB", "f32-pow2", RESHARD, "shards"),
    Case("live soft update, 3x256", "", (), live="mlp"),
    Case("live soft update, 10 M", "", (), live="10"),
    Case("live soft update, 500 M", "", (), live="500"),
    Case("live soft update, 3x256, Keras", "", (), live="keras"),
    Case("inspect 50,000 tensors, safetensors", "many", inspect(".safetensors")),
    Case("inspect 50,000 tensors, .pt", "many", inspect(".pt")),
    Case("inspect 300 tensors, safetensors", "few", inspect(".safetensors")),
    Case("--help", "few", HELP),
)
