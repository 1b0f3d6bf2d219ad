"""What others would do for the same job: their best documented route, in a process of its own.

python -m benchmarks.peers NAME SRC [TWIN] [DST]
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


def two(change: Callable[[Any, Any], Any], src: str, twin: str, dst: str) -> None:
    """Two files by `load_file`, one tensor after the other, `save_file`."""
    from safetensors.torch import load_file, save_file

    a, b = load_file(src), load_file(twin)
    save_file({name: change(x, b.pop(name)) for name, x in a.items()}, dst)


def lerp(t: Any, s: Any) -> Any:
    """In float32, without a fused multiply-add."""
    return (s.float() - t.float()).mul_(0.005).add_(t.float()).to(t.dtype)


def prune_torch(src: str, dst: str) -> None:
    """Half of all kernels by torch's global_unstructured, made permanent."""
    from safetensors.torch import load_file, save_file
    from torch import nn
    from torch.nn.utils import prune

    tensors = load_file(src)
    modules = {}
    for name in [n for n in tensors if n.endswith(".kernel")]:
        modules[name] = nn.Module()
        modules[name].register_parameter("w", nn.Parameter(tensors[name], requires_grad=False))
    pairs = [(module, "w") for module in modules.values()]
    prune.global_unstructured(pairs, prune.L1Unstructured, amount=0.5)
    for name, module in modules.items():
        prune.remove(module, "w")
        tensors[name] = module.w.data
    save_file(tensors, dst)


def prune_numpy(src: str, dst: str) -> None:
    """Half of all kernels by one partition of all magnitudes."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(src)
    kernels = [n for n in tensors if n.endswith(".kernel")]
    sizes = np.abs(np.concatenate([tensors[n].reshape(-1) for n in kernels]))
    threshold = np.partition(sizes, sizes.size // 2)[sizes.size // 2]
    del sizes
    for name in kernels:
        tensors[name][np.abs(tensors[name]) < threshold] = 0
    save_file(tensors, dst)


PEERS: dict[str, Callable[..., None]] = {
    "rename-safetensors": lambda src, dst: safetensors(renamed, src, dst),
    "port-safetensors": lambda src, dst: safetensors(ported, src, dst),
    "rename-torch": lambda src, dst: torch(renamed, src, dst),
    "port-torch": lambda src, dst: torch(ported, src, dst),
    "list-safetensors": list_safetensors,
    "list-torch": list_torch,
    "lerp": lambda *paths: two(lerp, *paths),
    "half": lambda *paths: two(lambda a, b: 0.5 * a + 0.5 * b, *paths),
    "uneven": lambda *paths: two(lambda a, b: 0.3 * a + 0.7 * b, *paths),
    "prune-torch": prune_torch,
    "prune-numpy": prune_numpy,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
