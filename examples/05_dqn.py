"""A DQN learns to walk a corridor; its target network follows by soft updates told in YAML.

The corridor has eight cells. A step to the right from the last one gives a reward of 1 and ends the
walk; every other step gives nothing. With a discount of 0.9 the value of the first cell is 0.9^7.
"""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

import weightsurgeon as ws

CELLS, DISCOUNT = 8, 0.9
torch.manual_seed(0)
torch.set_num_threads(1)
random.seed(0)


def walk(cell: int, action: int) -> tuple[int, float, bool]:
    """The next cell, the reward, and whether that was the end; action 1 is to the right."""
    if action and cell == CELLS - 1:
        return cell, 1.0, True
    return max(0, min(CELLS - 1, cell + (1 if action else -1))), 0.0, False


def seen(cells: list[int]) -> torch.Tensor:
    """Cells as the network sees them: one-hot rows."""
    return nn.functional.one_hot(torch.tensor(cells), CELLS).float()


online = nn.Sequential(nn.Linear(CELLS, 32), nn.ReLU(), nn.Linear(32, 2))
target = deepcopy(online)
follow = ws.SoftUpdater(online, target, plan=Path(__file__).with_name("05_target.yaml"))
learn = torch.optim.Adam(online.parameters(), lr=3e-3)
memory = [(c, a, *walk(c, a)) for c in range(CELLS) for a in (0, 1)]  # every step there is

for _ in range(1500):
    cells, actions, nexts, rewards, ends = map(
        list, zip(*random.choices(memory, k=16), strict=True)
    )
    with torch.no_grad():
        ahead = target(seen(nexts)).max(1).values * ~torch.tensor(ends)
    wanted = torch.tensor(rewards) + DISCOUNT * ahead
    values = online(seen(cells)).gather(1, torch.tensor(actions)[:, None])[:, 0]
    loss = nn.functional.mse_loss(values, wanted)
    learn.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    learn.step()
    follow.step()

found = target(seen(list(range(CELLS)))).detach()
print("value of the first cell:", round(float(found[0].max()), 2), "of", round(DISCOUNT**7, 2))
print("goes right everywhere:", bool((found.argmax(1) == 1).all()))
print("updates:", follow.state_dict()["updates"])
