"""Keras applications against torchvision: every name and shape, and equal outputs.

Where the two libraries differ in a stride or a padding, the torch model is set as Keras has it:
what is judged is the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hubs.torchvision_models import model as torchvision_model

import weightsurgeon as ws

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
RANDOM = np.random.default_rng(0)


def application(name: str) -> Any:
    """A Keras application with random weights, norms and biases too."""
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    for v in model.weights:
        if "moving_variance" in v.path:
            v.assign(RANDOM.uniform(0.5, 2, v.shape))
        elif v.ndim == 1:
            v.assign(RANDOM.standard_normal(v.shape) * 0.1 + ("gamma" in v.path))
    return model


def strides_as_in_keras(model: Any) -> None:
    """Stride 2 in the first convolution of a block, not in the second."""
    for layer in (model.layer2, model.layer3, model.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)


def padding_as_in_keras(model: Any) -> None:
    """Convolutions of stride 2 padded on the right and below only."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(
                lambda _, x: (torch.nn.functional.pad(x[0], (0, 1, 0, 1)),)
            )


CASES = [
    ("ResNet50", "resnet", "resnet50", strides_as_in_keras),
    ("MobileNetV2", "mobilenetv2", "mobilenet_v2", padding_as_in_keras),
    ("VGG16", "vgg", "vgg16", lambda model: None),
]


@pytest.mark.parametrize(("name", "module", "function", "adapt"), CASES, ids=[c[0] for c in CASES])
def test_an_application(name: str, module: str, function: str, adapt: Any, tmp_path: Path) -> None:
    ours, ported = application(name), tmp_path / "ported.pt"
    ours.save(tmp_path / "model.keras")
    ws.port(tmp_path / "model.keras", ported, mapping=f"{name.lower()}/keras-to-torchvision")
    theirs = torchvision_model(module, function).eval()
    theirs.load_state_dict(torch.load(ported))  # strict: every name, every shape
    adapt(theirs)
    x = RANDOM.standard_normal((1, 224, 224, 3)).astype("float32")
    with torch.no_grad():
        got = theirs(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    wanted = ours(x, training=False).detach().numpy()
    assert np.abs(got - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())
