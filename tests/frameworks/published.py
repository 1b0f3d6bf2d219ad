"""Three published networks, in both frameworks, with the weights published for each.

The modules are those of `facenet_pytorch/models/mtcnn.py`, whose import would need torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import networks  # examples/mtcnn
import numpy as np
import torch
from frameworks.judge import RANDOM, by_keras, by_torch, difference
from frameworks.table import CONTAINERS
from torch import Tensor, nn

import weightsurgeon as ws

SIDE = {"pnet": 31, "rnet": 24, "onet": 48}


class Network(nn.Module):
    """Convolutions with a PReLU each, some with a pool behind; what comes then differs."""

    def __init__(self, channels: list[int], kernels: list[int], pools: list[int]) -> None:
        super().__init__()
        self.pools = pools
        for i, ((into, out), kernel) in enumerate(zip(pairwise(channels), kernels, strict=True), 1):
            self.add_module(f"conv{i}", nn.Conv2d(into, out, kernel))
            self.add_module(f"prelu{i}", nn.PReLU(out))

    def features(self, x: Tensor) -> Tensor:
        """The map behind the convolutions."""
        for i, pool in enumerate(self.pools, 1):
            x = self.get_submodule(f"prelu{i}")(self.get_submodule(f"conv{i}")(x))
            x = nn.functional.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
        return x

    def vector(self, x: Tensor) -> Tensor:
        """The map in the order width, height, channel."""
        return self.features(x).permute(0, 3, 2, 1).flatten(1)


class PNet(Network):
    def __init__(self) -> None:
        super().__init__([3, 10, 16, 32], [3, 3, 3], [2, 0, 0])
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.features(x)
        return self.conv4_2(x), self.conv4_1(x).softmax(1)


class RNet(Network):
    def __init__(self) -> None:
        super().__init__([3, 28, 48, 64], [3, 3, 2], [3, 3, 0])
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.prelu4(self.dense4(self.vector(x)))
        return self.dense5_2(x), self.dense5_1(x).softmax(1)


class ONet(Network):
    def __init__(self) -> None:
        super().__init__([3, 32, 64, 64, 128], [3, 3, 3, 2], [3, 3, 2, 0])
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.prelu5(self.dense5(self.vector(x)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(1)


MODULES: dict[str, Callable[[], Network]] = {"pnet": PNet, "rnet": RNet, "onet": ONet}


def judged(name: str, folder: Path) -> dict[str, Any]:
    """Both published weights through both networks, and through each container of Keras."""
    model, module = networks.BUILDERS[name](), MODULES[name]().eval()
    image = RANDOM.uniform(-1, 1, (1, SIDE[name], SIDE[name], 3)).astype(np.float32)
    before = difference(by_torch(module, image, True), by_keras(model, image))
    model.set_weights(networks.published_keras(name))
    expected = by_keras(model, image)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    model.save(folder / "model.h5")
    found: dict[str, Any] = {"before": before, "paths": sorted(v.path for v in model.weights)}
    for suffix in CONTAINERS:
        source = folder / f"model{suffix}"
        ws.port(source, folder / "module.pt", mapping=f"mtcnn/{name}")
        module.load_state_dict(torch.load(folder / "module.pt", weights_only=True), strict=True)
        found[f"to_torch{suffix}"] = difference(by_torch(module, image, True), expected)
        found[f"names{suffix}"] = sorted(ws.open(source))
    return found | back(name, module, image, folder)


def back(name: str, module: Any, image: Any, folder: Path) -> dict[str, float]:
    """The weights published for torch, in each container of Keras, loaded by Keras."""
    source = networks.published_torch()[name]
    module.load_state_dict(torch.load(source, weights_only=True))
    expected, found = by_torch(module, image, True), {}
    for suffix in CONTAINERS:
        target, template = folder / f"back{suffix}", folder / "model.keras"
        mapping = f"mtcnn/{name}-to-keras"
        ws.port(source, target, mapping=mapping, template=template)
        found[f"to_keras{suffix}"] = difference(by_keras(loaded(name, target), image), expected)
    return found


def loaded(name: str, path: Path) -> Any:
    """The model of a file; only a `.keras` file tells all of it."""
    if path.suffix == ".keras":
        return keras.models.load_model(path)
    model = networks.BUILDERS[name]()
    model.load_weights(path)
    return model


CASES: dict[str, Callable[[Path], Any]] = {name: partial(judged, name) for name in MODULES}
