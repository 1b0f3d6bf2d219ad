"""Soft updates of live models beside the rules that others use: best of many, in one process.

What is compared is CPU time where the work is small (the Python around it) and time on the wall
where it is memory that is waited for; a figure is the best of its rounds, all contenders in each.

    python -m benchmarks.live mlp|10|500|keras GB ROUNDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

TAU = 0.005
MLP = (17, 256, 256, 256, 6)  # three layers of 256
Rules = dict[str, Callable[[], Any]]


def main(job: str, gb: str, rounds: str) -> None:
    """Print a row for each contender."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if job == "keras":
        rules, small = keras_rules(), True
    else:
        small = job == "mlp"
        rules = torch_rules(MLP if small else wide(float(job) * 1e6 * float(gb)))
    print(json.dumps(measured(rules, int(rounds), small)))


def wide(parameters: float) -> tuple[int, ...]:
    """Square layers of 1024, as many as there are parameters, one at least."""
    return (1024,) * (max(1, round(parameters / 1024**2)) + 1)


def torch_rules(sizes: tuple[int, ...]) -> Rules:
    """stable-baselines3's rule, a fused call by hand, torch's AveragedModel, ours; each has a
    target of its own."""
    import torch
    from torch import nn
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    import weightsurgeon as ws

    torch.set_num_threads(1)
    online = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    target = deepcopy(online)
    average = AveragedModel(online, multi_avg_fn=get_ema_multi_avg_fn(1 - TAU))
    average.update_parameters(online)  # the first one copies
    update = ws.SoftUpdater(online, target, tau=TAU)
    sources, targets = list(online.parameters()), list(target.parameters())

    def polyak() -> None:  # as in stable_baselines3.common.utils.polyak_update
        with torch.no_grad():
            for param, there in zip(online.parameters(), target.parameters(), strict=True):
                there.data.mul_(1 - TAU)
                torch.add(there.data, param.data, alpha=TAU, out=there.data)

    def foreach() -> None:
        with torch.no_grad():
            torch._foreach_lerp_(targets, sources, TAU)

    return {
        "stable-baselines3's rule": polyak,
        "torch._foreach_lerp_": foreach,
        "torch AveragedModel": lambda: average.update_parameters(online),
        "weightsurgeon": update.step,
    }


def keras_rules() -> Rules:
    """The loop over get_weights and set_weights, a function compiled by hand, ours."""
    import keras
    import tensorflow as tf

    import weightsurgeon as ws

    layers = [keras.layers.Input((MLP[0],)), *(keras.layers.Dense(n) for n in MLP[1:])]
    online = keras.Sequential(layers)
    target = keras.models.clone_model(online)
    update = ws.SoftUpdater(online, target, tau=TAU)

    def loop() -> None:
        pairs = zip(target.get_weights(), online.get_weights(), strict=True)
        target.set_weights([t + TAU * (s - t) for t, s in pairs])

    @tf.function  # type: ignore[untyped-decorator]
    def compiled() -> None:
        for t, s in zip(target.variables, online.variables, strict=True):
            t.assign(t + TAU * (s - t))

    return {
        "get_weights, set_weights": loop,
        "tf.function by hand": compiled,
        "weightsurgeon": update.step,
    }


def measured(rules: Rules, rounds: int, small: bool) -> list[dict[str, Any]]:
    """The rows: the best time of each, and its ratio to the first."""
    clock = time.process_time if small else time.perf_counter
    calls, rounds = (50, 20 * rounds) if small else (1, rounds + 1)
    times: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(rounds):
        for name, rule in rules.items():
            began = clock()
            for _ in range(calls):
                rule()
            times[name].append((clock() - began) / calls)
    best = {name: min(found) for name, found in times.items()}
    first = next(iter(best.values()))
    return [
        {
            "contender": name,
            "problem": "",
            "ratio": round(seconds / first, 3),
            "microseconds": round(1e6 * seconds, 1),
            "rounds": rounds,
        }
        for name, seconds in best.items()
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
