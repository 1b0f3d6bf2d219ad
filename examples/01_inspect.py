"""Look into a Keras file without Keras: names, shapes, axes, and what each tensor is for.

    python examples/01_inspect.py

The same from a shell: weightsurgeon inspect examples/small.keras
"""

from __future__ import annotations

from pathlib import Path

import weightsurgeon as ws

SMALL = Path(__file__).with_name("small.keras")


def main() -> None:
    """Print a line for each tensor, then the largest values of one."""
    checkpoint = ws.open(SMALL)  # reads headers only
    print(f"{SMALL.name}: {len(checkpoint)} tensors of the dialect {checkpoint.dialect}\n")
    for name, tensor in checkpoint.items():
        meaning = checkpoint.meaning(name)
        print(f"{name:20} {tensor.spec.shape!s:14} {tensor.spec.axes!s:14} {meaning.kind}")

    kernel = checkpoint["conv1/kernel"].numpy()  # now its bytes are read, and no others
    out = kernel.shape[-1]
    print("\nlargest |value| of each filter of conv1:", abs(kernel).reshape(-1, out).max(axis=0))


if __name__ == "__main__":
    main()
