"""Makes the files beside it, with the libraries whose files they are.

Made with torch 2.13.0 and safetensors 0.8.0: `python tests/golden/make_goldens.py`.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch

HERE = Path(__file__).parent


def tensors() -> dict[str, torch.Tensor]:
    """One tensor of each memory layout that matters."""
    grid = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    return {
        "grid": grid,
        "half": torch.tensor([1.0, -0.0, float("inf")], dtype=torch.bfloat16),
        "scalar": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 2, dtype=torch.float16),
    }


def main() -> None:
    """Write both files."""
    given = tensors()
    safetensors.torch.save_file(given, HERE / "tiny.safetensors", {"format": "pt"})
    torch.save({**given, "turned": given["grid"].T, "tied": given["grid"]}, HERE / "tiny.pt")


if __name__ == "__main__":
    main()
