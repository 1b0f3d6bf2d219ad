"""The mean of the checkpoints of a noisy training is better than any of them.

    python examples/06_average.py

A plane is fitted to noisy points by steps that are too large, so that the weights walk around the
best ones; what they have in common is where that is (Polyak and Juditsky 1992).
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import weightsurgeon as ws

torch.manual_seed(0)
torch.set_num_threads(1)
TRUTH = torch.randn(1, 32)


def main() -> None:
    """Train, save every hundredth state, average the last eight of them."""
    model = nn.Linear(32, 1)
    step = torch.optim.SGD(model.parameters(), lr=0.02)
    with TemporaryDirectory() as folder:
        paths = []
        for i in range(1, 1001):
            x = torch.randn(8, 32)
            loss = nn.functional.mse_loss(model(x), x @ TRUTH.T + torch.randn(8, 1))
            step.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            step.step()
            if i > 200 and not i % 100:
                paths.append(Path(folder) / f"{i}.pt")
                torch.save(model.state_dict(), paths[-1])
        mean = Path(folder) / "mean.pt"
        print(f"{ws.merge('average', paths, out=mean)}".replace(f"{folder}/", ""))
        errors = [error_of(path) for path in paths]
        print("\nerrors:", *(f"{error:.3f}" for error in errors))
        print(f"error of the mean: {error_of(mean):.3f}")
        print("better than all:", error_of(mean) < min(errors))


def error_of(path: Path) -> float:
    """How far the weights of a checkpoint are from the truth."""
    return float(torch.dist(torch.from_numpy(ws.open(path)["weight"].numpy()), TRUTH))


if __name__ == "__main__":
    main()
