"""Assemble a model from an encoder that Keras trained and a head that PyTorch trained.

    python examples/08_two_frameworks.py

The plan is 08_two_frameworks.yaml. The head here is a fresh one, standing for a trained one.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import weightsurgeon as ws

HERE = Path(__file__).parent
FILES = ("small.keras", "02_mapping.yaml", "04_encoder.yaml", "08_two_frameworks.yaml")


class Head(nn.Module):
    """Three classes from what the encoder sees."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(64, 3)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Flatten, then classify."""
        found: torch.Tensor = self.classes(seen.flatten(1))
        return found


def main() -> None:
    """Save a head, run the plan, load the whole strictly, and use it."""
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.MaxPool2d(2))
    model = nn.Sequential(OrderedDict(encoder=encoder, head=Head())).eval()
    with TemporaryDirectory() as folder:
        for file in FILES:
            shutil.copy(HERE / file, folder)
        head = Head()
        torch.save(head.state_dict(), Path(folder) / "head.pt")
        report = ws.run(Path(folder) / FILES[-1])
        print(f"{report}".replace(f"{folder}/", ""))
        print("\nloaded:", model.load_state_dict(torch.load(Path(folder) / "whole.pt")))
    print("classes of a picture:", tuple(model(torch.rand(1, 3, 10, 10)).shape))
    loaded = model.get_parameter("head.classes.weight")
    print("the head is as it was:", torch.equal(loaded, head.classes.weight))


if __name__ == "__main__":
    main()
