"""What others would do for the same job: their best documented route, in a process of its own.

python -m benchmarks.peers NAME SRC [DST]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    """Every name with a prefix."""
    return {f"model.{name}": tensor for name, tensor in tensors.items()}


def ported(tensors: dict[str, Any]) -> dict[str, Any]:
    """Every kernel in torch's layout, memory too, as a model's `state_dict` would hold it."""
    made = {}
    for name in list(tensors):
        tensor = tensors.pop(name)  # let go of it: half the peak
        if not name.endswith(".kernel"):
            made[name] = tensor
            continue
        order = (3, 2, 0, 1) if tensor.ndim == 4 else (1, 0)
        made[name.removesuffix("kernel") + "weight"] = tensor.permute(order).contiguous()
    return made


def safetensors(change: Callable[[dict[str, Any]], dict[str, Any]], src: str, dst: str) -> None:
    """`safetensors.torch`: load_file, change, save_file."""
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(src)), dst)


def torch(change: Callable[[dict[str, Any]], dict[str, Any]], src: str, dst: str) -> None:
    """`torch.load` by mmap, change, `torch.save`."""
    import torch

    torch.save(change(torch.load(src, mmap=True, weights_only=True)), dst)


def list_safetensors(src: str) -> None:
    """Names and shapes by `safe_open`."""
    from safetensors import safe_open

    with safe_open(src, "np") as file:
        for name in file.keys():  # noqa: SIM118  # it is no mapping
            print(name, file.get_slice(name).get_shape())


def list_torch(src: str) -> None:
    """Names and shapes by `torch.load`."""
    import torch

    for name, tensor in torch.load(src, mmap=True, weights_only=True).items():
        print(name, tuple(tensor.shape))


PEERS: dict[str, Callable[..., None]] = {
    "rename-safetensors": lambda src, dst: safetensors(renamed, src, dst),
    "port-safetensors": lambda src, dst: safetensors(ported, src, dst),
    "rename-torch": lambda src, dst: torch(renamed, src, dst),
    "port-torch": lambda src, dst: torch(ported, src, dst),
    "list-safetensors": list_safetensors,
    "list-torch": list_torch,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
