"""Prune, fine-tune, prune on: a network loses nine of ten weights and little of what it knows.

    python examples/07_prune_while_training.py

Which of two spirals does a point lie on? The network learns it, then a schedule takes its smallest
weights away, most of them early, while it goes on learning (Zhu and Gupta 2017).
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

import weightsurgeon as ws

torch.manual_seed(0)
torch.set_num_threads(1)
STEPS = 1200
SCHEDULE = {"kind": "polynomial", "initial": 0, "final": 0.9, "begin": 0, "end": 800, "power": 3}

turn = torch.rand(512) * 6 + 0.5
side = torch.arange(512) % 2
angle = turn + side * torch.pi
points = torch.stack([turn * angle.cos(), turn * angle.sin()], 1) / 3

model = nn.Sequential(
    nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
)  # fmt: skip


def right(net: nn.Module) -> float:
    """The share of the points whose side the network tells."""
    return float((net(points).argmax(1) == side).float().mean())


def train(steps: int, pruner: ws.Pruner | None = None) -> None:
    """Learn for some steps, pruning after each where there is a pruner."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for n in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(points), side).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if pruner is not None:
            pruner.step(n)


def zeros() -> float:
    """The share of the kernels that is zero."""
    kernels = [p for name, p in model.named_parameters() if name.endswith("weight")]
    return sum(int((p == 0).sum()) for p in kernels) / sum(p.numel() for p in kernels)


train(600)
print(f"dense: {right(model):.2f} right")
at_once = deepcopy(model)
ws.prune(at_once, sparsity=0.9)
print(f"pruned at once: {right(at_once):.2f} right")
train(STEPS, ws.Pruner(model, every=50, schedule=SCHEDULE))
print(f"pruned while it learns: {right(model):.2f} right, {zeros():.1%} of the kernels zero")
